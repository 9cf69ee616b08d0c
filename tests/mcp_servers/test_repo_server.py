"""The ``repo`` server through a real MCP client: what agents see, what the service gets, and what is never pushed."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, MCPError

from contracts.change import Change, ChangedFile
from contracts.checks import ChecksReport
from contracts.forge import PullRequest, PullRequestDraft
from contracts.review import Review, ReviewRequest, Thread, Verdict
from contracts.sandbox import SandboxTier
from contracts.workspace import OpenedWorkspace
from mcp_servers.object_store import Mirrors, NewBlob
from mcp_servers.repo.local_forge import LocalForge
from mcp_servers.repo.server import build_server
from mcp_servers.scope import BASE, WORKSPACE

AGENT_TOOLS = {"diff", "log", "list_branches", "show_commit", "create_branch", "push_branch", "open_pull_request",
               "update_pull_request"}


def git(folder: Path, *arguments: str) -> str:
    identity = {"GIT_AUTHOR_NAME": "ann", "GIT_AUTHOR_EMAIL": "p@x", "GIT_COMMITTER_NAME": "ann", "GIT_COMMITTER_EMAIL": "p@x"}
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True,
                          env={**os.environ, **identity})
    return done.stdout.strip()


@asynccontextmanager
async def held_client(server):
    """A client that one task opens and closes: fixtures are torn down in another task than they were set up in."""
    opened, done = asyncio.get_running_loop().create_future(), asyncio.Event()

    async def hold() -> None:
        async with Client(server) as client:
            opened.set_result(client)
            await done.wait()

    task = asyncio.create_task(hold())
    try:
        yield await opened
    finally:
        done.set()
        await task


class Desk:
    """A bare remote with a person's clone, the server on its mirror, and a client."""

    def __init__(self, folder: Path) -> None:
        self.person = folder / "person"
        self.person.mkdir()
        git(self.person, "init", "-q", "-b", "main")
        (self.person / "a.txt").write_text("one\n")
        git(self.person, "add", ".")
        git(self.person, "commit", "-qm", "First")
        self.remote = folder / "remote.git"
        git(folder, "clone", "-q", "--bare", str(self.person), str(self.remote))
        git(self.person, "remote", "add", "origin", str(self.remote))
        self.mirrors = Mirrors(folder / "mirrors")
        self.forge = LocalForge(folder / "forge.sqlite", self.mirrors)
        self.server = build_server(self.mirrors, self.forge)
        self.client: Client
        self.opened: OpenedWorkspace

    async def open(self, name: str = "task") -> OpenedWorkspace:
        told = await self.service("open_workspace", remote=str(self.remote), base_branch="", name=name)
        return OpenedWorkspace.model_validate(told)

    @property
    def meta(self) -> dict:
        return {WORKSPACE: self.opened.workspace.model_dump(), BASE: self.opened.base_commit}

    @property
    def mirror(self):
        return self.mirrors.of(self.opened.workspace)

    async def service(self, tool: str, **arguments) -> dict:
        meta = self.meta if hasattr(self, "opened") else None
        result = await self.client.call_tool(tool, arguments, meta=meta)
        assert not result.is_error, result.content[0].text
        return result.structured_content

    async def agent(self, tool: str, **arguments) -> str:
        result = await self.client.call_tool(tool, arguments, meta=self.meta)
        assert not result.is_error, result.content[0].text
        return result.content[0].text

    async def refused(self, tool: str, **arguments) -> tuple[str, str]:
        result = await self.client.call_tool(tool, arguments, meta=self.meta)
        assert result.is_error, result.content[0].text
        return result.structured_content["error"]["code"], result.content[0].text

    def edit(self, content: str = "two\n", path: str = "a.txt") -> str:
        return self.mirror.amend(self.opened.workspace, f"Write {path}", lambda _: {path: NewBlob(content.encode())}, content)

    def draft(self, commit: str, **changes) -> dict:
        fields = {"repo": str(self.remote), "head_branch": "patchwright/task", "base_branch": "main", "head_commit": commit,
                  "title": "T", "body": "B", "task_id": "task"}
        return PullRequestDraft(**(fields | changes)).model_dump(mode="json")

    def on_remote(self, ref: str) -> str:
        return git(self.remote, "for-each-ref", "--format=%(objectname)", ref)


