"""Paths that are spelled in another way, places that change from file to folder, and content that is stored elsewhere."""

import unicodedata
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import Client
from mcp.types import TextContent

from mcp_servers.fs.server import build_server
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.opening import open_workspace
from mcp_servers.scope import Scope
from tests.fakes.stack import remote

DECOMPOSED, COMPOSED = (unicodedata.normalize(form, "résumés/café.txt") for form in ("NFD", "NFC"))
FILES = {
    DECOMPOSED: "one\n", "plain": "x\n", "folder/a.txt": "a\n", "folder/b.txt": "b\n",
    "lfs.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n",
}


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[tuple[Client, set[str]]]:
    """A client of ``fs``, and a set that holds the workspace's paths after the block."""
    mirrors = Mirrors(folder / "mirrors")
    opened = open_workspace(mirrors, str(remote(folder, FILES)), "", "task")
    after: set[str] = set()
    async with Client(build_server(mirrors, Scope(opened.workspace))) as client:
        yield client, after
    mirror = mirrors.of(opened.workspace)
    after |= {entry.path for entry in mirror.entries(mirror.head(opened.workspace))}


async def told(client: Client, tool: str, **arguments: str) -> str:
    part = (await client.call_tool(tool, arguments)).content[0]
    assert isinstance(part, TextContent)
    return part.text


async def test_a_path_with_composed_accents_finds_the_file_with_decomposed_ones_and_makes_no_twin(tmp_path: Path) -> None:
    assert COMPOSED != DECOMPOSED
    async with desk(tmp_path) as (client, after):
        assert "one" in await told(client, "read_file", path=COMPOSED)
        assert "Wrote" in await told(client, "write_file", path=COMPOSED, content="two\n")
        patch = f"*** Begin Patch\n*** Update File: {COMPOSED}\n@@\n-two\n+three\n*** End Patch"
        assert "Patched" in await told(client, "apply_patch", patch=patch)
        assert "three" in await told(client, "read_file", path=DECOMPOSED)
        assert "Wrote" in await told(client, "write_file", path=COMPOSED.replace("café", "new"), content="in the same folder\n")
    assert after == {*FILES, DECOMPOSED.split("/")[0] + "/new.txt"}


async def test_one_patch_puts_a_folder_in_the_place_of_a_file_and_the_reverse_in_any_order(tmp_path: Path) -> None:
    patch = ("*** Begin Patch\n*** Add File: plain/inner.txt\n+x\n*** Delete File: plain\n*** Delete File: folder/a.txt\n"
             "*** Add File: folder\n+now a file\n*** Delete File: folder/b.txt\n*** End Patch")
    async with desk(tmp_path) as (client, after):
        assert "Patched" in await told(client, "apply_patch", patch=patch)
        assert "now a file" in await told(client, "read_file", path="folder")
    assert after == {DECOMPOSED, "lfs.bin", "plain/inner.txt", "folder"}


async def test_a_folder_that_still_holds_files_is_not_replaced(tmp_path: Path) -> None:
    patch = "*** Begin Patch\n*** Delete File: folder/a.txt\n*** Add File: folder\n+now a file\n*** End Patch"
    async with desk(tmp_path) as (client, after):
        assert "is a folder" in await told(client, "apply_patch", patch=patch)
    assert after == set(FILES)


async def test_a_git_lfs_pointer_is_left_as_it_is(tmp_path: Path) -> None:
    async with desk(tmp_path) as (client, after):
        assert "Git LFS pointer" in await told(client, "write_file", path="lfs.bin", content="x")
        patch = "*** Begin Patch\n*** Update File: lfs.bin\n@@\n-size 9\n+size 8\n*** End Patch"
        assert "Git LFS pointer" in await told(client, "apply_patch", patch=patch)
        assert "size 9" in await told(client, "read_file", path="lfs.bin")
    assert after == set(FILES)
