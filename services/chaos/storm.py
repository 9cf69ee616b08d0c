"""Carries a plan of kills out, and measures how long it takes until things go on."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from services.chaos import lineage
from services.chaos.schedule import PlannedKill, Timing
from services.chaos.targets import ENGINE, SANDBOX, Target, Victim
from services.chaos.watch import Watch

POLL_SECONDS = 0.02
UNDISTURBED_SECONDS = 25.0
"""How long a kill that should fall alone waits for the task to go on; what takes longer is killed in all the same."""
PARKED_SECONDS = 2.0
"""The same while the task waits for a person, who in turn waits for the kills."""
VICTIM_SECONDS = 15.0
"""How long a target may be away (it is being started again) before another one is killed in its place."""
COMMAND_SECONDS = 30.0
"""How long a kill in mid-command waits for a command."""
MEASURED_SECONDS = 120.0
"""A recovery that takes longer is not waited for."""


@dataclass
class Kill:
    """A kill as it happened."""

    planned: PlannedKill
    target: str
    """Other than planned when the planned one was not there."""
    pid: int
    at: float
    """Seconds since the storm began."""
    share: float
    """How far the task had come, 0 to 1."""
    state: str
    mid_command: bool = False
    ready_seconds: float | None = None
    """Until it stood again; None when it did not."""
    progress_seconds: float | None = None
    """Until the task's next deed; None when none came any more."""


@dataclass
class Storm:
    """Kills by plan while one task runs; every kill of the plan happens."""

    targets: Mapping[str, Target]
    watch: Watch
    way: int
    """Deeds of the whole task, as the undisturbed run told them."""
    on_kill: Callable[[Kill], None]
    kills: list[Kill] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Every kill has happened."""
    parked: bool = False
    """Whether a person waits for the storm to end."""
    _began: float = field(default_factory=time.time)
    _last: float = 0
    _measuring: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def share(self) -> float:
        """How far the task has come, 0 to 1."""
        return min(self.watch.progress / max(self.way, 1), 1.0)

    async def rage(self, plan: list[PlannedKill]) -> None:
        """Carry the plan out."""
        waiting: list[asyncio.Task[None]] = []
        try:
            async with asyncio.TaskGroup() as group:
                for planned in plan:
                    await self._due(planned)
                    if planned.mid_command and planned.target == SANDBOX:
                        # Commands come when they come; the other kills do not wait for them.
                        waiting.append(group.create_task(self._strike(planned)))
                    else:
                        await self._strike(planned)
        finally:
            self.over.set()

    async def passed(self) -> None:
        """For the person: wait for the end of the storm; what is still to come falls on the parked task."""
        self.parked = True
        await self.over.wait()

    async def settled(self) -> None:
        """Wait until every recovery is measured."""
        await asyncio.gather(*self._measuring)

    async def abandon(self) -> None:
        """Measure nothing any more."""
        for measuring in self._measuring:
            measuring.cancel()
        await asyncio.gather(*self._measuring, return_exceptions=True)

    async def _due(self, planned: PlannedKill) -> None:
        if planned.timing is Timing.ALONE:
            while self.share < planned.due and not self.parked:
                await self.watch.changed(1.0)
            await self._undisturbed()
        await asyncio.sleep(planned.delay_seconds)

    async def _undisturbed(self) -> None:
        """Wait until everything stands and the task has gone on since the last kill."""
        began = time.monotonic()
        while self.kills and not (self._stands() and self.watch.progressed_at > self._last):
            if time.monotonic() - began > (PARKED_SECONDS if self.parked and self._stands() else UNDISTURBED_SECONDS):
                return
            await asyncio.sleep(POLL_SECONDS)

    def _stands(self) -> bool:
        return all(target.ready() for target in self.targets.values())

    async def _strike(self, planned: PlannedKill) -> None:
        name, victim = await self._victim(planned)
        target = self.targets[name]
        if not lineage.kill(victim.process):
            # It ended by itself in this very moment; another one stands or will stand in its place.
            return await self._strike(planned)
        now = time.time()
        self._last = now
        kill = Kill(planned, name, victim.process.pid, now - self._began, self.share, self.watch.state,
                    mid_command=name == SANDBOX and victim.busy)  # fmt: skip
        self.kills.append(kill)
        self.on_kill(kill)
        measuring = asyncio.create_task(self._measure(kill, target, victim))
        self._measuring.add(measuring)

    async def _victim(self, planned: PlannedKill) -> tuple[str, Victim]:
        """A process of the planned target; of another one when it stays away."""
        deadline = time.monotonic() + (COMMAND_SECONDS if planned.mid_command else VICTIM_SECONDS)
        name = planned.target
        while True:
            found = await asyncio.to_thread(self.targets[name].victims)
            late = time.monotonic() > deadline or self.parked
            if wanted := [victim for victim in found if victim.busy or not planned.mid_command or late]:
                return name, wanted[planned.number % len(wanted)]
            if late and not found:
                name, deadline = self._another(name, planned.number), time.monotonic() + VICTIM_SECONDS
            await asyncio.sleep(POLL_SECONDS)

    def _another(self, name: str, number: int) -> str:
        """A target in place of one that is not there."""
        others = [other for other in self.targets if other not in (name, SANDBOX, ENGINE)] or [name]
        return others[number % len(others)]

    async def _measure(self, kill: Kill, target: Target, victim: Victim) -> None:
        killed = self._began + kill.at
        await target.revive()
        while time.time() - killed < MEASURED_SECONDS:
            now = time.time()
            if kill.ready_seconds is None and not lineage.lives(victim.process) and target.ready():
                kill.ready_seconds = now - killed
            if kill.progress_seconds is None and self.watch.progressed_at > killed:
                kill.progress_seconds = self.watch.progressed_at - killed
            if (kill.ready_seconds is not None and kill.progress_seconds is not None) or self._ended:
                return
            await asyncio.sleep(POLL_SECONDS)

    @property
    def _ended(self) -> bool:
        return self.over.is_set() and self.watch.state == "ready_to_merge"