@pytest.fixture
async def desk(tmp_path: Path):
    desk = Desk(tmp_path)
    async with held_client(desk.server) as client:
        desk.client = client
        desk.opened = await desk.open()
        yield desk


async def test_every_tool_is_there_and_agents_tools_describe_their_arguments(desk: Desk):
    tools = {tool.name: tool for tool in (await desk.client.list_tools()).tools}
    assert set(tools) >= AGENT_TOOLS
    assert all(tool.description for tool in tools.values())
    for name in AGENT_TOOLS:
        assert all("description" in schema for schema in tools[name].input_schema.get("properties", {}).values())
    assert all(tools[name].description.startswith("For the service:") for name in set(tools) - AGENT_TOOLS)


async def test_opening_tells_the_base_and_refuses_what_it_cannot_read_with_its_class(desk: Desk):
    assert desk.opened.base_commit == git(desk.person, "rev-parse", "HEAD")
    code, told = await desk.refused("open_workspace", remote=str(desk.remote), base_branch="nope", name="other")
    assert (code, "Its branches: main" in told) == ("repository-unusable", True)


async def test_the_diff_is_by_default_what_the_task_changed(desk: Desk):
    assert "Nothing differs" in await desk.agent("diff")
    desk.edit()
    desk.edit("x\n", "new.txt")
    text = await desk.agent("diff")
    assert "-one\n+two\n" in text and "+++ b/new.txt" in text
    assert "new.txt" not in await desk.agent("diff", path="a.txt")
    assert "-two\n+one\n" in await desk.agent("diff", old="refs/workspaces/task", new="main", path="a.txt")


async def test_a_long_diff_is_cut_and_names_every_file(desk: Desk):
    desk.edit("".join(f"{i}\n" for i in range(40_000)), "long.txt")
    text = await desk.agent("diff")
    assert len(text) < 62_000
    assert "give `path`" in text and "long.txt  added +40000 -0" in text


async def test_history_marks_the_base_and_a_commit_can_be_shown(desk: Desk):
    commit = desk.edit()
    lines = (await desk.agent("log")).splitlines()
    assert lines[0].startswith(commit[:12]) and lines[0].endswith("Write a.txt")
    assert lines[1].endswith("ann: First  (base of this task)")
    shown = await desk.agent("show_commit", commit=commit[:10])
    assert "+two" in shown and "Patchwright-Call" not in shown
    assert "first commit; it has 1 files" in await desk.agent("show_commit", commit="main")
    assert (await desk.refused("show_commit", commit="nope"))[0] == "not-found"


async def test_a_branch_is_created_once_below_our_name_only(desk: Desk):
    commit = desk.edit()
    assert commit[:12] in await desk.agent("create_branch", name="patchwright/x")
    assert commit[:12] in await desk.agent("create_branch", name="patchwright/x")
    assert "patchwright/x  (here" in await desk.agent("list_branches")
    desk.edit("three\n")
    assert (await desk.refused("create_branch", name="patchwright/x"))[0] == "conflict"
    for name in ("main", "feature", "patchwright/../main", "patchwright/", "patchwright/a..b", "refs/heads/main"):
        assert (await desk.refused("create_branch", name=name))[0] == "guardrail"


async def test_pushing_puts_the_commit_on_the_remote_once(desk: Desk):
    commit = desk.edit()
    for _ in range(2):
        await desk.agent("push_branch", branch="patchwright/x")
        assert desk.on_remote("refs/heads/patchwright/x") == commit
    later = desk.edit("three\n")
    await desk.agent("push_branch", branch="patchwright/x")
    assert desk.on_remote("refs/heads/patchwright/x") == later


async def test_default_and_foreign_branches_are_never_written(desk: Desk):
    desk.edit()
    before = git(desk.remote, "for-each-ref")
    for branch in ("main", "develop", "patchwright", "refs/heads/main", "+main", "patchwright/x:main"):
        assert (await desk.refused("push_branch", branch=branch))[0] == "guardrail"
    assert git(desk.remote, "for-each-ref") == before


