"""The promise of a sandbox: where untrusted commands run, and what stands around them in every tier."""

import asyncio
import logging
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from contracts.errors import SandboxLost
from contracts.sandbox import SandboxLimits, SandboxTier
from contracts.workspace import Workspace
from mcp_servers.runner.egress import EgressProxy

log = logging.getLogger(__name__)
WORK = "/work"
"""The tree, inside every sandbox."""
DEPS = "/deps"
"""Home folder and installed dependencies, inside every sandbox; what ``setup`` leaves here is cached."""
HOSTNAME = "sandbox"
TIMED_OUT = 124
KILLED = 137
SEARCH_PATH = (
    f"{DEPS}/venv/bin:{DEPS}/home/.local/bin:/opt/patchwright/bin:/usr/local/bin:/usr/local/sbin:/usr/bin:/bin:/usr/sbin:/sbin"
)
ENVIRONMENT = {
    "PATH": SEARCH_PATH,
    "HOME": f"{DEPS}/home",
    "USER": "sandbox",
    "LOGNAME": "sandbox",
    "SHELL": "/bin/sh",
    "LANG": "C.UTF-8",
    "TERM": "dumb",
    "TMPDIR": "/tmp",  # noqa: S108 - inside the sandbox, where /tmp is its own
    "CI": "true",
    "NO_COLOR": "1",
    "PYTHONUNBUFFERED": "1",
    "PIP_BREAK_SYSTEM_PACKAGES": "1",
    "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    "NPM_CONFIG_UPDATE_NOTIFIER": "false",
    "NPM_CONFIG_FUND": "false",
    "NPM_CONFIG_AUDIT": "false",
}
"""All that a command sees of an environment; nothing comes from the host's."""

PROGRAMS = ("python3", "node", "npm", "make", "go", "cargo")
"""Programs that recognised recipes rest on."""

OutputSink = Callable[[bytes], None]
"""Takes the next bytes of a command's output, stdout and stderr in order."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    exit_code: int
    """The command's own, 124 after a time-out, 137 when it was killed."""
    seconds: float
    timed_out: bool = False
    out_of_memory: bool = False
    note: str = ""
    """Why the sandbox killed it, when it did."""
    ruined: bool = False
    """It took the whole sandbox along: what it wrote is gone, and the next command needs another sandbox."""


@dataclass(frozen=True)
class Opening:
    """What a sandbox is opened with."""

    limits: SandboxLimits = field(default_factory=SandboxLimits)
    image: str = ""
    """Container image; empty for the service's own."""
    network: bool = False
    """Only for a recipe's ``setup`` that asked for it."""
    environment: dict[str, str] = field(default_factory=dict)
    """Added to ``ENVIRONMENT``: the package index and proxy of ``setup``, and what names the way out; nothing else."""
    workspace: str = ""
    """For which workspace, as ``whose`` names it; empty for none."""
    egress: EgressProxy | None = None
    """The way out, and what hears of attempts; whoever made it closes it. There is no network all the same."""


@dataclass(frozen=True)
class TierReport:
    """What a tier is on this machine."""

    tier: SandboxTier
    version: str
    image: str
    notes: tuple[str, ...] = ()
    """Its gaps, one sentence each."""


class Sandbox(Protocol):
    """One sandbox with a tree at ``/work`` that survives its commands."""

    tier: SandboxTier
    image: str
    """Image digest, or what stands for it."""

    async def run(self, command: str, time_limit: float, on_output: OutputSink) -> Ended:
        """Run ``sh -c command`` in ``/work`` without privileges; when this returns, nothing it started is alive.

        Cancelling kills the command. Raises ``SandboxLost`` when the sandbox died from outside; where the command's own
        hunger took it along, that is how the command ended.
        """
        ...

    def steward(
        self,
        argv: Sequence[str],
        feed: AsyncIterable[bytes] | bytes = b"",
        writes: bool = False,
    ) -> AsyncIterator[bytes]:
        """Run one of our own programs in ``/work`` between commands, and yield what it prints.

        ``writes``: it changes the tree. Raises ``StewardFailed`` with the program's complaint, else ``SandboxLost``.
        """
        ...

    async def close(self) -> None:
        """End everything in the sandbox and forget its tree. May be called twice. Raises ``SandboxLost`` when it is not gone."""
        ...


class SandboxKeeper(Protocol):
    """Opens sandboxes of one tier."""

    tier: SandboxTier

    def programs(self, image: str) -> frozenset[str]:
        """Which of ``PROGRAMS`` a sandbox of that image has, as far as it can be known without opening one."""
        ...

    async def open(self, opening: Opening) -> Sandbox:
        """A new, empty sandbox. Raises ``SandboxUnavailable``."""
        ...

    async def report(self) -> TierReport:
        """What this tier is here. Raises ``SandboxUnavailable`` when it does not work on this machine."""
        ...

    def end(self, workspace: str) -> tuple[str, ...]:
        """End every sandbox of a workspace and say what is proven gone since this was asked last.

        Blocks. Raises ``SandboxLost`` or ``SandboxUnavailable`` when something may still be there.
        """
        ...

    def sweep(self) -> tuple[str, ...]:
        """Take away what dead runners left and what could not be closed; says what is gone. Blocks. Raises like ``end``."""
        ...


class StewardFailed(SandboxLost):
    """A program of ours ended badly on the tree that a command left; the sandbox itself lives."""


def whose(workspace: Workspace) -> str:
    """A workspace in one word, for labels."""
    return f"{workspace.mirror}/{workspace.name}"


async def put_away(sandbox: Sandbox) -> None:
    """Close a sandbox whatever happens to the caller; what cannot be closed now is left to the sweeper."""
    try:
        await asyncio.shield(sandbox.close())
    except SandboxLost as left:
        log.warning("A sandbox could not be closed: %s", left.message)


async def said(output: AsyncIterator[bytes]) -> bytes:
    """Everything a steward's program printed."""
    return b"".join([chunk async for chunk in output])
