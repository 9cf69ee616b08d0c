"""What is killed: each target finds the processes to kill at this very moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.errors import InvalidInput
from services.chaos import lineage
from services.chaos.engine import Engine
from services.chaos.lineage import Process
from services.chaos.service import SupervisedService

SANDBOX, ENGINE = "sandbox", "engine"
RUNNER_ROLE = "mcp-runner"
KEEPER, COMMAND = "bwrap", "nsenter"
"""What a runner's own children are called in the bubblewrap tier: the keeper of a sandbox, and a command that enters it."""


@dataclass(frozen=True, slots=True)
class Victim:
    """A process to kill."""

    process: Process
    busy: bool = True
    """For a sandbox: whether a command runs in it."""


class Target(Protocol):
    """Something that can be killed."""

    name: str

    def victims(self) -> list[Victim]:
        """The processes that are this target now; empty while there is none."""
        ...

    async def revive(self) -> None:
        """Start it again, where nobody else does."""
        ...

    def ready(self) -> bool:
        """Whether it stands again."""
        ...


class RoleTarget:
    """One of the service's own processes; its supervisor starts it again."""

    def __init__(self, name: str, service: SupervisedService) -> None:
        self.name = name
        self._service = service

    def victims(self) -> list[Victim]:
        role = self._service.roles().get(self.name)
        return _living(role.pid) if role is not None and role.pid else []

    async def revive(self) -> None:
        """The supervisor's part."""

    def ready(self) -> bool:
        role = self._service.roles().get(self.name)
        return role is not None and role.ready and bool(_living(role.pid))


class BubblewrapTarget:
    """The keeper of a sandbox: its namespaces end with it, and every command in them."""

    name = SANDBOX

    def __init__(self, service: SupervisedService) -> None:
        self._service = service

    def victims(self) -> list[Victim]:
        runner = self._service.roles().get(RUNNER_ROLE)
        if runner is None or not runner.pid:
            return []
        children = [found for found in lineage.below(runner.pid) if found.parent == runner.pid]
        busy = any(found.name == COMMAND for found in children)
        return [Victim(found, busy) for found in children if found.name == KEEPER]

    async def revive(self) -> None:
        """The runner opens another one for its next command."""

    def ready(self) -> bool:
        return True


class ContainerTarget:
    """The first process of a sandbox's container."""

    name = SANDBOX

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def victims(self) -> list[Victim]:
        return [Victim(victim.process, busy) for pid, busy in self._engine.sandboxes() for victim in _living(pid)]

    async def revive(self) -> None:
        """The runner opens another one for its next command."""

    def ready(self) -> bool:
        return True


class EngineTarget:
    """The container engine; an operating system would start it again, here we do."""

    name = ENGINE

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ready = True

    def victims(self) -> list[Victim]:
        return _living(self._engine.pid) if self._engine.pid else []

    async def revive(self) -> None:
        """Start the engine again. Raises ``ChaosFailed``."""
        self._ready = False
        await self._engine.gone()
        await self._engine.start()
        self._ready = True

    def ready(self) -> bool:
        return self._ready


def targets_of(service: SupervisedService, engine: Engine | None, only: Sequence[str] = ()) -> dict[str, Target]:
    """The targets there are here, by name; of ``only`` these, when any are given. Raises ``InvalidInput``."""
    roles: list[Target] = [RoleTarget(name, service) for name in sorted(service.roles())]
    boxes: list[Target] = [ContainerTarget(engine), EngineTarget(engine)] if engine else [BubblewrapTarget(service)]
    every = {target.name: target for target in (*roles, *boxes)}
    if unknown := [name for name in only if name not in every]:
        raise InvalidInput(f"There is no target {', '.join(unknown)} here; there are {', '.join(every)}.")
    return {name: target for name, target in every.items() if not only or name in only}


def _living(pid: int) -> list[Victim]:
    found = lineage.process(pid)
    return [Victim(found)] if found is not None and found.state != lineage.ZOMBIE else []
