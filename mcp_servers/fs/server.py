"""The tools of the ``fs`` server."""

import asyncio
from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from mcp_servers.failures import answer, tell_failures
from mcp_servers.fs import reading, writing
from mcp_servers.fs.names import shown
from mcp_servers.object_store import Mirror, Mirrors
from mcp_servers.scope import Scope, scope_of

R = TypeVar("R")
INSTRUCTIONS = (
    "Files of one workspace. Paths are relative to the repository's root, with forward slashes. "
    "Every change is committed at once; there is nothing to save.")
READS = ToolAnnotations(read_only_hint=True, open_world_hint=False)
CHANGES = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False, open_world_hint=False)


def build_server(mirrors: Mirrors, default: Scope | None = None) -> MCPServer:
    """The server over a folder of mirrors; ``default`` is the workspace of clients that name none."""
    server = MCPServer("patchwright-fs", instructions=INSTRUCTIONS, log_level="WARNING")
    files = _Files(mirrors, default)
    server.tool(annotations=READS, structured_output=False)(tell_failures(files.list_files))
    server.tool(annotations=READS, structured_output=False)(tell_failures(files.read_file))
    server.tool(annotations=CHANGES, structured_output=False)(tell_failures(files.write_file))
    server.tool(annotations=CHANGES, structured_output=False)(tell_failures(files.apply_patch))
    return server


class _Files:
    def __init__(self, mirrors: Mirrors, default: Scope | None) -> None:
        self._mirrors = mirrors
        self._default = default

    async def list_files(
        self,
        ctx: Context[Any, Any],
        path: Annotated[str, Field(description="Folder to list, relative to the root; empty for the whole repository.")] = "",
        pattern: Annotated[str, Field(description=(
            "Glob that paths below that folder must match: '*' and '?' stay within a folder, '**/' crosses folders, "
            "e.g. '**/*.py'."))] = "**",
        limit: Annotated[int, Field(description="Files to list at most, up to 1000.", ge=1)] = 200,
        offset: Annotated[int, Field(description="Files to skip, to go on with a long list.", ge=0)] = 0,
    ) -> CallToolResult:
        """List the files below a folder, with sizes; symbolic links and submodules are marked.

        Says how many more there are and how to go on. Files are found at any depth.
        """
        return answer(await self._read(ctx, reading.listing, path, pattern, limit, offset))

    async def read_file(
        self,
        ctx: Context[Any, Any],
        path: Annotated[str, Field(description="File to read, relative to the root.")],
        start_line: Annotated[int, Field(description="First line to show, counted from 1.", ge=0)] = 1,
        end_line: Annotated[int, Field(description="Last line to show; 0 for the end of the file.", ge=0)] = 0,
    ) -> CallToolResult:
        """Read a text file: a line about it, then its lines as NUMBER, TAB, TEXT.

        The number and the tab are no part of the file. At most 2000 lines or 64 KiB come at once; the answer then ends
        with the start_line to go on with. Binary files are named but not shown.
        """
        return answer(await self._read(ctx, reading.numbered, path, start_line, end_line))

    async def write_file(
        self,
        ctx: Context[Any, Any],
        path: Annotated[str, Field(description="File to create or replace, relative to the root; folders are made as needed.")],
        content: Annotated[str, Field(description="The whole new content of the file.")],
    ) -> CallToolResult:
        """Create a file or replace its whole content, and commit it.

        Use apply_patch to change a part of a file. A replaced file keeps its executable bit and, when all its lines
        ended with CRLF, its line endings. Symbolic links and submodules are not written through.
        """
        return _receipt("Wrote", await self._change(ctx, writing.write_file, path, content))

    async def apply_patch(
        self,
        ctx: Context[Any, Any],
        patch: Annotated[str, Field(description="The patch, from '*** Begin Patch' to '*** End Patch', or a unified diff.")],
    ) -> CallToolResult:
        """Change, add, delete or move files with one patch, and commit it: all of it or nothing.

        Form:
        *** Begin Patch
        *** Update File: src/cart.py
        @@ def total(items):
             tax = rate(items)
        -    return sum(items)
        +    return sum(items) + tax
        *** Add File: src/new.py
        +print("new")
        *** Delete File: src/old.py
        *** End Patch

        In an Update section each hunk begins with '@@', optionally followed by a whole line of the file that stands above
        (the enclosing class or function). Its lines start with ' ' (unchanged), '-' (removed) or '+' (added). Unchanged and
        removed lines must be in the file exactly, in one place only: give about three unchanged lines around each change.
        '*** Move to: NEW_PATH' right below '*** Update File:' renames the file. A unified diff is taken as well.
        """
        return _receipt("Patched", await self._change(ctx, writing.apply_patch, patch))

    async def _read(self, ctx: Context[Any, Any], deed: Callable[..., R], *arguments: Any) -> R:
        scope = scope_of(ctx, self._default)

        def read() -> R:
            mirror = self._mirrors.of(scope.workspace)
            return deed(mirror, mirror.head(scope.workspace), *arguments)

        return await asyncio.to_thread(read)

    async def _change(self, ctx: Context[Any, Any], deed: Callable[..., writing.Edited], *arguments: Any) -> writing.Edited:
        scope = scope_of(ctx, self._default)

        def change() -> writing.Edited:
            mirror: Mirror = self._mirrors.of(scope.workspace)
            return deed(mirror, scope, *arguments)

        return await asyncio.to_thread(change)


def _receipt(verb: str, edited: writing.Edited) -> CallToolResult:
    paths = [shown(path) for path in edited.paths]
    said = f"{verb} {', '.join(paths)} (commit {edited.commit[:12]})."
    if edited.unchanged:
        said = f"Nothing changed: {', '.join(paths)} had this content already."
    return answer(said, {"commit": edited.commit, "paths": paths})
