"""What a turn of ours is made of: each part alone, on real stores and a real workspace, early and late in a run.

The sum is less than a turn of ``bench turns``: there the Agents SDK's runner, the HTTP client and the event loop come on top.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from activities.agent_run.encoding import Conversation
from activities.capabilities import CallScope, Capabilities
from activities.stores.journal_store import JournalRow
from activities.stores.run_store import RunStore
from contracts.event import EventKind, NewEvent
from contracts.policy import Policy
from contracts.task import Task, TaskRequest
from contracts.workspace import Workspace
from mcp_servers.fs.writing import write_file
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.opening import open_workspace
from mcp_servers.scope import Scope
from services import mcp_wiring, wiring
from services.settings import IsolatedSettings
from tests.bench import form
from tests.bench.bench_turns import repository
from tests.bench.turns_words import PARTS, lines

ROUNDS = 25
"""Measurements of each part; the median counts."""


async def _timed(deed: Callable[[int], Awaitable[Any]], start: int) -> float:
    """Median milliseconds of a deed, told its number."""
    spent = []
    for number in range(start, start + ROUNDS):
        begun = time.perf_counter()
        await deed(number)
        spent.append((time.perf_counter() - begun) * 1_000)
    return round(statistics.median(spent), 2)


class Parts:
    """The parts, each as a deed for the n-th turn."""

    def __init__(self, kept: wiring.Stores, connected: Capabilities, mirrors: Mirrors, scope: CallScope, task: str) -> None:
        self.kept, self.connected, self.mirrors, self.scope, self.task = kept, connected, mirrors, scope, task
        self.workspace: Workspace = scope.workspace or Workspace(mirror="", name="")
        self.conversation, self.items = Conversation(), list[dict[str, Any]]()

    async def journal(self, number: int) -> None:
        """A model answer, a call's start and its end."""
        for kind, state in (("model", "done"), ("tool", "started"), ("tool", "done")):
            payload = lines(64, 64, f"turn {number}").encode() if state == "done" else b""
            row = JournalRow(
                task_id=self.task,
                run="edit-1.0",
                kind=kind,
                key=f"{number}",
                ordinal=number,
                digest="0" * 64,
                state=state,
                payload=payload,
                commit="",
            )
            await self.kept.journal.put(row)

    async def events(self, number: int) -> None:
        """What one turn tells: a model call, a tool call, a commit."""
        kinds = (EventKind.MODEL_CALL, EventKind.TOOL_CALL, EventKind.COMMIT)
        told = [
            NewEvent(kind=kind, text=f"turn {number}", step="ApplyDiffs", agent="coder", key=f"{kind}/{number}")
            for kind in kinds
        ]
        await self.kept.runs.append(self.task, told)

    async def encoding(self, number: int) -> None:
        """The conversation with two more items, encoded, digested and joined to a body."""
        text = lines(64, 64, f"turn {number}")
        self.items = [*self.items, {"type": "function_call", "call_id": f"c{number}", "name": "write_file", "arguments": text},
                      {"type": "function_call_output", "call_id": f"c{number}", "output": text}]
        self.conversation.follow([dict(item) for item in self.items])
        assert self.conversation.body and self.conversation.digest(b"")

    async def read(self, number: int) -> None:
        """``read_file`` by MCP."""
        await self.connected.call("read_file", {"path": f"docs/part_{number % PARTS:02}.md"}, self.scope, f"r{number}")

    async def write(self, number: int) -> None:
        """``write_file`` by MCP, commit included."""
        arguments = {"path": f"notes/part_{number % PARTS:02}.md", "content": lines(64, 64, f"turn {number}")}
        result = await self.connected.call("write_file", arguments, self.scope, f"w{number}")
        assert not result.is_error, result

    async def commit(self, number: int) -> None:
        """The same write straight to the object store."""
        scope = Scope(self.workspace, f"d{number}", self.scope.base, Policy())
        path, text = f"notes/part_{number % PARTS:02}.md", lines(64, 64, f"commit {number}")
        await asyncio.to_thread(lambda: write_file(self.mirrors.of(self.workspace), scope, path, text))


NAMES = ("journal", "events", "encoding", "read", "write", "commit")


async def _measure(folder: Path, at: int) -> dict[str, dict[str, float]]:
    settings = IsolatedSettings(data_dir=folder / "data", log_level="error")
    mirrors = mcp_wiring.mirrors(settings)
    opened = open_workspace(mirrors, str(repository(folder)), "main", "bench")
    async with wiring.stores(settings) as kept, mcp_wiring.capabilities(settings, "http://127.0.0.1") as connected:
        task = await _task(kept.runs, opened.workspace.mirror)
        scope = CallScope(opened.workspace, opened.base_commit, Policy())
        parts = Parts(kept, connected, mirrors, scope, task)
        early = {name: await _timed(getattr(parts, name), 0) for name in NAMES}
        for number in range(ROUNDS, at):
            await parts.encoding(number)
            await parts.write(number)
        return {"early": early, "late": {name: await _timed(getattr(parts, name), at) for name in NAMES}}


async def _task(runs: RunStore, repo: str) -> str:
    accepted = Task(id="pw-" + "a" * 12, request=TaskRequest(repo=repo, title="Parts"), created_at=datetime.now(UTC))
    await runs.accept(accepted, "parts", "0" * 64)
    return accepted.id


def main() -> None:
    """Measure and print."""
    parser = form.options(__doc__ or "")
    parser.add_argument("--at", type=int, default=200, help="the late turn (default: %(default)s)")
    given = parser.parse_args()
    on = form.machine()
    with tempfile.TemporaryDirectory(prefix="bench-parts-") as folder:
        found = asyncio.run(_measure(Path(folder), given.at))
    told = {name: (getattr(Parts, name).__doc__ or name).rstrip(".") for name in NAMES}
    rows = [(f"{name}: {told[name]}", found["early"][name], found["late"][name]) for name in NAMES]
    heads = ("part", f"turns 1 to {ROUNDS}", f"turns {given.at} to {given.at + ROUNDS}")
    form.report("parts", found, [form.table("Milliseconds of one turn's parts, medians", heads, rows)], given.json, on=on)


if __name__ == "__main__":
    main()
