"""Trees made of raw objects in a real repository are judged as they are, and the server that pushes pushes none of them."""

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from mcp import Client

from contracts.forge import PullRequestDraft
from contracts.judging.finding import OperationKind
from contracts.judging.judgement import judge
from contracts.policy import Policy
from contracts.redaction import Redactor
from contracts.workspace import OpenedWorkspace
from mcp_servers.object_store import Mirrors, NewBlob
from mcp_servers.repo.local_forge import LocalForge
from mcp_servers.repo.raw_difference import raw_difference
from mcp_servers.repo.server import build_server
from mcp_servers.scope import BASE, POLICY, WORKSPACE
from tests.fakes.tallies import Tally
from tests.security.hostile_trees import hostile_trees
from tests.security.secret_corpus import HELD

AUTHOR = ("-c", "user.name=ann", "-c", "user.email=ann@example.org")
BRANCH = "patchwright/task"


class Remote:
    """A bare repository with one file, its mirror, and the server that alone can push to it."""

    def __init__(self, folder: Path) -> None:
        self.remote, self.mirrors = folder / "remote.git", Mirrors(folder / "mirrors")
        self.git("init", "-q", "--bare", "-b", "main", str(self.remote), at=None)
        blob = self.git("hash-object", "-w", "--stdin", given=b"one\n")
        self.tree = self.git("mktree", given=f"100644 blob {blob}\ta.txt\n".encode())
        self.base = self.git(*AUTHOR, "commit-tree", "-m", "First", self.tree)
        self.git("update-ref", "refs/heads/main", self.base)
        forge = LocalForge(folder / "forge.sqlite", self.mirrors)
        self.server = build_server(self.mirrors, forge, redactor=Redactor.of(HELD))

    def git(self, *arguments: str, given: bytes = b"", at: str | None = "") -> str:
        where = () if at is None else ("--git-dir", str(self.remote))
        return subprocess.run(["git", *where, *arguments], input=given, check=True, capture_output=True).stdout.decode().strip()

    async def opened(self, client: Client) -> OpenedWorkspace:
        told = await client.call_tool("open_workspace", {"remote": str(self.remote), "base_branch": "", "name": "task"})
        return OpenedWorkspace.model_validate(told.structured_content)

    def pushed(self) -> list[str]:
        """Every branch but the first one."""
        return [
            name for name in self.git("for-each-ref", "--format=%(refname)", "refs/heads").split() if name != "refs/heads/main"
        ]


async def publish(
    client: Client,
    opened: OpenedWorkspace,
    commit: str,
    policy: Policy | None = None,
    allowed: tuple[str, ...] = (),
    **draft: str,
):
    meta = {
        WORKSPACE: opened.workspace.model_dump(),
        BASE: opened.base_commit,
        POLICY: (policy or Policy()).model_dump(mode="json"),
    }
    wanted = {
        "repo": opened.remote,
        "head_branch": BRANCH,
        "base_branch": "main",
        "head_commit": commit,
        "title": "T",
        "body": "B",
        "task_id": "task",
    } | draft
    asked = {"draft": PullRequestDraft.model_validate(wanted).model_dump(mode="json"), "allowed_operations": list(allowed)}
    return await client.call_tool("publish_pull_request", asked, meta=cast(Any, meta))


async def test_no_hostile_tree_passes_and_none_is_pushed(tmp_path: Path, tally: Callable[[str], Tally]) -> None:
    remote = Remote(tmp_path)
    judged, pushed = tally("hostile git trees judged"), tally("hostile git trees pushed")
    async with Client(remote.server) as client:
        opened = await remote.opened(client)
        mirror = remote.mirrors.of(opened.workspace)
        readme = remote.git("rev-parse", "main:a.txt")
        ids = {"blob": mirror.write_blob(b"two\n"), "link": mirror.write_blob(b"a.txt"), "base": remote.tree, "readme": readme}
        for number, (kind, make) in enumerate(hostile_trees()):
            root = make(mirror, ids)
            refused = judge(raw_difference(mirror, opened.base_commit, root), Policy()).refused(Policy())
            judged.case(f"{number} {kind}", "" if refused else "passed")
            header = f"tree {root}\nparent {opened.base_commit}\nauthor a <a@b> 1 +0000\ncommitter a <a@b> 1 +0000\n\nx{number}\n"
            commit = mirror.write_object("commit", header.encode())
            answer = await publish(client, opened, commit)
            pushed.case(f"{number} {kind}", "" if answer.is_error and not remote.pushed() else "pushed")
    judged.settle(at_least=150)
    pushed.settle(at_least=150)


