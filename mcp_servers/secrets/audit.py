"""Who asked for which secret, what for, and what came of it: lines of JSON, each with the digest of the one before."""

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
    """An append-only file. A line is on the disk before a secret leaves."""

    def __init__(self, path: Path) -> None:
        """Raises ``Conflict`` when a line was changed, taken out or put in."""
        self._path = path
        self._lock = threading.Lock()
        lines = entries(path)
        self._number = len(lines)
        self._previous = digest(lines[-1].model_dump_json().encode()) if lines else BEGINNING

    def write(self, at: datetime, **told: Any) -> HandOut:
        """Append a line and wait until it is on the disk."""
        with self._lock:
            line = HandOut(number=self._number + 1, at=at, previous=self._previous, **told)
            content = line.model_dump_json().encode()
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "wb") as file:
                file.write(content + b"\n")
                file.flush()
                os.fsync(file.fileno())
            self._number, self._previous = line.number, digest(content)
            return line


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