async def test_a_branch_that_became_the_default_branch_meanwhile_is_not_written(desk: Desk):
    desk.edit()
    await desk.agent("push_branch", branch="patchwright/x")
    git(desk.remote, "symbolic-ref", "HEAD", "refs/heads/patchwright/x")
    desk.edit("three\n")
    code, told = await desk.refused("push_branch", branch="patchwright/x")
    assert (code, "default branch" in told) == ("guardrail", True)


async def test_a_persons_commit_is_never_overwritten(desk: Desk):
    desk.edit()
    await desk.agent("push_branch", branch="patchwright/x")
    git(desk.person, "fetch", "-q", "origin")
    git(desk.person, "checkout", "-qb", "mine", "origin/patchwright/x")
    git(desk.person, "commit", "--allow-empty", "-qm", "A person's fix")
    git(desk.person, "push", "-q", "origin", "HEAD:patchwright/x")
    theirs = git(desk.person, "rev-parse", "HEAD")
    desk.edit("three\n")
    code, told = await desk.refused("push_branch", branch="patchwright/x")
    assert (code, theirs[:12] in told) == ("foreign-commits", True)
    code, _ = await desk.refused("publish_pull_request", draft=desk.draft(desk.edit("four\n"), head_branch="patchwright/x"))
    assert code == "foreign-commits"
    assert desk.on_remote("refs/heads/patchwright/x") == theirs
    await desk.agent("push_branch", branch="patchwright/x", expected=theirs)
    assert desk.on_remote("refs/heads/patchwright/x") == desk.mirror.head(desk.opened.workspace)


async def test_a_remote_that_refuses_a_push_says_why(desk: Desk):
    hook = desk.remote / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'frozen until Monday' >&2\nexit 1\n")
    hook.chmod(0o755)
    desk.edit()
    code, told = await desk.refused("push_branch", branch="patchwright/x")
    assert (code, "pre-receive hook declined" in told, "frozen until Monday" in told) == ("repository-unusable", True, True)


async def test_publishing_twice_is_one_pull_request(desk: Desk):
    draft = desk.draft(desk.edit())
    first = PullRequest.model_validate(await desk.service("publish_pull_request", draft=draft))
    assert PullRequest.model_validate(await desk.service("publish_pull_request", draft=draft)) == first
    assert desk.on_remote("refs/heads/patchwright/task") == first.head_commit == desk.on_remote("refs/pull/1/head")
    assert PullRequest.model_validate(await desk.service("get_pull_request", pull_request_id=first.id)) == first


async def test_nothing_is_published_to_or_without_a_difference_from_the_base_branch(desk: Desk):
    assert (await desk.refused("publish_pull_request", draft=desk.draft(desk.opened.base_commit)))[0] == "invalid-input"
    assert (await desk.refused("publish_pull_request", draft=desk.draft(desk.edit(), head_branch="main")))[0] == "guardrail"
    draft = desk.draft(desk.edit(), head_branch="patchwright/task", base_branch="patchwright/task")
    assert (await desk.refused("publish_pull_request", draft=draft))[0] in ("guardrail", "not-found")
    assert desk.on_remote("refs/heads/patchwright") == ""


async def test_an_agent_opens_and_updates_a_pull_request(desk: Desk):
    desk.edit()
    result = await desk.client.call_tool("open_pull_request", {"title": "Better", "body": "Why"}, meta=desk.meta)
    opened = PullRequest.model_validate(result.structured_content)
    assert (opened.title, opened.head_branch, opened.draft) == ("Better", "patchwright/task", True)
    await desk.agent("update_pull_request", pull_request_id=opened.id, title="Best", draft=False)
    updated = await desk.forge.get(opened.id)
    assert (updated.title, updated.body, updated.draft, updated.head_commit) == ("Best", "Why", False, opened.head_commit)
    await desk.forge.close(opened.id)
    assert (await desk.refused("update_pull_request", pull_request_id=opened.id, title="x"))[0] == "invalid-input"
    assert (await desk.refused("update_pull_request", pull_request_id="local-0-0", title="x"))[0] == "not-found"