async def test_an_ordinary_change_is_pushed_and_one_with_a_secret_on_the_way_is_not(tmp_path: Path) -> None:
    remote = Remote(tmp_path)
    async with Client(remote.server) as client:
        opened = await remote.opened(client)
        mirror = remote.mirrors.of(opened.workspace)
        mirror.amend(opened.workspace, "Add it", lambda _: {"b.txt": NewBlob(HELD["forge token"].encode())}, "1")
        clean = mirror.amend(opened.workspace, "Take it out", lambda _: {"b.txt": NewBlob(b"two\n")}, "2")
        refused = await publish(client, opened, clean)
        assert (
            refused.is_error and "secret.held" in str(refused.content) and HELD["forge token"] not in str(refused.content)
        )
        assert not remote.pushed()
        sealed = mirror.seal(opened.workspace, clean, opened.base_commit, "Add two")
        assert not (await publish(client, opened, sealed)).is_error
        assert remote.pushed() == [f"refs/heads/{BRANCH}"]


async def test_what_a_person_allowed_is_pushed_and_nothing_else(tmp_path: Path) -> None:
    remote, policy = Remote(tmp_path), Policy(allowed_operations=(OperationKind.INFRASTRUCTURE,))
    async with Client(remote.server) as client:
        opened = await remote.opened(client)
        mirror = remote.mirrors.of(opened.workspace)
        commit = mirror.amend(opened.workspace, "Build", lambda _: {"Dockerfile": NewBlob(b"FROM x\n")}, "1")
        (asked,) = judge(raw_difference(mirror, opened.base_commit, commit), policy).asking(policy)
        assert (await publish(client, opened, commit, policy)).is_error
        assert (await publish(client, opened, commit, Policy(), (asked.operation,))).is_error
        assert not remote.pushed()
        assert not (await publish(client, opened, commit, policy, (asked.operation,))).is_error


async def test_a_description_goes_out_without_credentials(tmp_path: Path) -> None:
    remote, token = Remote(tmp_path), "glpat-" + "Zk3Lm9Qr2TvXw8Yb4Nc7"
    async with Client(remote.server) as client:
        opened = await remote.opened(client)
        mirror = remote.mirrors.of(opened.workspace)
        commit = mirror.amend(opened.workspace, "Two", lambda _: {"b.txt": NewBlob(b"two\n")}, "1")
        answer = await publish(client, opened, commit, body=f"Use {token} and {HELD['vault token']}.", title=f"Mend {token}")
        told = str(answer.structured_content)
        assert (
            not answer.is_error and token not in told and HELD["vault token"] not in told and "[redacted: GitLab token]" in told
        )


async def test_a_renamed_file_is_judged_on_both_sides_and_its_old_lines_are_no_new_ones(tmp_path: Path) -> None:
    remote = Remote(tmp_path)
    async with Client(remote.server) as client:
        opened = await remote.opened(client)
        mirror = remote.mirrors.of(opened.workspace)
        script = b"#!/bin/sh\n" + b"echo one\n" * 30 + b"sudo true\n"
        first = mirror.amend(
            opened.workspace, "1", lambda _: {"old.sh": NewBlob(script), ".gitlab-ci.yml": NewBlob(b"x: 1\n" * 30)}, "1"
        )
        moved = mirror.amend(opened.workspace, "2", lambda _: {"old.sh": None, "new.sh": NewBlob(script + b"echo two\n")}, "2")
        assert judge(raw_difference(mirror, first, moved), Policy()).findings == ()
        away = mirror.amend(opened.workspace, "3", lambda _: {".gitlab-ci.yml": None, "notes.yml": NewBlob(b"x: 1\n" * 30)}, "3")
        rules = {finding.rule for finding in judge(raw_difference(mirror, moved, away), Policy()).findings}
        assert {"path.policy", "path.copied"} <= rules
