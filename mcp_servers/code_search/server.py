"""The ``code_search`` MCP server: finding the right code in a workspace without reading all of it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, Literal

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from contracts.errors import PatchwrightError
from contracts.housekeeping import TidiedMirror
from contracts.loosening import Loosenings
from mcp_servers import failures
from mcp_servers.code_search.code_answer import search_code
from mcp_servers.code_search.context import MAX_BUDGET, MIN_BUDGET, gather_context
from mcp_servers.code_search.index import CodeIndex, Snapshot
from mcp_servers.code_search.loosened import loosened
from mcp_servers.code_search.repo_map import repo_map
from mcp_servers.code_search.symbol_search import find_symbol, outline
from mcp_servers.code_search.text_answer import TextSearch, search_text
from mcp_servers.object_store import Mirrors
from mcp_servers.scope import Scope, scope_of

INSTRUCTIONS = """\
Finds code in the workspace's newest commit. Every answer names places as path:line. Start with repo_map or search_code when \
you do not know the code; use find_symbol and outline for definitions; search_text is ripgrep. Files that are binary or larger \
than 4 MiB are not searched, symbolic links and submodules are not followed; hidden and ignored files that are committed are."""
TIDIES = ToolAnnotations(read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
READ_ONLY = ToolAnnotations(read_only_hint=True, idempotent_hint=True, open_world_hint=False)
_PROGRESS_SECONDS = 0.3

Answer = tuple[str, dict[str, Any]]


class Indexes:
    """The indexes of all mirrors, one below ``root`` for each; brings one up to date at a time."""

    def __init__(self, mirrors: Mirrors, root: Path) -> None:
        self._mirrors, self._root = mirrors, root
        self._indexes: dict[str, CodeIndex] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def snapshot(self, scope: Scope, ctx: Context[Any, Any]) -> Snapshot:
        """The head of the workspace, indexed; the client sees progress while that takes time."""
        name = scope.workspace.mirror
        index, tree = await asyncio.to_thread(self._head, scope)
        if (found := index.ready(tree)) is not None:
            return found
        # One thread at a time waits for an index, so that many tasks on a cold mirror do not take all threads.
        async with self._turns.setdefault(name, asyncio.Lock()):
            return await _watched(index, tree, ctx)

    def _head(self, scope: Scope) -> tuple[CodeIndex, str]:
        mirror = self._mirrors.of(scope.workspace)
        return self._of(scope.workspace.mirror), mirror.tree_of(mirror.head(scope.workspace))

    def _of(self, name: str) -> CodeIndex:
        return self._indexes.get(name) or self._indexes.setdefault(name, CodeIndex(self._mirrors, name, self._root / name))

    def tidy(self, name: str) -> TidiedMirror:
        """Throw the index of a mirror away when most of it is about blobs that are gone."""
        folder = self._root / name
        before = _bytes(folder)
        if not folder.is_dir():
            return TidiedMirror(mirror=name)
        packed = self._of(name).tidy()
        return TidiedMirror(mirror=name, packed=packed, bytes_before=before, bytes_after=_bytes(folder))


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def _watched(index: CodeIndex, tree: str, ctx: Context[Any, Any]) -> Snapshot:
    stop = threading.Event()
    state = [0, 0]

    def note(done: int, total: int) -> None:
        state[:] = [done, total]

    work = asyncio.create_task(asyncio.to_thread(index.snapshot, tree, note, stop))
    # When the client has gone, nobody else looks at how the thread ended.
    work.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        while True:
            finished, _ = await asyncio.wait({work}, timeout=_PROGRESS_SECONDS)
            if finished:
                return work.result()
            if state[1]:
                await ctx.report_progress(state[0], state[1], f"indexing the repository: {state[0]} of {state[1]} files")
    finally:
        stop.set()


def build_server(mirrors: Mirrors, index_root: Path, default: Scope | None = None) -> MCPServer:
    """The server. ``index_root`` is a folder that only this service writes; losing it costs a new indexing."""
    server = MCPServer("code_search", instructions=INSTRUCTIONS)
    indexes = Indexes(mirrors, index_root)

    async def answer(ctx: Context[Any, Any], compute: Callable[[Snapshot], Answer]) -> CallToolResult:
        try:
            snapshot = await indexes.snapshot(scope_of(ctx, default), ctx)
            text, data = await asyncio.to_thread(compute, snapshot)
        except PatchwrightError as error:
            return failures.failure(error)
        return failures.answer(text, data)

    for register in (_register_text, _register_symbols, _register_retrieval):
        register(server, answer)
    _register_upkeep(server, indexes)
    _register_judgement(server, mirrors, default)
    return server


def _register_upkeep(server: MCPServer, indexes: Indexes) -> None:
    async def tidy_index(mirror: str) -> TidiedMirror:
        """For the service: throw away an index that is mostly about what is gone; it is built again."""
        return await asyncio.to_thread(indexes.tidy, mirror)

    server.tool(annotations=TIDIES)(failures.tell_failures(tidy_index))


def _register_judgement(server: MCPServer, mirrors: Mirrors, default: Scope | None) -> None:
    async def loosened_tests(
        ctx: Context[Any, Any],
        old: Annotated[str, Field(description="The commit whose tests count.")],
        new: Annotated[str, Field(description="The commit that may ask for less.")],
    ) -> Loosenings:
        """For the service: the tests that lie between two commits and were removed, skipped or loosened, found by structure."""
        mirror = mirrors.of(scope_of(ctx, default).workspace)
        base, commit = mirror.resolve(old), mirror.resolve(new)
        found = await asyncio.to_thread(loosened, mirror, base, commit)
        standing = await asyncio.to_thread(mirror.commits_between, base, commit)
        return found.model_copy(update={"commit": commit, "commits": standing})

    server.tool(annotations=READ_ONLY)(failures.tell_failures(loosened_tests))


Answering = Callable[[Context[Any, Any], Callable[[Snapshot], Answer]], Awaitable[CallToolResult]]
Glob = Annotated[str, Field(
    description="Only these paths, by gitignore rules: *.py, src/**, {a,b}/*.ts; with a leading ! all others.")]


def _register_text(server: MCPServer, answer: Answering) -> None:
    @server.tool(name="search_text", annotations=READ_ONLY)
    async def lines(
        ctx: Context,
        pattern: Annotated[str, Field(description="A regular expression of ripgrep (Rust syntax), matched line by line.",
                                      max_length=10_000)],
        path_glob: Glob = "",
        file_type: Annotated[str, Field(description="One of ripgrep's file types: py, js, ts, go, rust, java, md, …")] = "",
        case: Annotated[Literal["smart", "sensitive", "insensitive"], Field(
            description="smart: ignore case unless the pattern has a capital letter.")] = "smart",
        fixed: Annotated[bool, Field(description="Take the pattern as plain text, not as a regular expression.")] = False,
        context_lines: Annotated[int, Field(description="Lines to show before and after each match.", ge=0, le=20)] = 0,
        limit: Annotated[int, Field(description="Matching lines to show at most.", ge=1, le=2_000)] = 100,
    ) -> CallToolResult:
        """Find every line that matches a pattern, as ripgrep does: `path:line:text`, grouped by file, in order of path and line.

        The first line tells how many lines match and whether some are left out. Use it for exact names, error messages
        and usages; use search_code when you can only describe what you look for.
        """
        asked = TextSearch(pattern, path_glob, file_type, case, fixed, context_lines, limit)
        return await answer(ctx, lambda snapshot: search_text(snapshot, asked))


def _register_symbols(server: MCPServer, answer: Answering) -> None:
    @server.tool(name="find_symbol", annotations=READ_ONLY)
    async def definitions(
        ctx: Context,
        name: Annotated[str, Field(description="A name or a part of one; `Class.method` narrows to that class.", max_length=300)],
        kind: Annotated[str, Field(description="Only this kind: function, method, class, interface, enum, type, constant, "
                                               "variable, module, macro, property, field.")] = "",
        path_glob: Glob = "",
        limit: Annotated[int, Field(description="Definitions to show at most.", ge=1, le=500)] = 50,
    ) -> CallToolResult:
        """Find where a function, class, method, type or constant is defined: place with first and last line, signature,
        and how often the name is referred to.

        Exact names come first; without any, names in another case, then names that begin so, then names that contain it.
        """
        return await answer(ctx, lambda snapshot: find_symbol(snapshot, name, kind, path_glob, limit))

    @server.tool(name="outline", annotations=READ_ONLY)
    async def structure(
        ctx: Context,
        path: Annotated[str, Field(description="A file or a folder; empty for the whole repository.", max_length=4_096)] = "",
    ) -> CallToolResult:
        """Show what a file defines, nested, each with its first and last line; of a folder, what each of its files defines.

        Cheaper than reading the file: use it to choose the lines to read.
        """
        return await answer(ctx, lambda snapshot: outline(snapshot, path))


def _register_retrieval(server: MCPServer, answer: Answering) -> None:
    @server.tool(name="repo_map", annotations=READ_ONLY)
    async def important(
        ctx: Context,
        token_budget: Annotated[int, Field(description="Length of the answer at most, in tokens (bytes / 4).", ge=100,
                                           le=50_000)] = 1_000,
        focus: Annotated[list[str], Field(description="Paths, folders, names or words the map should be drawn towards.",
                                          max_length=50)] = [],  # noqa: B006
    ) -> CallToolResult:
        """Show the most important files of the repository and their main definitions, within a token budget.

        A file is important when many others refer to what it defines. Start here in a repository you do not know.
        """
        return await answer(ctx, lambda snapshot: repo_map(snapshot, token_budget, tuple(focus)))

    @server.tool(name="search_code", annotations=READ_ONLY)
    async def by_meaning(
        ctx: Context,
        query: Annotated[str, Field(description="What the code does, in plain words, or identifiers: "
                                                "`retry failed payment charge`.", max_length=2_000)],
        limit: Annotated[int, Field(description="Results at most.", ge=1, le=50)] = 10,
    ) -> CallToolResult:
        """Find the functions and classes that fit a description, best first: place, main lines and why each matched.

        Names are split into words and related words count too (retry finds backoff), so it finds code that search_text with
        the same words does not. Tests, documentation and vendored code come after sources.
        """
        return await answer(ctx, lambda snapshot: search_code(snapshot, query, limit))

    @server.tool(name="gather_context", annotations=READ_ONLY)
    async def for_an_edit(
        ctx: Context,
        query: Annotated[str, Field(description="The task in a few sentences.", max_length=20_000)],
        paths: Annotated[list[str], Field(description="Files that will be edited or created.", max_length=200)] = [],  # noqa: B006
        token_budget: Annotated[int, Field(description="Length of the answer at most, in tokens (bytes / 4).", ge=MIN_BUDGET,
                                           le=MAX_BUDGET)] = 6_000,
    ) -> CallToolResult:
        """Collect in one text what is needed before an edit: a map, the files to edit (whole or their relevant parts),
        the tests that refer to them, and related code.
        """
        return await answer(ctx, lambda snapshot: gather_context(snapshot, query, tuple(paths), token_budget))
