"""Once a day: what ended tasks left in the mirrors is let go, and mirrors and code indexes are packed.

Kept as long as a task may still need it: workspaces of unfinished tasks, of open pull requests, and of tasks that ended less
than ``keep_days`` ago. Branches of remotes are never touched. Artifacts and events are evidence and stay.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from activities.capabilities import CallScope, Capabilities
from activities.stores.delivery_store import DeliveryStore
from activities.stores.run_store import RunStore
from contracts.errors import NotFound, PatchwrightError
from contracts.forge import PullRequest, PullRequestState
from contracts.housekeeping import KeptWorkspace, KeptWorkspaces, TidiedMirror
from contracts.record import TaskRecord
from contracts.word import Word
from services.beside import beside

log = logging.getLogger(__name__)
EVERY = timedelta(days=1)
FIRST = timedelta(minutes=10)
"""After a start: first the tasks that were on their way."""
GRACE = timedelta(days=7)
"""Objects without a ref are kept at least so long after they were last written."""
BEFORE_A_TASK = timedelta(hours=1)
"""Clocks differ: objects from so long before an unfinished task began are still taken for its own."""
DELIVERIES = timedelta(days=7)
"""How long a settled delivery of a webhook is known, so that it counts once."""
KEY = "housekeeping"


class Fate(StrEnum):
    """What becomes of a workspace."""

    NEEDED = "needed"
    RECENT = "recent"
    REVIEWED = "its pull request is open"
    FORGOTTEN = "belongs to no task"
    """Kept for the same time, counted from the day it was found out."""
    UNKNOWN = "cannot be known today"
    """Its task or its pull request could not be asked for, so it stays."""
    RELEASED = "released"


@dataclass(frozen=True)
class Judged:
    """A workspace and what becomes of it."""

    workspace: KeptWorkspace
    fate: Fate
    record: TaskRecord | None = None
    keep: tuple[str, ...] = ()
    """Commits that stay known as pushed: what the pull request shows."""
    orphan: bool = False
    problem: str = ""
    """Why that cannot be known today."""

    @property
    def due(self) -> bool:
        """Whether it is let go."""
        return self.fate is Fate.RELEASED


@dataclass(frozen=True)
class Housekept:
    """What was done, or with a dry run would be done."""

    dry_run: bool
    workspaces: tuple[Judged, ...]
    tidied: tuple[TidiedMirror, ...] = ()
    problems: tuple[str, ...] = field(default=())

    def with_fate(self, *fates: Fate) -> list[Judged]:
        """The workspaces with one of these fates."""
        return [judged for judged in self.workspaces if judged.fate in fates]


class Housekeeper:
    """Looks through the mirrors. It may run beside a working service, and be killed at any moment: it begins anew."""

    def __init__(
        self, runs: RunStore, capabilities: Capabilities, keep_days: float, deliveries: DeliveryStore | None = None
    ) -> None:
        self._runs = runs
        self._deliveries = deliveries
        self._capabilities = capabilities
        self._keep = timedelta(days=keep_days)

    async def keep_house(self, dry_run: bool = False) -> Housekept:
        """Judge every workspace, let go of what is due, pack what it pays to pack. One that fails leaves the others alone."""
        found = await self._capabilities.ask(KeptWorkspaces, "kept_workspaces", {}, CallScope(), KEY)
        judged, problems = [], list(found.problems)
        for workspace in found.workspaces:
            judged.append(one := await self._judged(workspace))
            if one.problem:
                problems.append(f"{workspace.name}: {one.problem}")
        if dry_run:
            return Housekept(True, tuple(judged), (), tuple(problems))
        tidied = []
        for mirror in found.mirrors:
            try:
                tidied += await self._kept_in_order(mirror, [one for one in judged if one.workspace.mirror == mirror], problems)
            except PatchwrightError as error:
                problems.append(f"{mirror}: {error.message}")
        if self._deliveries is not None:
            await self._deliveries.forget(datetime.now(UTC) - DELIVERIES)
        return Housekept(False, tuple(judged), tuple(tidied), tuple(problems))

    async def _judged(self, workspace: KeptWorkspace) -> Judged:
        now = datetime.now(UTC)
        try:
            record = await self._runs.get(workspace.name)
        except NotFound:
            since = workspace.forgotten_since
            due = since is not None and now - since > self._keep
            return Judged(workspace, Fate.RELEASED if due else Fate.FORGOTTEN, orphan=True)
        except PatchwrightError as away:
            return Judged(workspace, Fate.UNKNOWN, problem=away.message)
        if not record.state.final:
            return Judged(workspace, Fate.NEEDED, record)
        if now - (record.finished_at or record.updated_at) <= self._keep:
            return Judged(workspace, Fate.RECENT, record)
        try:
            shown = await self._pull_request(record)
        except PatchwrightError as away:
            return Judged(workspace, Fate.UNKNOWN, record, problem=away.message)
        if shown is not None and shown.state is PullRequestState.OPEN:
            return Judged(workspace, Fate.REVIEWED, record)
        return Judged(workspace, Fate.RELEASED, record, (shown.head_commit,) if shown else ())

    async def _pull_request(self, record: TaskRecord) -> PullRequest | None:
        if not record.pull_request_id:
            return None
        asked = {"pull_request_id": record.pull_request_id}
        try:
            return await self._capabilities.ask(PullRequest, "get_pull_request", asked, CallScope(), KEY)
        except NotFound:
            return None

    async def _kept_in_order(self, mirror: str, judged: Sequence[Judged], problems: list[str]) -> list[TidiedMirror]:
        """Let go of what is due in one mirror, then pack it and its index."""
        lost = [one.workspace.name for one in judged if one.orphan and one.workspace.forgotten_since is None]
        found = [one.workspace.name for one in judged if one.record is not None and one.workspace.forgotten_since is not None]
        if lost or found:
            await self._ask("mark_forgotten", {"mirror": mirror, "forgotten": lost, "found_again": found})
        released = 0
        for one in judged:
            if one.due:
                asked = {"mirror": mirror, "name": one.workspace.name, "keep": list(one.keep)}
                await self._ask("release_workspace", asked)
                released += 1
        if any(one.record is None and one.problem for one in judged):
            return []  # one of them may be at work, since nobody knows when, and may name what no ref reaches
        due = {"mirror": mirror, "unneeded_before": _unneeded_before(judged).isoformat(), "even_if_small": released > 0}
        tidied = [await self._capabilities.ask(TidiedMirror, "tidy_mirror", due, CallScope(), KEY)]
        if tidied[0].packed:
            try:
                tidied.append(await self._capabilities.ask(TidiedMirror, "tidy_index", {"mirror": mirror}, CallScope(), KEY))
            except PatchwrightError as error:
                problems.append(f"The code index of {mirror}: {error.message}")
        return tidied

    async def _ask(self, tool: str, arguments: dict) -> None:
        await self._capabilities.ask(Word, tool, arguments, CallScope(), KEY)


def _unneeded_before(judged: Sequence[Judged]) -> datetime:
    """What is older than every unfinished task of a mirror, and than the grace, nobody can name any more.

    A workspace whose task is unknown may belong to one that a restore brings back: it counts as unfinished.
    """
    begun = [one.record.task.created_at for one in judged if one.record is not None and not one.record.state.final]
    begun += [one.workspace.forgotten_since or datetime.now(UTC) for one in judged if one.fate is Fate.FORGOTTEN]
    return min([datetime.now(UTC) - GRACE, *(moment - BEFORE_A_TASK for moment in begun)])


def house_kept(keeper: Housekeeper, every: timedelta = EVERY, first: timedelta = FIRST) -> AbstractAsyncContextManager[None]:
    """Keep house once a day until the block ends. Several processes may do so: each finds what is left to do."""
    return beside(keep_house(keeper, every, first))


async def keep_house(keeper: Housekeeper, every: timedelta = EVERY, first: timedelta = FIRST) -> None:
    """Keep house once a day, for ever."""
    await asyncio.sleep(first.total_seconds())
    while True:
        try:
            done = await keeper.keep_house()
            released = len(done.with_fate(Fate.RELEASED))
            packed = sum(tidied.packed for tidied in done.tidied)
            log.info("Housekeeping: %d workspaces let go, %d mirrors and indexes packed", released, packed)
            for problem in done.problems:
                log.warning("Housekeeping left out %s", problem)
        except PatchwrightError as away:
            log.warning("Housekeeping waits for tomorrow: %s", away.message)
        except Exception:
            log.exception("Housekeeping failed; it is tried again tomorrow")
        await asyncio.sleep(every.total_seconds())
