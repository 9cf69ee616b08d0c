"""The ``fs`` server through a real MCP client: what a model sees, and what is committed."""

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from contracts.policy import Policy
from mcp_servers.fs.server import build_server
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.opening import open_workspace
from mcp_servers.scope import CALL, POLICY, WORKSPACE, Scope

FILES = {
    "README.md": b"# Shop\n", "src/cart.py": b"def total():\n    return 0\n", "src/deep/er.py": b"x = 1\n",
    "win.txt": b"one\r\ntwo\r\n", "latin.txt": "caf\xe9\nbar\n".encode("latin-1"), "logo.png": b"\x89PNG\0\0", "empty": b"",
    "big.bin.txt": b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n", "bare": b"a\nb",
    "run.sh": b"#!/bin/sh\n",
    "日本語/файл.txt": b"hello\n", "bom.txt": b"\xef\xbb\xbffirst\nsecond\n",
}


def git(folder: Path, *arguments: str) -> str:
    identity = {"GIT_AUTHOR_NAME": "p", "GIT_AUTHOR_EMAIL": "p@x", "GIT_COMMITTER_NAME": "p", "GIT_COMMITTER_EMAIL": "p@x"}
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True,
                          env={**os.environ, **identity})
    return done.stdout.strip()


@pytest.fixture(scope="module")
def remote(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("remote")
    git(folder, "init", "-q", "-b", "main")
    for path, content in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / "run.sh").chmod(0o755)
    (folder / "link").symlink_to("README.md")
    (folder / "linked").symlink_to("src")
    (folder / os.fsdecode(b"odd\xff.txt")).write_text("odd\n")
    git(folder, "add", "-A")
    git(folder, "update-index", "--add", "--cacheinfo", "160000,1234567890123456789012345678901234567890,vendor/sub")
    git(folder, "commit", "-qm", "First")
    return folder


class Desk:
    """A client of the server, and the workspace behind it."""

    def __init__(self, client: Client, mirrors: Mirrors, scope: Scope) -> None:
        self.client, self.scope = client, scope
        self.mirror = mirrors.of(scope.workspace)

    async def call(self, tool: str, meta: dict | None = None, **arguments) -> str:
        result = await self.client.call_tool(tool, arguments, meta=meta)
        assert not result.is_error, result.content[0].text
        return result.content[0].text

    async def refused(self, tool: str, meta: dict | None = None, **arguments) -> tuple[str, str]:
        result = await self.client.call_tool(tool, arguments, meta=meta)
        assert result.is_error
        error = result.structured_content["error"]
        assert error["message"] == result.content[0].text
        return error["code"], error["message"]

    def content(self, path: str) -> bytes:
        return self.mirror.read(self.entry(path).oid)

    def entry(self, path: str):
        return self.mirror.entry(self.mirror.head(self.scope.workspace), path)

    def meta(self, call: str, policy: Policy | None = None) -> dict:
        policy = policy or Policy()
        return {WORKSPACE: self.scope.workspace.model_dump(), CALL: call, POLICY: policy.model_dump(mode="json")}


@pytest.fixture
async def desk(remote: Path, tmp_path: Path):
    mirrors = Mirrors(tmp_path / "mirrors")
    opened = await asyncio.to_thread(open_workspace, mirrors, str(remote), "", "task")
    scope = Scope(opened.workspace, base=opened.base_commit)
    async with held_client(build_server(mirrors, scope)) as client:
        yield Desk(client, mirrors, scope)


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


async def test_the_four_tools_are_there_with_described_arguments(desk: Desk):
    tools = {tool.name: tool for tool in (await desk.client.list_tools()).tools}
    assert set(tools) == {"list_files", "read_file", "write_file", "apply_patch"}
    for tool in tools.values():
        assert tool.description
        assert all("description" in schema for schema in tool.input_schema["properties"].values())


async def test_listing_shows_sizes_links_submodules_and_odd_names(desk: Desk):
    text = await desk.call("list_files")
    assert "src/cart.py  26 bytes" in text
    assert "link  (symbolic link to README.md)" in text
    assert "vendor/sub  (submodule at 123456789012)" in text
    assert "日本語/файл.txt" in text
    assert "odd\\xff.txt" in text


