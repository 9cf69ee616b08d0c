"""One chaos run from beginning to end: one task in peace, one in the storm, and everything counted and cleared away."""

import asyncio
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import select

from activities.stores.journal_store import NAMES, JournalRow
from activities.stores.tables import journal
from services.chaos import lineage
from services.chaos.account import Account, account
from services.chaos.engine import Engine
from services.chaos.failures import ChaosFailed
from services.chaos.reviewer import Reviewer
from services.chaos.schedule import plan
from services.chaos.stage import Stage, Surroundings, Tell, stage, surroundings
from services.chaos.storm import Kill, Storm
from services.chaos.targets import targets_of
from services.chaos.ticket import ticket
from services.chaos.verdict import Verdict, verdict
from services.chaos.watch import Watch, watching
from services.chaos.wish import Wish

SETTLE_SECONDS = 40.0
"""How long what a victim left behind may take to end once the service has ended; a container that an engine forgot takes 30."""
OF_AN_ENGINE = ("dockerd", "containerd", "docker-init", "runc")
"""How the engine's own processes are called. It is stopped later; killed while it starts a container, it may leave some."""
SWEEP_SECONDS = 0.5
OnKill = Callable[[Kill], None]


@dataclass
class Storming:
    """The task in the storm, as it went."""

    account: Account
    kills: list[Kill]
    failure: str
    """Why the task did not finish; empty when it did."""
    said_again: int


@dataclass
class Outcome:
    """What came out."""

    verdict: Verdict
    calm: Account
    storming: Storming
    orphans: list[str]
    sandbox: str
    provider: dict[str, Any]
    """The provider's own counts."""
    restarts: dict[str, int]
    seconds: dict[str, float]


async def chaos(wish: Wish, folder: Path, tell: Tell, on_kill: OnKill) -> Outcome:
    """Run it in ``folder``. Raises ``ChaosFailed`` when there can be no verdict. Either way all that it started has ended."""
    if not lineage.supported():
        raise ChaosFailed("A chaos run must know which processes are its own, and only Linux tells; run it there.")
    lineage.adopt_orphans()
    sweeping = asyncio.create_task(_sweep())
    try:
        async with surroundings(wish, folder, tell) as around:
            return await _acts(wish, folder, around, tell, on_kill)
    finally:
        sweeping.cancel()
        await asyncio.to_thread(lineage.end_all, os.getpid())


async def _acts(wish: Wish, folder: Path, around: Surroundings, tell: Tell, on_kill: OnKill) -> Outcome:
    began = time.monotonic()
    async with stage(wish, folder, around) as standing:
        ready = time.monotonic()
        tell(f"The service stands after {ready - began:.1f} s. Sandbox: {around.sandbox}.")
        calm, way = await _calm(wish, standing)
        calmed = time.monotonic()
        tell(f"The undisturbed task took {calmed - ready:.1f} s and {calm.paid} model calls. Now the storm, seed {wish.seed}.")
        storming = await _storming(wish, standing, way, on_kill)
        raged = time.monotonic()
        restarts = {name: role.restarts for name, role in standing.service.roles().items()}
        counts = await around.provider.stats()
    orphans = await _orphans(around)
    took = {"start": ready - began, "undisturbed": calmed - ready, "storm": raged - calmed, "all": time.monotonic() - began}
    return Outcome(
        verdict=verdict(calm, storming.account, len(storming.kills), wish.kills, orphans),
        calm=calm,
        storming=storming,
        orphans=orphans,
        sandbox=around.sandbox,
        provider=counts,
        restarts=restarts,
        seconds={name: round(seconds, 1) for name, seconds in took.items()},
    )


async def _calm(wish: Wish, standing: Stage) -> tuple[Account, int]:
    """The undisturbed task, and how many deeds it told."""
    person = Reviewer(standing.service)
    task = await person.submit(ticket(wish.turns, standing.remote, "undisturbed"))
    async with watching(standing.runs, task) as watch:
        await person.see_through(watch, _at_once)
        return await _accounted(standing, person, watch), watch.progress


async def _at_once() -> None:
    """Nothing to wait for."""


async def _storming(wish: Wish, standing: Stage, way: int, on_kill: OnKill) -> Storming:
    """The same ticket in the storm."""
    targets = targets_of(standing.service, standing.engine, wish.only)
    person = Reviewer(standing.service)
    task = await person.submit(ticket(wish.turns, standing.remote, "disturbed"))
    async with watching(standing.runs, task) as watch:
        storm = Storm(targets, watch, way, on_kill)
        raging = asyncio.create_task(storm.rage(plan(wish.seed, wish.kills, list(targets))))
        failure = ""
        try:
            await person.see_through(watch, storm.passed)
            await raging
            await storm.settled()
        except ChaosFailed as told:
            failure = told.message
        finally:
            raging.cancel()
            await asyncio.gather(raging, return_exceptions=True)
            await storm.abandon()
        await standing.service.until_ready()
        return Storming(await _accounted(standing, person, watch), storm.kills, failure, person.said_again)


async def _accounted(standing: Stage, person: Reviewer, watch: Watch) -> Account:
    await watch.read()
    stats, rows = await standing.provider.stats(), await _rows(standing, watch.task)
    return await person.ask(
        lambda api: account(
            watch.task,
            state=watch.state,
            events=watch.events,
            stats=stats,
            rows=rows,
            api=api,
            remote=standing.remote,
            mirrors=standing.mirrors,
        )
    )


async def _rows(standing: Stage, task: str) -> list[JournalRow]:
    wanted = select(*(journal.c[name] for name in NAMES)).where(journal.c.task_id == task)
    async with standing.database.reading() as connection:
        return [JournalRow(*row) for row in await connection.execute(wanted)]


async def _orphans(around: Surroundings) -> list[str]:
    """What is left of the service once it has ended."""
    deadline = time.monotonic() + SETTLE_SECONDS
    while True:
        left = await asyncio.to_thread(_left, around)
        if not left or time.monotonic() > deadline:
            return left
        await asyncio.sleep(0.2)


def _left(around: Surroundings) -> list[str]:
    boxes: Engine | None = around.engine
    known = {around.provider.child.pid} | ({boxes.pid} if boxes else set())
    processes = [
        f"process {found.pid} {lineage.command_line(found.pid) or found.name}"
        for found in lineage.below(os.getpid())
        if found.pid not in known and not found.name.startswith(OF_AN_ENGINE)
    ]
    return [*processes, *(boxes.left_behind() if boxes else [])]


async def _sweep() -> None:
    """Bury the dead that were adopted. Those who died a moment ago are left to whoever waits for them."""
    seen: set[int] = set()
    while True:
        dead = await asyncio.to_thread(lineage.dead_children)
        for pid in dead & seen:
            lineage.bury(pid)
        seen = dead
        await asyncio.sleep(SWEEP_SECONDS)
