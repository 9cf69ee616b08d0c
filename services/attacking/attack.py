"""Runs the list of attacks against one tier of sandbox, and says of each what stopped it."""

import importlib
import importlib.resources
import inspect
import json
import logging
import shlex
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from contracts.sandbox import SandboxLimits
from mcp_servers.runner.output import Output
from mcp_servers.runner.sandbox import Ended, Opening, Sandbox, SandboxKeeper, put_away
from mcp_servers.runner.selfcheck import ALLOWED_NAMES
from services.attacking import lasting, returning
from services.attacking.traps import Traps, traps_set

log = logging.getLogger(__name__)
LIMITS = SandboxLimits(memory_mib=256, processes=64, disk_mib=64, file_mib=16, output_kib=64)
"""Small, so that running into them is quick."""
SECONDS = 25.0
INSIDE = "services.attacking.inside"
FAMILIES = {"kernel": "the kernel's walls", "host": "the host", "network": "the network", "resources": "what is shared"}
"""Module of ``inside`` → what its attacks are after."""
STARTER = """import sys, types, json
sources, module, name = json.loads(sys.argv.pop(1)), sys.argv[1].rpartition(".")[0], sys.argv[1].rpartition(".")[2]
for part in ("services", "services.attacking", "services.attacking.inside"):
    sys.modules[part] = types.ModuleType(part)
for part, source in sources.items():
    made = sys.modules[part] = types.ModuleType(part)
    exec(compile(source, part, "exec"), made.__dict__)
try:
    told = getattr(sys.modules[module], name)()
except sys.modules["services.attacking.inside.tries"].Through as through:
    print("THROUGH", through)
except MemoryError:
    print("STOPPED no more memory is given")
else:
    print("STOPPED", told)
"""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One attack, tried."""

    family: str
    name: str
    tries: str
    """What it tries, for people."""
    stopped: bool
    observed: str
    """What stopped it, or how it got through."""


@dataclass(frozen=True, slots=True)
class Attack:
    """One function of ``inside``."""

    module: str
    name: str
    tries: str


def attacks_inside() -> list[Attack]:
    """Every attack that is run inside, in the order it is written."""
    found: list[Attack] = []
    for module in FAMILIES:
        loaded = importlib.import_module(f"{INSIDE}.{module}")
        deeds = [deed for _, deed in inspect.getmembers(loaded, inspect.isfunction) if deed.__module__ == loaded.__name__]
        for deed in sorted(deeds, key=lambda deed: deed.__code__.co_firstlineno):
            if not deed.__name__.startswith("_"):
                found.append(Attack(module, deed.__name__, (inspect.getdoc(deed) or "").splitlines()[0]))
    return found


async def attack(keeper: SandboxKeeper) -> AsyncIterator[Outcome]:
    """Try everything against a tier. Raises ``SandboxUnavailable`` when it does not exist on this machine."""
    with traps_set() as traps:
        for one in attacks_inside():
            yield await _tried(keeper, one, traps)
        for name, tries, deed in lasting.ATTACKS:
            yield await _watched(keeper, "what outlives a command", name, tries, deed, traps)
        for name, tries, deed in returning.ATTACKS:
            yield await _watched(keeper, "what comes back out", name, tries, deed, traps)


async def _tried(keeper: SandboxKeeper, one: Attack, traps: Traps) -> Outcome:
    """Each attack has a sandbox of its own: one that breaks it must not hide what the next one finds."""

    async def deed(sandbox: Sandbox) -> tuple[bool, str]:
        output = Output(LIMITS.output_kib << 10)
        ended = await sandbox.run(_command(one, traps), SECONDS, output.add)
        return _verdict(ended, output.text().strip(), traps)

    return await _watched(keeper, FAMILIES[one.module], one.name.replace("_", " "), one.tries, deed, traps)


async def _watched(
    keeper: SandboxKeeper, family: str, name: str, tries: str, deed: Callable[[Sandbox], Awaitable[tuple[bool, str]]],
    traps: Traps,
) -> Outcome:  # fmt: skip
    sandbox = await keeper.open(Opening(LIMITS))
    try:
        stopped, observed = await deed(sandbox)
    except Exception as error:
        # An attack that could not be judged was not stopped by anything that we know of.
        log.debug("The attack %r failed", name, exc_info=True)
        stopped, observed = False, f"the attack could not be judged: {type(error).__name__}: {error}"
    finally:
        await put_away(sandbox)
    if problem := traps.problem():
        stopped, observed = False, problem
    return Outcome(family, name, tries, stopped, " ".join(observed.split())[:400])


def _verdict(ended: Ended, said: str, traps: Traps) -> tuple[bool, str]:
    """What an attack said last; a sandbox that killed it is an answer, too."""
    if traps.canary in said:
        return False, "a file of the host was read"
    told = [line for line in said.splitlines() if line.startswith(("STOPPED ", "THROUGH "))]
    if told:
        return told[-1].startswith("STOPPED"), told[-1].split(" ", 1)[1]
    if ended.timed_out:
        return True, f"killed when its {SECONDS:g} s were over"
    if ended.exit_code in (134, 137, 139) or ended.out_of_memory:
        return True, ended.note or f"killed (exit code {ended.exit_code})"
    return False, f"it ended with {ended.exit_code} and said {said[-300:] or 'nothing'}"


def _command(one: Attack, traps: Traps) -> str:
    sources = {f"{INSIDE}.{name}": _source(name) for name in ("tries", one.module)}
    limits = f"memory={LIMITS.memory_mib},processes={LIMITS.processes},disk={LIMITS.disk_mib},file={LIMITS.file_mib}"
    words = [
        "python3", "-I", "-c", STARTER, json.dumps(sources), f"{INSIDE}.{one.module}.{one.name}", str(traps.file),
        str(traps.sentinel.pid), ",".join(sorted(ALLOWED_NAMES | {"LC_CTYPE", "container"})), str(traps.port),
        traps.abstract, traps.unix, limits,
    ]  # fmt: skip
    return shlex.join(words)


def _source(name: str) -> str:
    return importlib.resources.files(INSIDE).joinpath(f"{name}.py").read_text()
