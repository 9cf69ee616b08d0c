"""Who asked for which secret, what for, and what came of it: lines of JSON, each with the digest of the one before."""

import fcntl
import os
import threading
from datetime import datetime
from pathlib import Path
from typing import Any

from contracts.artifact import digest
from contracts.errors import Conflict
from contracts.secret import HandOut

BEGINNING = "0" * 64


class HandOutAudit:
    """An append-only file that several processes may write to. A line is on the disk before a secret leaves."""

    def __init__(self, path: Path) -> None:
        """Raises ``Conflict`` when a line was changed, taken out or put in."""
        self._path = path
        self._lock = threading.Lock()
        self._size = 0
        """Of the file after the last line that was looked at."""
        lines = entries(path)
        self._number, self._previous = 0, BEGINNING
        if lines:
            self._take(lines[-1])
        self._size = path.stat().st_size if path.exists() else 0

    def write(self, at: datetime, **told: Any) -> HandOut:
        """Append a line and wait until it is on the disk. Raises ``Conflict`` when the file is not what it was."""
        with self._lock:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "r+b") as file:
                # Held until the file is closed: the line before ours must be the last one.
                fcntl.flock(file, fcntl.LOCK_EX)
                self._catch_up(file.seek(0, os.SEEK_END))
                line = HandOut(number=self._number + 1, at=at, previous=self._previous, **told)
                file.write(line.model_dump_json().encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
                self._size = file.tell()
            self._take(line)
            return line

    def _catch_up(self, size: int) -> None:
        """What other processes wrote since."""
        if size == self._size:
            return
        if size < self._size:
            raise Conflict(f"{self._path} is shorter than it was: lines were taken out. Keep it and look who did it.")
        if lines := entries(self._path):
            self._take(lines[-1])

    def _take(self, line: HandOut) -> None:
        self._number, self._previous = line.number, sha256_of(line)


def entries(path: Path) -> list[HandOut]:
    """Every line. Raises ``Conflict`` that names the first one that does not follow from the one before."""
    lines: list[HandOut] = []
    previous = BEGINNING
    for number, content in enumerate(path.read_bytes().splitlines() if path.exists() else [], 1):
        try:
            line = HandOut.model_validate_json(content)
        except ValueError:
            line = None
        if line is None or line.number != number or line.previous != previous or line.model_dump_json().encode() != content:
            raise Conflict(f"Line {number} of {path} was changed, or a line before it; keep the file and look who did it.")
        lines.append(line)
        previous = digest(content)
    return lines


def sha256_of(line: HandOut) -> str:
    """The digest that the next line has in it."""
    return digest(line.model_dump_json().encode())
