"""Where untrusted code runs, and how a repository is built and tested there."""

import re
from enum import StrEnum
from typing import Any

from pydantic import Field, field_validator

from contracts.blocked import BlockedAttempt
from contracts.word import StrictWord, Word

MOST_REACHED = 50
"""Hosts that one command or check names as reached."""


class SandboxTier(StrEnum):
    """How strong the walls are."""

    CONTAINER = "container"
    """A hardened container of a container engine."""
    BUBBLEWRAP = "bubblewrap"
    """Namespaces without an engine: reduced (memory limit per process, no CPU quota)."""


class SandboxLimits(StrictWord):
    """Limits of one sandbox."""

    memory_mib: int = Field(default=2_048, ge=64)
    """MiB of memory for everything that runs in it."""
    cpus: float = Field(default=2.0, gt=0)
    """Processors; 0.5 is half of one."""
    processes: int = Field(default=256, ge=8)
    """Processes and threads at once."""
    disk_mib: int = Field(default=2_048, ge=16)
    """Size of the tmpfs that holds the tree."""
    file_mib: int = Field(default=1_024, ge=1)
    """Largest file a command may write."""
    output_kib: int = Field(default=1_024, ge=1)
    """Output kept of one command; the rest is counted and dropped from the middle."""


class CheckCommand(StrictWord):
    """One check of a project: a command line for ``sh -c`` in the repository's root."""

    name: str = Field(min_length=1, max_length=100)
    """How people and models see it; each check has its own."""
    command: str = Field(min_length=1, max_length=10_000)
    """A command line for ``sh -c`` in the root of the repository; exit code 0 means passed."""
    timeout_seconds: float = Field(default=600, gt=0, le=7_200)
    """Seconds until the command is ended; it has then failed."""


class PullRequestWishes(StrictWord):
    """What a repository wants of its pull requests."""

    labels: tuple[str, ...] = Field(default=(), max_length=20)
    """Labels that each pull request gets."""
    reviewers: tuple[str, ...] = Field(default=(), max_length=15)
    """Who is asked for a review once it is ready: user names, and on GitHub teams as `org/team`."""
    draft: bool = True
    """Whether it is a draft until the forge's own checks are green; else people may review it at once."""

    @field_validator("labels", "reviewers", mode="before")
    @classmethod
    def _one_or_many(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value

    @field_validator("labels")
    @classmethod
    def _label_names(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        if bad := [name for name in labels if not name.strip() or len(name) > 50 or "," in name or not name.isprintable()]:
            raise ValueError(f"{bad[0]!r} cannot be a label: 1 to 50 printable characters without a comma")
        return tuple(dict.fromkeys(name.strip() for name in labels))

    @field_validator("reviewers")
    @classmethod
    def _reviewer_names(cls, reviewers: tuple[str, ...]) -> tuple[str, ...]:
        names = [name.strip().removeprefix("@") for name in reviewers]
        if bad := [name for name in names if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", name, re.ASCII)]:
            raise ValueError(f"{bad[0]!r} cannot be a reviewer: give a user name, or a team as org/team")
        return tuple(dict.fromkeys(names))


class Recipe(StrictWord):
    """How to build and test a repository: its ``.patchwright.yaml``, always read from the base branch, or what was recognised."""

    image: str = ""
    """Container image; empty means the service's own. The bubblewrap tier has no images and says so."""
    setup: tuple[str, ...] = ()
    """Commands that prepare dependencies; run once per digest of the lock files, then cached."""
    setup_network: bool = False
    """Whether ``setup`` may reach the network. Checks and agents' commands reach the hosts of the policy alone."""
    checks: tuple[CheckCommand, ...] = ()
    """What must pass before a pull request goes out, in this order."""
    quarantine: tuple[str, ...] = ()
    """Names of the forge's checks that are known to fail now and then (``*`` for anything); a red one holds nothing up."""
    paths: tuple[str, ...] = ()
    """Patterns a change may touch; empty leaves the policy as it is."""
    lock_files: tuple[str, ...] = ()
    """Files whose content decides whether ``setup`` must run again."""
    pull_request: PullRequestWishes = PullRequestWishes()
    """Labels, reviewers and draft state of the pull requests."""
    policy: dict[str, Any] = Field(default_factory=dict)
    """What this repository takes away from what a task may do, in sections; it can only narrow what the service allows."""
    recognised: str = ""
    """What the recipe rests on: ``.patchwright.yaml``, ``python (pytest)``, ``node (npm test)``; empty: nothing recognised."""
    note: str = ""
    """What a person should know about it, e.g. why there is no check; set by the service only."""


class CommandResult(Word):
    """One finished command."""

    command: str
    exit_code: int
    """The command's own code; 124 after a time-out, 137 when the sandbox killed it."""
    output: str
    """stdout and stderr in order, control sequences removed, the middle cut when too long."""
    output_bytes: int
    """Bytes the command printed, before any cut."""
    timed_out: bool = False
    out_of_memory: bool = False
    seconds: float = 0
    changed: tuple[str, ...] = ()
    """Paths the command changed that are now part of the workspace."""
    commit: str = ""
    """The workspace's commit after the command."""
    note: str = ""
    """What the caller should know: changes not taken over, a limit that ended the command, a sandbox opened anew."""
    blocked: tuple[BlockedAttempt, ...] = ()
    """What it tried to reach and did not; at most ``contracts.blocked.MOST_PLACES``."""
    reached: tuple[str, ...] = ()
    """Where tunnels were opened to, as ``HOST:PORT``; at most ``MOST_REACHED``."""