async def test_a_pattern_stays_in_its_folder_unless_it_crosses(desk: Desk):
    assert (await desk.call("list_files", pattern="**/*.py")).splitlines() == ["src/cart.py  26 bytes", "src/deep/er.py  6 bytes"]
    assert (await desk.call("list_files", path="src", pattern="*.py")).splitlines() == ["src/cart.py  26 bytes"]
    assert "2 match pattern='**/*.py'" in await desk.call("list_files", pattern="*.py")


async def test_a_long_list_is_paged(desk: Desk):
    first = await desk.call("list_files", limit=3)
    assert "1-3 of 16 files; continue with offset=3" in first
    assert "src/ (2)" in first
    last = await desk.call("list_files", limit=3, offset=15)
    assert "16-16 of 16 files; this is the last page" in last


async def test_a_folder_that_is_not_there_is_refused(desk: Desk):
    told = "There is no folder 'sources'. List the files with list_files."
    assert await desk.refused("list_files", path="sources") == ("not-found", told)


async def test_reading_numbers_the_lines(desk: Desk):
    assert await desk.call("read_file", path="./src/cart.py") == (
        "src/cart.py: lines 1-2 of 2, 26 bytes\n     1\tdef total():\n     2\t    return 0")


async def test_reading_a_range(desk: Desk):
    assert (await desk.call("read_file", path="win.txt", start_line=2)).endswith("CRLF line endings\n     2\ttwo")
    code, told = await desk.refused("read_file", path="win.txt", start_line=9)
    assert (code, "only 2 lines" in told) == ("invalid-input", True)


@pytest.mark.parametrize(("path", "told"), [
    ("latin.txt", "not UTF-8, read as Latin-1\n     1\tcafé"), ("logo.png", "binary file of 6 bytes"), ("empty", "empty file"),
    ("big.bin.txt", "Git LFS pointer"), ("bare", "no newline at the end"), ("run.sh", "executable"), ("odd\\xff.txt", "1\todd"),
    ("bom.txt", "byte order mark\n     1\tfirst"),
])
async def test_reading_says_what_is_special(desk: Desk, path: str, told: str):
    assert told in await desk.call("read_file", path=path)


@pytest.mark.parametrize(("path", "told"), [
    ("cart.py", "Similar: src/cart.py"), ("README.markdown", "There is no file"), ("src", "is a folder"),
    ("link", "symbolic link to 'README.md'"),
    ("vendor/sub", "is a submodule"), ("src/cart.py/x", "There is no file"), ("src/card.py", "Similar: src/cart.py"),
    ("", "root is a folder"),
])
async def test_what_cannot_be_read_says_what_to_do(desk: Desk, path: str, told: str):
    assert told in (await desk.refused("read_file", path=path))[1]


async def test_a_long_file_comes_in_pieces_that_join_without_a_gap(desk: Desk):
    await desk.call("write_file", path="long.txt", content="".join(f"line {i}\n" for i in range(1, 4_001)))
    first = await desk.call("read_file", path="long.txt")
    assert first.endswith("  2000\tline 2000\n[continue with start_line=2001]")
    assert "  2001\tline 2001" in await desk.call("read_file", path="long.txt", start_line=2_001)


async def test_wide_files_stay_below_the_cap(desk: Desk):
    await desk.call("write_file", path="wide.txt", content=("x" * 1_500 + "\n") * 100 + "y" * 100_000)
    text = await desk.call("read_file", path="wide.txt")
    assert len(text) < 70_000
    assert "continue with start_line=" in text
    assert "line cut: it has 100,000 characters" in await desk.call("read_file", path="wide.txt", start_line=101)


async def test_a_written_file_is_a_commit_on_the_workspace(desk: Desk):
    before = desk.mirror.head(desk.scope.workspace)
    result = await desk.client.call_tool("write_file", {"path": "new/dir/a.txt", "content": "hi\n"})
    head = desk.mirror.head(desk.scope.workspace)
    assert result.structured_content == {"commit": head, "paths": ["new/dir/a.txt"]}
    assert head != before
    assert desk.content("new/dir/a.txt") == b"hi\n"


