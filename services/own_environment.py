"""What others can see of this process: neither the secrets that it was started with, nor its memory.

``/proc/PID/environ`` shows what a process was started with for as long as it lives, to every process of the same user, and so
does ``/proc/PID/mem``. On systems other than Linux nothing is done.
"""

import ctypes
import os
import sys
from collections.abc import Collection
from pathlib import Path

ENVIRONMENT_STARTS = 47
"""Place of ``env_start`` in ``/proc/PID/stat`` after the command's name; ``env_end`` follows."""
PR_SET_DUMPABLE = 4


def hide(names: Collection[str]) -> None:
    """Overwrite variables in the block that the kernel shows, and go on having them; what cannot be done is left."""
    if not sys.platform.startswith("linux"):
        return
    try:
        words = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        start, end = int(words[ENVIRONMENT_STARTS]), int(words[ENVIRONMENT_STARTS + 1])
    except (OSError, IndexError, ValueError):
        return
    if not 0 < start < end:
        return
    place = start
    for entry in ctypes.string_at(start, end - start).split(b"\0"):
        name, equals, value = entry.partition(b"=")
        if equals and os.fsdecode(name) in names and (kept := os.environ.get(os.fsdecode(name))) is not None:
            # Set anew first: the C library's own list points into the block.
            os.environ[os.fsdecode(name)] = kept
            ctypes.memset(place + len(name) + 1, 0, len(value))
        place += len(entry) + 1


def keep_to_oneself() -> None:
    """Let no other process of this user read this one's memory, environment or open files; root still may."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
