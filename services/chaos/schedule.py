"""When what is killed: a plan drawn from a seed before anything runs, so that a run can be repeated."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

EARLIEST, LATEST = 0.01, 0.94
"""Between which shares of the task's way kills fall."""
MEAN_DELAY_SECONDS = 0.35
"""Of the wait after the moment a kill is due: it lands anywhere in a call, an answer or a command."""
MOST_DELAY_SECONDS = 2.5
RECOVERY_SECONDS = 2.0
"""How long after the kill before it one falls into its recovery, at most."""
SHARE_TOGETHER, SHARE_IN_RECOVERY = 0.1, 0.2
SHARE_MID_COMMAND = 0.8
"""Of the kills of a sandbox: those that wait for a command to run in it."""


class Timing(StrEnum):
    """How a kill falls in relation to the one before it."""

    ALONE = "alone"
    """When everything stands again and the task has made progress."""
    TOGETHER = "together"
    """In the same instant."""
    IN_RECOVERY = "in recovery"
    """While the one before is being recovered from."""


@dataclass(frozen=True, slots=True)
class PlannedKill:
    """One kill of the plan."""

    number: int
    target: str
    timing: Timing
    due: float
    """Share of the task's way, 0 to 1, after which it falls."""
    delay_seconds: float
    mid_command: bool = False


def plan(seed: int, kills: int, targets: Sequence[str]) -> list[PlannedKill]:
    """The kills of a seed; the same seed, number and targets give the same plan. Every target gets its share."""
    chance = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret
    names = _spread(chance, kills, targets)
    dues = sorted(chance.uniform(EARLIEST, LATEST) for _ in range(kills))
    return [_kill(chance, number, name, due, names[number - 2] if number > 1 else "") for number, (name, due) in
            enumerate(zip(names, dues, strict=True), 1)]  # fmt: skip


def _spread(chance: random.Random, kills: int, targets: Sequence[str]) -> list[str]:
    """Every target as often as every other one, in random order."""
    rounds = [name for _ in range(kills // len(targets) + 1) for name in chance.sample(list(targets), len(targets))][:kills]
    chance.shuffle(rounds)
    return rounds


def _kill(chance: random.Random, number: int, target: str, due: float, before: str) -> PlannedKill:
    drawn, delay = chance.random(), min(chance.expovariate(1 / MEAN_DELAY_SECONDS), MOST_DELAY_SECONDS)
    within, mid = chance.uniform(0, RECOVERY_SECONDS), chance.random() < SHARE_MID_COMMAND
    if before and before != target and drawn < SHARE_TOGETHER:
        return PlannedKill(number, target, Timing.TOGETHER, due, 0.0)
    if before and drawn < SHARE_TOGETHER + SHARE_IN_RECOVERY:
        return PlannedKill(number, target, Timing.IN_RECOVERY, due, within)
    return PlannedKill(number, target, Timing.ALONE, due, delay, mid_command=mid)