async def test_reviews_threads_answers_and_checks_cross_the_wire(desk: Desk):
    opened = PullRequest.model_validate(await desk.service("publish_pull_request", draft=desk.draft(desk.edit())))
    await desk.forge.submit_review(opened.id, ReviewRequest(verdict=Verdict.REQUEST_CHANGES, body="Hm", id="r1", reviewer="ann"))
    reviews = [Review.model_validate(r) for r in (await desk.service("list_reviews", pull_request_id=opened.id))["reviews"]]
    assert [review.id for review in reviews] == ["r1"]
    threads = [Thread.model_validate(t) for t in (await desk.service("list_threads", pull_request_id=opened.id))["threads"]]
    answers = [{"thread_id": threads[0].id, "body": "Done.", "commit": opened.head_commit, "addressed": True}]
    for _ in range(2):
        await desk.service("answer_threads", pull_request_id=opened.id, answers=answers)
    (thread,) = await desk.forge.threads(opened.id)
    assert (thread.resolved, len(thread.messages)) == (True, 2)
    report = ChecksReport(commit=opened.head_commit, tree="t", tier=SandboxTier.BUBBLEWRAP, image="i")
    await desk.service("report_checks", pull_request_id=opened.id, report=report.model_dump(mode="json"))
    assert await desk.forge.checks(opened.id) == [report]


async def test_the_service_seals_judges_and_resets(desk: Desk):
    base, last = desk.opened.base_commit, desk.edit("x\n", os.fsdecode(b"caf\xe9.txt"))
    sealed = await desk.service("seal_change", revision=last, parent=base, message="Tidy")
    assert sealed["tree"] == desk.mirror.tree_of(last)
    assert await desk.service("seal_change", revision=last, parent=base, message="Tidy") == sealed
    judged = await desk.service("changed_files", old=base, new=last)
    assert Change.model_validate(judged["change"]).files == 1
    assert ChangedFile.model_validate(judged["files"][0]).path == "caf\\xe9.txt"
    await desk.service("reset_workspace", commit=base)
    assert desk.mirror.head(desk.opened.workspace) == base


async def test_a_workspace_returns_to_where_a_run_stood_unless_only_that_run_went_on(desk: Desk):
    base, workspace = desk.opened.base_commit, desk.opened.workspace
    stood = desk.mirror.amend(workspace, "one", lambda _: {"one.txt": NewBlob(b"1\n")}, "pw-1/edit-2.0/1:a:x")
    further = desk.mirror.amend(workspace, "two", lambda _: {"two.txt": NewBlob(b"2\n")}, "pw-1/edit-2.0/2:b:y")
    for commit in (base, stood, further):
        assert not (await desk.service("return_workspace", commit=commit, run="pw-1/edit-2.0/"))["done"]
        assert desk.mirror.head(workspace) == further, "a call in flight finds its own commit"
    desk.mirror.amend(workspace, "later", lambda _: {"three.txt": NewBlob(b"3\n")}, "pw-1/review-3.0/1:c:z")
    assert (await desk.service("return_workspace", commit=further, run="pw-1/edit-2.0/"))["done"]
    assert desk.mirror.head(workspace) == further, "what a later run wrote is none of this one's"
    desk.mirror.start(workspace, base)
    assert (await desk.service("return_workspace", commit=stood, run="pw-1/edit-2.0/"))["done"]
    assert desk.mirror.head(workspace) == stood


