"""Which workers do what: agents, sandboxes and quick deeds wait in queues of their own, so that none holds up the others."""

from enum import StrEnum

from pydantic import Field

from contracts.word import StrictWord


class Pool(StrEnum):
    """A pool of workers."""

    WORKFLOWS = "workflows"
    """Decisions, and the notes that go with them."""
    AGENTS = "agents"
    """Runs of agents: they wait for models most of the time."""
    SANDBOX = "sandbox"
    """Commands on their own: they take processors and memory."""
    LIGHT = "light"
    """Everything else: git, the code index, the forge."""

    def queue(self, task_queue: str) -> str:
        """The task queue of this pool, beside the one that workflows are started at."""
        return task_queue if self is Pool.WORKFLOWS else f"{task_queue}-{self}"


class PoolSizes(StrictWord):
    """How much of each kind one worker process does at once."""

    workflows: int = Field(default=20, ge=2, le=1_000)
    """Decisions at once, 2 to 1000; each takes milliseconds."""
    agents: int = Field(default=8, ge=1, le=1_000)
    """Runs of agents at once, 1 to 1000."""
    sandbox: int = Field(default=2, ge=1, le=1_000)
    """Runs of checks at once, 1 to 1000; each may take a sandbox's limits of memory and processors."""
    light: int = Field(default=16, ge=1, le=1_000)
    """Everything else at once, 1 to 1000."""

    def of(self, pool: Pool) -> int:
        """The size of one pool."""
        return getattr(self, pool.value)
