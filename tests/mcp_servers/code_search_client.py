"""A repository in a mirror, and the ``code_search`` server on it as an MCP client sees it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mcp
import pygit2

from contracts.workspace import Workspace
from mcp_servers.code_search.server import build_server
from mcp_servers.object_store import EMPTY_TREE, Entry, Mirrors, NewBlob
from mcp_servers.scope import Scope

Content = str | bytes | NewBlob | Entry | None


class Served:
    """Files in a workspace, and the tools that look at them."""

    def __init__(self, folder: Path, files: Mapping[str, Content]) -> None:
        self.folder = folder
        self.mirrors = Mirrors(folder / "mirrors")
        self.mirror = self.mirrors.create("shop")
        self.workspace = Workspace(mirror="shop", name="task")
        pygit2.Repository(str(self.mirror.path)).TreeBuilder().write()
        who = pygit2.Signature("Someone", "someone@example.com", 1_700_000_000, 0)
        commit = pygit2.Repository(str(self.mirror.path)).create_commit(
            None, who, who, "Everything", self.mirror.edit_tree(EMPTY_TREE, _blobs(files)), [])
        self.mirror.start(self.workspace, str(commit))
        self.restart()

    def restart(self) -> None:
        """A new server process on the same files, as far as the server can tell."""
        self.server = build_server(self.mirrors, self.folder / "index", Scope(self.workspace))

    def commit(self, files: Mapping[str, Content]) -> None:
        """Change some files; None removes one."""
        tree = self.mirror.edit_tree(self.mirror.head(self.workspace), _blobs(files))
        self.mirror.commit(self.workspace, tree, "Change")

    async def call(self, tool: str, **arguments: Any) -> Any:
        async with mcp.Client(self.server) as client:
            return await client.call_tool(tool, arguments)

    async def text(self, tool: str, **arguments: Any) -> str:
        result = await self.call(tool, **arguments)
        assert not result.is_error, result.content
        return result.content[0].text

    async def data(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.call(tool, **arguments)
        assert not result.is_error, result.content
        return result.structured_content

    async def refusal(self, tool: str, **arguments: Any) -> str:
        result = await self.call(tool, **arguments)
        assert result.is_error
        return result.content[0].text


def _blobs(files: Mapping[str, Content]) -> dict[str, NewBlob | Entry | None]:
    made = {path: content.encode() if isinstance(content, str) else content for path, content in files.items()}
    return {path: NewBlob(content) if isinstance(content, bytes) else content for path, content in made.items()}