async def test_replacing_keeps_mode_and_crlf_and_byte_order_mark(desk: Desk):
    await desk.call("write_file", path="run.sh", content="echo\n")
    await desk.call("write_file", path="win.txt", content="1\n2\n")
    await desk.call("write_file", path="bom.txt", content="1\n")
    assert (desk.entry("run.sh").mode, desk.content("win.txt")) == (0o100755, b"1\r\n2\r\n")
    assert desk.content("bom.txt") == b"\xef\xbb\xbf1\n"


async def test_writing_the_same_content_makes_no_commit(desk: Desk):
    before = desk.mirror.head(desk.scope.workspace)
    assert "Nothing changed" in await desk.call("write_file", path="README.md", content="# Shop\n")
    assert desk.mirror.head(desk.scope.workspace) == before


@pytest.mark.parametrize(("path", "told"), [
    ("link", "symbolic link"), ("linked/x.py", "linked is a symbolic link"), ("vendor/sub", "submodule"),
    ("vendor/sub/x", "submodule"),
    ("README.md/x", "README.md is a file"), ("src", "is a folder"), ("../x", "must not have"), ("/etc/passwd", "absolute"),
    (".git/config", "git's own folder"), ("a\\b", "backslash"), ("x\ny", "control"), ("", "empty"),
    (".GIT./hooks/x", "git's own folder"),
])
async def test_what_cannot_be_written_is_refused_and_nothing_changes(desk: Desk, path: str, told: str):
    before = desk.mirror.head(desk.scope.workspace)
    assert told in (await desk.refused("write_file", path=path, content="x"))[1]
    assert desk.mirror.head(desk.scope.workspace) == before


async def test_the_policy_of_the_call_is_kept_by_both_ways_of_writing(desk: Desk):
    policy = Policy(allowed_paths=("src/**",))
    code, told = await desk.refused("write_file", desk.meta("c1", policy), path="README.md", content="x")
    assert (code, "allows only src/**" in told) == ("guardrail", True)
    patch = "*** Begin Patch\n*** Update File: src/cart.py\n*** Move to: cart.py\n*** End Patch"
    assert (await desk.refused("apply_patch", desk.meta("c2", policy), patch=patch))[0] == "guardrail"
    assert (await desk.refused("write_file", desk.meta("c3"), path=".github/workflows/ci.yml", content="x"))[0] == "guardrail"


async def test_the_same_call_is_done_once(desk: Desk):
    """Also when somebody else wrote in between: the repeat must not write over it."""
    first = await desk.client.call_tool("write_file", {"path": "a", "content": "1\n"}, meta=desk.meta("call-1"))
    await desk.call("write_file", desk.meta("call-2"), path="a", content="2\n")
    again = await desk.client.call_tool("write_file", {"path": "a", "content": "1\n"}, meta=desk.meta("call-1"))
    assert (again.structured_content, again.content) == (first.structured_content, first.content)
    assert desk.content("a") == b"2\n"


async def test_a_patch_is_done_once(desk: Desk):
    patch = "*** Begin Patch\n*** Update File: src/cart.py\n@@\n def total():\n+    log()\n*** End Patch"
    first = await desk.client.call_tool("apply_patch", {"patch": patch}, meta=desk.meta("call-1"))
    again = await desk.client.call_tool("apply_patch", {"patch": patch}, meta=desk.meta("call-1"))
    assert again.structured_content == first.structured_content
    assert desk.content("src/cart.py") == b"def total():\n    log()\n    return 0\n"


async def test_parallel_writes_all_arrive(desk: Desk):
    calls = [desk.call("write_file", desk.meta(f"c{i}"), path=f"many/{i}.txt", content=f"{i}\n") for i in range(8)]
    await asyncio.gather(*calls)
    assert [desk.content(f"many/{i}.txt") for i in range(8)] == [f"{i}\n".encode() for i in range(8)]