async def test_a_branch_that_the_mirror_forgot_to_have_pushed_is_ours_again_once_it_is_trusted(desk: Desk):
    opened, workspace = desk.opened, desk.opened.workspace
    draft = {"repo": str(desk.remote), "head_branch": "patchwright/task", "base_branch": "main", "title": "t", "body": ""}
    first = desk.edit("one\n", "one.txt")
    await desk.service("publish_pull_request", draft={**draft, "head_commit": first})
    desk.mirror.git("update-ref", "-d", f"refs/pushed/patchwright/task/{first}")
    wanted = {"repo": str(desk.remote), "branch": "patchwright/task", "name": workspace.name, "commits": [first, "f" * 40]}
    seen = await desk.service("task_traces", wanted=wanted)
    assert (seen["remote_commit"], seen["pushed_by_us"]) == (first, False)
    assert (seen["workspace_commit"], seen["missing_commits"]) == (first, ["f" * 40])
    assert seen["pull_request"]["head_commit"] == first
    second = desk.edit("two\n", "two.txt")
    code, told = await desk.refused("publish_pull_request", draft={**draft, "head_commit": second})
    assert (code, "did not push" in told) == ("foreign-commits", True)
    known = {"repo": str(desk.remote), "branch": "patchwright/task", "commit": opened.base_commit}
    assert (await desk.refused("trust_branch", known=known))[0] == "conflict"
    await desk.service("trust_branch", known=known | {"commit": first})
    published = await desk.service("publish_pull_request", draft={**draft, "head_commit": second})
    assert (published["number"], published["head_commit"]) == (1, second)


async def test_tree_and_plan_are_resources_of_the_workspace_that_the_call_names(desk: Desk):
    desk.edit("x\n", "dir/new.txt")
    await desk.service("set_plan", plan_json=json.dumps({"goal": "better"}))
    assert {str(r.uri) for r in (await desk.client.list_resources()).resources} == {"workspace://tree", "workspace://plan"}
    tree = await desk.client.read_resource("workspace://tree", meta=desk.meta)
    assert tree.contents[0].text == "a.txt\ndir/new.txt"
    plan = await desk.client.read_resource("workspace://plan", meta=desk.meta)
    assert json.loads(plan.contents[0].text) == {"goal": "better"}
    assert (await desk.refused("set_plan", plan_json="{"))[0] == "invalid-input"
    with pytest.raises(MCPError, match="started without a workspace"):
        await desk.client.read_resource("workspace://tree")


async def test_ten_tasks_at_once_end_in_ten_pull_requests_with_their_own_trees(desk: Desk):
    async def task(number: int) -> PullRequest:
        opened = await desk.open(f"task-{number}")
        mirror = desk.mirrors.of(opened.workspace)
        commit = await asyncio.to_thread(
            mirror.amend, opened.workspace, "Own", lambda _: {f"{number}.txt": NewBlob(b"x")}, f"call-{number}")
        draft = desk.draft(commit, head_branch=f"patchwright/task-{number}", task_id=f"task-{number}")
        return PullRequest.model_validate(await desk.service("publish_pull_request", draft=draft))

    opened = await asyncio.gather(*(task(i) for i in range(10)))
    assert sorted(pr.number for pr in opened) == list(range(1, 11))
    for number, request in enumerate(opened):
        names = git(desk.remote, "ls-tree", "--name-only", f"refs/heads/patchwright/task-{number}").split()
        assert set(names) == {f"{number}.txt", "a.txt"}
        assert desk.on_remote(f"refs/pull/{request.number}/head") == request.head_commit
    assert git(desk.remote, "rev-parse", "main") == desk.opened.base_commit


async def test_it_serves_streamable_http_with_a_token(desk: Desk, tmp_path: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    root = Path(__file__).parents[2]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mcp_servers.repo", "--mirrors", str(tmp_path / "served"), "--repository", str(desk.remote),
        "--http", "--port", str(port), "--token-file", str(token), cwd=root, stdout=asyncio.subprocess.PIPE)
    try:
        await answers_on(port)
        assert await status_without_token(port) == 401
        async with authorised_client(f"http://127.0.0.1:{port}/mcp", "s3cret") as client:
            assert "First  (base of this task)" in (await client.call_tool("log", {})).content[0].text
            tree = await client.read_resource("workspace://tree")
            assert tree.contents[0].text == "a.txt"
    finally:
        process.terminate()
        out, _ = await process.communicate()
    assert out == b""


async def answers_on(port: int) -> None:
    for _ in range(200):
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return
    raise AssertionError("the server did not start")


async def status_without_token(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
    line = await reader.readline()
    writer.close()
    return int(line.split()[1])


@asynccontextmanager
async def authorised_client(url: str, token: str):
    import httpx2
    from mcp.client.streamable_http import streamable_http_client

    async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http, Client(
            streamable_http_client(url, http_client=http)) as client:
        yield client
