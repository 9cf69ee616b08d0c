"""Backups of a service's databases, taken while it runs and put back while it is stopped, as an operator does it."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path


def back_up(folder: Path, to: Path, *names: str) -> None:
    """Copy SQLite databases of a data folder by SQLite's own backup, which may run beside writers."""
    to.mkdir(parents=True, exist_ok=True)
    for name in names:
        with closing(sqlite3.connect(folder / name)) as source, closing(sqlite3.connect(to / name)) as target:
            source.backup(target)


def put_back(folder: Path, backup: Path, *names: str) -> None:
    """Put them in the place of the present ones; the service must not run."""
    for name in names:
        for beside in ("-wal", "-shm"):
            (folder / f"{name}{beside}").unlink(missing_ok=True)
        shutil.copyfile(backup / name, folder / name)
