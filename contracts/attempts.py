"""How often a step is tried: only what it reported itself counts as its failure, and what was away is waited for."""

from datetime import timedelta

WEIGHT = 1_000
"""Attempts of Temporal's for each failure that a step may have.

Temporal counts the attempts of killed workers and of lost databases, too, and those say nothing about the task. So its own
limit is this many times the limit in ``workflows/calls.py``, and the activity edge divides it again and counts what the
steps reported. What is left of Temporal's limit ends a task that kills each worker it meets.
"""
PATIENCE = timedelta(hours=1)
"""How long infrastructure may be away before the task halts and says so: longer than an engine's update or a failed-over
database takes, shorter than a working day in which nobody would know why nothing moves."""
CALM = timedelta(minutes=30)
"""Infrastructure that was there for so long is away anew: the patience begins again."""
BACKOFF = timedelta(seconds=15)
"""The longest pause between two attempts. What comes back is used soon, and an attempt costs next to nothing."""


def own_limit(temporal_limit: int) -> int:
    """How many failures a step may report, from Temporal's limit; 0 where Temporal itself counts (steps of older releases)."""
    return temporal_limit // WEIGHT