async def test_a_patch_over_several_files_is_one_commit(desk: Desk):
    before = desk.mirror.head(desk.scope.workspace)
    patch = ("*** Begin Patch\n*** Add File: added.txt\n+new\n*** Delete File: README.md\n"
             "*** Update File: latin.txt\n@@\n-café\n+thé\n"
             "*** Update File: run.sh\n*** Move to: bin/run.sh\n@@\n #!/bin/sh\n+echo\n*** Delete File: link\n*** End Patch")
    result = await desk.client.call_tool("apply_patch", {"patch": patch})
    assert not result.is_error, result.content[0].text
    assert result.structured_content["paths"] == ["added.txt", "README.md", "latin.txt", "run.sh", "bin/run.sh", "link"]
    assert desk.content("latin.txt") == "th\xe9\nbar\n".encode("latin-1")
    assert (desk.entry("README.md"), desk.entry("run.sh"), desk.entry("link")) == (None, None, None)
    assert (desk.entry("bin/run.sh").mode, desk.content("bin/run.sh")) == (0o100755, b"#!/bin/sh\necho\n")
    assert git(desk.mirror.path, "rev-list", "--count", f"{before}..{result.structured_content['commit']}") == "1"


async def test_one_file_that_does_not_fit_leaves_all_as_they_were(desk: Desk):
    before = desk.mirror.head(desk.scope.workspace)
    patch = ("*** Begin Patch\n*** Add File: added.txt\n+new\n*** Update File: src/cart.py\n"
             "@@\n-    return 1\n+    return 2\n*** End Patch")
    code, told = await desk.refused("apply_patch", patch=patch)
    assert code == "invalid-input"
    assert "Hunk 1 of src/cart.py does not fit" in told
    assert desk.mirror.head(desk.scope.workspace) == before


@pytest.mark.parametrize(("section", "told"), [
    ("*** Add File: README.md\n+x", "exists already"), ("*** Delete File: nope", "There is no file 'nope'"),
    ("*** Update File: cart.py\n@@\n-a\n+b", "Similar: src/cart.py"), ("*** Update File: logo.png\n@@\n-a\n+b", "binary"),
    ("*** Update File: link\n@@\n-a\n+b", "symbolic link"), ("*** Update File: README.md\n*** Move to: run.sh", "exists already"),
    ("*** Update File: latin.txt\n@@\n-bar\n+日本", "Latin-1"), ("*** Add File: ../x\n+y", "must not have"),
    ("*** Update File: README.md\n*** Move to: win.txt/x", "is a file"),
])
async def test_a_patch_that_cannot_be_applied_says_why(desk: Desk, section: str, told: str):
    assert told in (await desk.refused("apply_patch", patch=f"*** Begin Patch\n{section}\n*** End Patch"))[1]


async def test_a_unified_diff_is_taken(desk: Desk):
    diff = "--- a/bare\n+++ b/bare\n@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+c\n"
    await desk.call("apply_patch", patch=diff)
    assert desk.content("bare") == b"a\nc\n"


async def test_missing_and_unknown_arguments_are_the_models_to_mend(desk: Desk):
    result = await desk.client.call_tool("write_file", {"path": "x"})
    assert result.is_error
    assert "content" in result.content[0].text


async def test_a_workspace_that_was_never_opened_is_refused(desk: Desk):
    meta = desk.meta("c")
    meta[WORKSPACE] = {"mirror": "nothing-here", "name": "task"}
    assert (await desk.refused("list_files", meta))[0] == "not-found"


async def test_a_server_without_a_workspace_asks_for_one(tmp_path: Path):
    async with Client(build_server(Mirrors(tmp_path))) as client:
        result = await client.call_tool("list_files", {})
    assert result.is_error
    assert "--workspace" in result.content[0].text


async def test_it_serves_any_client_over_stdio(remote: Path, tmp_path: Path):
    arguments = ["-m", "mcp_servers.fs", "--mirrors", str(tmp_path), "--repository", str(remote), "--branch", "main"]
    root = Path(__file__).parents[2]
    server = StdioServerParameters(command=sys.executable, args=arguments, cwd=root, env={**os.environ, "PYTHONPATH": str(root)})
    async with Client(stdio_client(server)) as client:
        result = await client.call_tool("read_file", {"path": "README.md"})
        assert "1\t# Shop" in result.content[0].text
        assert not (await client.call_tool("write_file", {"path": "a", "content": "b\n"})).is_error


async def test_an_unusable_repository_ends_the_command_with_a_message(tmp_path: Path):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "mcp_servers.fs", "--mirrors", str(tmp_path), "--repository", str(tmp_path / "none"),
        cwd=Path(__file__).parents[2], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
    out, told = await process.communicate()
    assert (process.returncode, out) == (1, b"")
    assert told.decode().startswith("There is no folder")
