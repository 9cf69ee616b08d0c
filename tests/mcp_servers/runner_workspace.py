"""A repository in a mirror, and the ``runner`` server on it as an MCP client sees it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import mcp
import pygit2

from contracts.errors import SandboxUnavailable
from contracts.policy import Policy
from contracts.sandbox import SandboxLimits, SandboxTier
from contracts.workspace import Workspace
from mcp_servers.object_store import EMPTY_TREE, Entry, Mirrors, NewBlob
from mcp_servers.runner.bubblewrap import BubblewrapKeeper
from mcp_servers.runner.container import ContainerKeeper
from mcp_servers.runner.deps_cache import DepsCache
from mcp_servers.runner.sandbox import SandboxKeeper
from mcp_servers.runner.sandboxes import Sandboxes
from mcp_servers.runner.server import build_server
from mcp_servers.scope import BASE, CALL, POLICY, WORKSPACE

Content = str | bytes | NewBlob | Entry
LIMITS = SandboxLimits(memory_mib=512, disk_mib=128, output_kib=256, processes=128)
KEEPERS: dict[SandboxTier, type[BubblewrapKeeper] | type[ContainerKeeper]] = {
    SandboxTier.BUBBLEWRAP: BubblewrapKeeper,
    SandboxTier.CONTAINER: ContainerKeeper,
}


def missing(tier: SandboxTier) -> str:
    """Why a tier does not exist on this machine; empty when it does."""
    try:
        asyncio.run(KEEPERS[tier]().report())
    except SandboxUnavailable as reason:
        return reason.message
    return ""


class Place:
    """A workspace, and tools that run in it."""

    def __init__(self, folder: Path, keeper: SandboxKeeper, files: Mapping[str, Content], limits: SandboxLimits = LIMITS) -> None:
        self.mirrors = Mirrors(folder / "mirrors")
        self.mirror = self.mirrors.create("shop")
        self.workspace = Workspace(mirror="shop", name="task")
        store = pygit2.Repository(str(self.mirror.path))
        store.TreeBuilder().write()
        who = pygit2.Signature("Someone", "someone@example.com", 1_700_000_000, 0)
        tree = self.mirror.edit_tree(EMPTY_TREE, blobs(files)) if files else EMPTY_TREE
        self.base = str(store.create_commit(None, who, who, "Everything", tree, []))
        self.mirror.start(self.workspace, self.base)
        self.sandboxes = Sandboxes([keeper], DepsCache(folder / "dependencies"), limits)
        self.server = build_server(self.mirrors, self.sandboxes)
        self.policy = Policy()

    @property
    def head(self) -> str:
        return self.mirror.head(self.workspace)

    def commit(self, files: Mapping[str, Content | None]) -> str:
        """Change some files as another server would; None removes one."""
        tree = self.mirror.edit_tree(
            self.head, {path: None if c is None else blobs({path: c})[path] for path, c in files.items()}
        )
        return self.mirror.commit(self.workspace, tree, "Change")

    def read(self, path: str) -> bytes | None:
        entry = self.mirror.entry(self.head, path)
        return self.mirror.read(entry.oid) if entry else None

    async def call(self, tool: str, call: str = "", progress: Any = None, **arguments: Any) -> Any:
        meta = {WORKSPACE: self.workspace.model_dump(), BASE: self.base, CALL: call, POLICY: self.policy.model_dump(mode="json")}
        async with mcp.Client(self.server) as client:
            return await client.call_tool(tool, arguments, progress_callback=progress, meta=meta)

    async def run(self, command: str, call: str = "", **arguments: Any) -> dict[str, Any]:
        """The structured result of ``run_command``."""
        result = await self.call("run_command", call, command=command, **arguments)
        assert not result.is_error, result.content
        return result.structured_content

    async def data(self, tool: str, **arguments: Any) -> dict[str, Any]:
        result = await self.call(tool, **arguments)
        assert not result.is_error, result.content
        return result.structured_content

    async def text(self, tool: str, **arguments: Any) -> str:
        result = await self.call(tool, **arguments)
        assert not result.is_error, result.content
        return result.content[0].text

    async def refusal(self, tool: str, **arguments: Any) -> Any:
        result = await self.call(tool, **arguments)
        assert result.is_error
        return result


def blobs(files: Mapping[str, Content]) -> dict[str, NewBlob | Entry | None]:
    return {
        path: NewBlob(c.encode()) if isinstance(c, str) else NewBlob(c) if isinstance(c, bytes) else c
        for path, c in files.items()
    }


@contextlib.asynccontextmanager
async def place(
    folder: Path, keeper: SandboxKeeper, files: Mapping[str, Content], limits: SandboxLimits = LIMITS
) -> AsyncIterator[Place]:
    there = Place(folder, keeper, files, limits)
    try:
        yield there
    finally:
        await there.sandboxes.close()
