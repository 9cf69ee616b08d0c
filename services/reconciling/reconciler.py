"""Brings together what a restore left apart, task by task."""

import asyncio
from collections import Counter
from dataclasses import dataclass

from temporalio.service import RPCError

from activities.stores.run_store import RunStore
from contracts.errors import PatchwrightError
from services.reconciling.differences import Deed, Difference, differences
from services.reconciling.mending import Mending
from services.reconciling.sightings import Sighting
from services.reconciling.survey import Survey

AT_ONCE = 8
"""Tasks that are looked at side by side."""
SECOND_LOOK_SECONDS = 1.0
"""A task that is at work may look different for a moment; what is still so after this time differs."""
LOST_EVENTS = (Deed.READMIT, Deed.READMIT_PAUSED, Deed.CATCH_UP)
"""What shows that the run store is an older one."""


@dataclass(frozen=True)
class Judged:
    """A difference, and what came of it."""

    difference: Difference
    mended: bool = False
    problem: str = ""
    """Why it could not be mended."""

    @property
    def open(self) -> bool:
        """Whether somebody still has to do something."""
        return bool(self.problem) or self.difference.deed is Deed.PERSON


@dataclass(frozen=True)
class Reconciled:
    """What differs, and what was done; with a dry run, what would be done."""

    dry_run: bool
    tasks: int
    """How many were looked at."""
    judged: tuple[Judged, ...]
    problems: tuple[str, ...] = ()
    """Tasks that could not be looked at, one sentence each."""

    @property
    def counted(self) -> Counter[Deed]:
        """How often each deed is called for."""
        return Counter(one.difference.deed for one in self.judged)


class Reconciler:
    """May run beside a working service, be killed and run again: what is mended does not differ any more."""

    def __init__(self, survey: Survey, mending: Mending, runs: RunStore) -> None:
        self._survey = survey
        self._mending = mending
        self._runs = runs
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def reconcile(self, dry_run: bool = False) -> Reconciled:
        """Look at every task, list what differs and mend what needs no guessing."""
        names = await self._survey.names()
        looked = await asyncio.gather(*(self._looked(name) for name in names))
        problems = tuple(found for found in looked if isinstance(found, str))
        apart = [found for found in looked if not isinstance(found, str)]
        if dry_run:
            judged = [Judged(one) for _, found in apart for one in found]
            return Reconciled(True, len(names), tuple(judged), problems)
        if any(one.deed in LOST_EVENTS for _, found in apart for one in found):
            await self._runs.leap()
        mended = await asyncio.gather(*(self._mended(seen, found) for seen, found in apart))
        return Reconciled(False, len(names), tuple(one for several in mended for one in several), problems)

    async def _looked(self, name: str) -> tuple[Sighting, list[Difference]] | str:
        async with self._turns:
            try:
                seen = await self._survey.sight(name)
                if found := differences(seen):
                    await asyncio.sleep(SECOND_LOOK_SECONDS)
                    seen = await self._survey.sight(name)
                    found = differences(seen)
                return seen, found
            except (PatchwrightError, RPCError) as error:
                return f"{name}: {error}"

    async def _mended(self, seen: Sighting, found: list[Difference]) -> list[Judged]:
        """In order; after one that fails, what builds upon it is left for the next time."""
        judged: list[Judged] = []
        async with self._turns:
            for one in found:
                if not one.deed.mends:
                    judged.append(Judged(one))
                elif any(before.problem for before in judged):
                    judged.append(Judged(one, problem="left for the next time, because of what is said above"))
                else:
                    judged.append(await self._tried(seen, one))
        return judged

    async def _tried(self, seen: Sighting, one: Difference) -> Judged:
        try:
            await self._mending.mend(seen, one)
        except (PatchwrightError, RPCError) as error:
            return Judged(one, problem=str(error))
        return Judged(one, mended=True)
