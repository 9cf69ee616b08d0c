"""``run_command``: one command in the workspace's live sandbox, and its changes as a commit."""

import asyncio

from contracts.errors import SandboxLost
from contracts.sandbox import CommandResult
from mcp_servers.object_store import Mirror, Mirrors
from mcp_servers.runner.bench import Bench
from mcp_servers.runner.call_records import CallRecord, CallRecords
from mcp_servers.runner.jobs import Hearer
from mcp_servers.runner.sandbox import KILLED, OutputSink, StewardFailed, whose
from mcp_servers.runner.sandboxes import Live, Sandboxes
from mcp_servers.runner.tree_stream import Taken
from mcp_servers.scope import Scope

NAMED_REFUSALS = 10
ATTEMPTS = 3
"""Sandboxes that may be lost to one command before the caller has to ask again."""
OPENED_ANEW = (
    "The sandbox had been lost and was opened again from the workspace's commit: "
    "files that are no part of the workspace are gone."
)
AGAIN = "This call had run before; its recorded result is repeated."
RUINED = "Nothing it changed was kept; the next command gets a new sandbox from the workspace's commit."


class Commands:
    """Runs agents' commands."""

    def __init__(self, mirrors: Mirrors, sandboxes: Sandboxes) -> None:
        self._mirrors = mirrors
        self._sandboxes = sandboxes

    async def run(self, scope: Scope, command: str, time_limit: float, hearer: Hearer) -> CommandResult:
        """Run a command on the workspace's newest commit, once per ``scope.call``; what it changed is committed.

        A sandbox that is lost is opened again from the commit. Raises ``SandboxLost`` when that happens time and again,
        ``SandboxUnavailable``, ``InvalidInput`` for a broken recipe, ``Conflict`` when the workspace moved.
        """

        async def work(heard: Hearer) -> CommandResult:
            return await self._run(scope, command, time_limit, heard.take)

        return await self._sandboxes.jobs.once(whose(scope.workspace), scope.call, work, hearer)

    async def _run(self, scope: Scope, command: str, time_limit: float, on_output: OutputSink) -> CommandResult:
        mirror = await asyncio.to_thread(self._mirrors.of, scope.workspace)
        records = CallRecords(mirror, scope.workspace)
        async with self._sandboxes.live(scope.workspace) as live:
            if (earlier := await asyncio.to_thread(_earlier, mirror, records, scope, command)) is not None:
                return earlier
            for attempt in range(1, ATTEMPTS + 1):
                note = OPENED_ANEW if attempt > 1 else ""
                try:
                    return await self._once(live, mirror, records, scope, command, time_limit, on_output, note)
                except SandboxLost as lost:
                    await live.drop()
                    if attempt == ATTEMPTS and isinstance(lost, StewardFailed):
                        return _unreadable(mirror, scope, command, lost)
                    if attempt == ATTEMPTS:
                        raise
            raise AssertionError("unreachable")

    async def _once(
        self,
        live: Live,
        mirror: Mirror,
        records: CallRecords,
        scope: Scope,
        command: str,
        time_limit: float,
        on_output: OutputSink,
        note: str = "",
    ) -> CommandResult:
        parent = mirror.head(scope.workspace)
        if live.bench is not None and not live.bench.serves(scope.policy):
            await live.drop()
        bench = live.bench
        if bench is None:
            base = scope.base or mirror.base(scope.workspace) or parent
            bench = live.bench = await self._sandboxes.open(scope.workspace, mirror, base, parent, on_output, scope.policy)
        await bench.tree.bring_in(mirror.tree_of(parent))
        ran = await bench.run(command, time_limit, self._sandboxes.limits, on_output)
        taken = Taken() if ran.ruined else await bench.tree.take_out(scope.policy)
        notes = [note, bench.note, _note(ran.result, taken, bench), RUINED if ran.ruined else ""]
        bench.note = ""
        result = ran.result.model_copy(
            update={"changed": tuple(sorted(taken.edits)), "note": " ".join(told for told in notes if told)}
        )
        if ran.ruined or taken.ruined:
            await live.drop()
        return await asyncio.to_thread(
            _commit, mirror, records, scope, CallRecord(result=result, parent=parent, tree=bench.tree.tree), taken
        )


def _commit(mirror: Mirror, records: CallRecords, scope: Scope, record: CallRecord, taken: Taken) -> CommandResult:
    head = mirror.head(scope.workspace)
    if head != record.parent and taken.edits:
        # Somebody committed while the command ran: their files stay, only the command's own are put on top.
        record = record.model_copy(update={"parent": head, "tree": mirror.edit_tree(head, taken.edits)})
    records.keep(scope.call, record)
    if not taken.edits:
        return record.result.model_copy(update={"commit": head})
    made = mirror.commit(scope.workspace, record.tree, _message(record.result.command), call=scope.call)
    return record.result.model_copy(update={"commit": made})


def _earlier(mirror: Mirror, records: CallRecords, scope: Scope, command: str) -> CommandResult | None:
    """The result of this very call, when it has run before."""
    if not scope.call:
        return None
    made = mirror.made_by(scope.workspace, scope.call)
    record = records.find(scope.call)
    head = mirror.head(scope.workspace)
    if record is None:
        if not made:
            return None
        return CommandResult(
            command=command,
            exit_code=0,
            output="",
            output_bytes=0,
            commit=made,
            note=f"This call had run before and made commit {made[:12]}; its output was not kept. Run it again if you need it.",
        )
    if record.result.changed and not made:
        if head != record.parent:
            return None
        made = mirror.commit(scope.workspace, record.tree, _message(record.result.command), call=scope.call)
    return record.result.model_copy(update={"commit": made or head, "note": f"{AGAIN} {record.result.note}".strip()})


def _message(command: str) -> str:
    line = " ".join(command.split())
    return f"Run {line[:72]}{'…' if len(line) > 72 else ''}"


def _note(result: CommandResult, taken: Taken, bench: Bench) -> str:
    notes = [result.note] if result.note else []
    if taken.problem:
        notes.append(f"Nothing was taken over into the workspace: {taken.problem}")
    if taken.refused:
        named = [
            f"{path.encode('utf-8', 'backslashreplace').decode()}: {why}"
            for path, why in sorted(taken.refused.items())[:NAMED_REFUSALS]
        ]
        more = len(taken.refused) - len(named)
        notes.append("Not taken over into the workspace: " + " ".join(named) + (f" And {more} more." if more else ""))
    if bench.failed_setup is not None:
        notes.append(
            f"The recipe's setup failed ({bench.failed_setup.command!r}, exit code {bench.failed_setup.exit_code}): "
            "dependencies are missing."
        )
    return " ".join(notes)


def _unreadable(mirror: Mirror, scope: Scope, command: str, failed: StewardFailed) -> CommandResult:
    """The command's own doing: each sandbox lived, and each time the tree it left could not be worked with."""
    return CommandResult(
        command=command,
        exit_code=KILLED,
        output="",
        output_bytes=0,
        commit=mirror.head(scope.workspace),
        note=f"The files could not be read after this command ({failed.message}) {RUINED}",
    )
