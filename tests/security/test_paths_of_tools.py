"""Path strings against every tool that takes one: nothing outside the list is written, nothing outside the tree is read."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from contracts.policy import Policy
from mcp_servers.code_search.server import build_server as code_search_server
from mcp_servers.fs.server import build_server as fs_server
from mcp_servers.object_store import Mirror, Mirrors
from mcp_servers.repo.opening import open_workspace
from mcp_servers.scope import CALL, POLICY, WORKSPACE, Scope
from tests.fakes.stack import git
from tests.fakes.tallies import Tally
from tests.security.path_corpus import hostile_paths

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]
POLICY_OF_TASK = Policy(allowed_paths=("notes/**",))
CANARY = "patchwright-canary-" + os.urandom(12).hex()
FILES = {"notes/a.md": "a\n", "src/x.py": "x = 1\n", ".patchwright.yaml": "checks: []\n", ".github/workflows/a.yml": "on: push\n"}


@pytest.fixture
def place(tmp_path: Path) -> tuple[Mirrors, Scope, Mirror]:
    """A repository with a link out of it, beside a file that nobody may see."""
    for name in ("canary", "etc/passwd", ".git-canary"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(CANARY)
    work = tmp_path / "deep" / "work"
    work.mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    for name, content in FILES.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_text(content)
    (work / "link").symlink_to("../..")
    (work / "notes" / "link").symlink_to("/etc")
    git(work, "add", "-A")
    git(work, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-qm", "Begin")
    mirrors = Mirrors(tmp_path / "mirrors")
    opened = open_workspace(mirrors, str(work), "", "task")
    return mirrors, Scope(opened.workspace, base=opened.base_commit), mirrors.of(opened.workspace)


def tree(mirror: Mirror, scope: Scope) -> dict[str, tuple[int, str]]:
    """Path → mode and blob, of everything in the workspace."""
    found: dict[str, tuple[int, str]] = {}

    def below(folder: str) -> None:
        for child in mirror.children(mirror.head(scope.workspace), folder):
            if child.mode == 0o040000:
                below(child.path)
            else:
                found[child.path] = (child.mode, child.oid)

    below("")
    return found


def on_disk(folder: Path) -> dict[str, bytes]:
    """Everything beside the mirrors."""
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file() and not p.is_relative_to(folder / "mirrors")}


def told(scope: Scope) -> dict[str, Any]:
    return {WORKSPACE: scope.workspace.model_dump(), CALL: "call", POLICY: POLICY_OF_TASK.model_dump(mode="json")}


async def called(client: Client, meta: dict[str, Any], tool: str, **arguments: Any) -> str:
    try:
        result = await client.call_tool(tool, arguments, meta=meta)  # type: ignore[arg-type]
    except UnicodeEncodeError:
        return ""  # half a character that no JSON can carry: it never leaves the client
    return " ".join(getattr(part, "text", "") for part in result.content)


async def test_no_path_is_written_that_is_not_on_the_list_and_nothing_outside_is_read(
    place: tuple[Mirrors, Scope, Mirror], tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    mirrors, scope, mirror = place
    before, disk, number = tree(mirror, scope), on_disk(tmp_path), 0
    counts: list[Tally] = []
    async with Client(fs_server(mirrors, scope)) as client:
        for kind, paths in hostile_paths().items():
            count = tally(f"path strings, written: {kind}")
            counts.append(count)
            for path in paths:
                number += 1
                meta = {**told(scope), CALL: f"c{number}"}
                patch = f"*** Begin Patch\n*** Add File: {path}\n+owned\n*** End Patch"
                tool = ("write_file", {"path": path, "content": "owned\n"}) if number % 2 else ("apply_patch", {"patch": patch})
                said = await called(client, meta, tool[0], **tool[1])
                after = tree(mirror, scope)
                strange = {p for p, entry in after.items() if before.get(p) != entry and not p.startswith("notes/")}
                hidden = {p for p in after if p not in before and any(part.lower().startswith(".git") for part in p.split("/"))}
                gone = set(before) - set(after)
                wrong = sorted(strange | hidden | gone)
                read = "something beside the tree was shown" if CANARY in said else ""
                count.case(repr(path), f"{wrong[0]!r} was written" if wrong else read)
    assert on_disk(tmp_path) == disk, "nothing is ever written beside the mirrors"
    for count in counts:
        count.settle()
    assert sum(count.cases for count in counts) >= 1_400


async def test_no_tool_that_reads_shows_anything_beside_the_tree(
    place: tuple[Mirrors, Scope, Mirror], tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    mirrors, scope, _ = place
    count = tally("path strings, read")
    meta = told(scope)
    absolute = [str(tmp_path / "canary"), f"/proc/self/root{tmp_path}/canary", f"file://{tmp_path}/canary"]
    paths = [path for found in hostile_paths().values() for path in found]
    host = await asyncio.to_thread(Path("/etc/passwd").read_text)
    async with (
        Client(fs_server(mirrors, scope)) as fs,
        Client(code_search_server(mirrors, tmp_path / "mirrors" / "index", scope)) as search,
    ):
        for number, path in enumerate(paths[:: 2] + absolute * 4):
            deeds: list[tuple[Client, str, dict[str, Any]]] = [
                (fs, "read_file", {"path": path}), (fs, "list_files", {"path": path}),
                (fs, "list_files", {"pattern": path}), (search, "outline", {"path": path}),
                (search, "search_text", {"pattern": "root|canary", "path_glob": path}),
                (search, "repo_map", {"focus": [path]}),
            ]  # fmt: skip
            client, tool, arguments = deeds[number % len(deeds)]
            said = await called(client, meta, tool, **arguments)
            shows = CANARY in said or host[:40] in said
            count.case(f"{tool} {path!r}", "something beside the tree was shown" if shows else "")
    count.settle(at_least=700)
