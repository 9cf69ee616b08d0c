"""A full disk under a mirror, by its name: libgit2 forgets what the system told it, and repeats what it said last instead."""

import functools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Concatenate, ParamSpec, Protocol, TypeVar

import pygit2

from contracts.errors import as_disk_full

PROBE_BYTES = 1 << 16


class OnDisk(Protocol):
    """What has a folder of its own."""

    path: Path


P = ParamSpec("P")
R = TypeVar("R")
Place = TypeVar("Place", bound=OnDisk)


def tells_full_disk(write: Callable[Concatenate[Place, P], R]) -> Callable[Concatenate[Place, P], R]:
    """Let a method that writes below ``self.path`` raise ``DiskFull`` when that is why it failed."""

    @functools.wraps(write)
    def told(self: Place, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return write(self, *args, **kwargs)
        except (pygit2.GitError, OSError) as error:
            if full := as_disk_full(error) or (_probed(self.path) if isinstance(error, pygit2.GitError) else None):
                raise full from error
            raise

    return told


def _probed(folder: Path) -> Exception | None:
    """``DiskFull`` when not even a little can be written there: quotas and limits show in nothing else."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
    except OSError as error:
        return as_disk_full(error)
    return None
