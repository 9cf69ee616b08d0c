"""A real Postgres server in a folder of its own, on a free loopback port; tests are skipped where there is none."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.temporal_server import free_port

USER = "patchwright"
FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "shared_buffers": "32MB"}
"""Settings of a database that nobody will miss."""


def program(name: str) -> Path | None:
    """One of Postgres' programs, from the PATH or from where Debian keeps them."""
    found = [Path(place) for place in (shutil.which(name),) if place]
    found += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return found[0] if found else None


@contextmanager
def postgres_server(folder: Path, port: int = 0, **settings: str) -> Iterator[str]:
    """Run a server on ``folder`` (made on first use) and give the URL of its database; skips the test where there is none."""
    if program("postgres") is None or program("initdb") is None:
        pytest.skip("There is no Postgres on this machine.")
    port = port or free_port()
    if not (folder / "PG_VERSION").exists():
        _make(folder)
    options = [part for name, value in (FAST | settings).items() for part in ("-c", f"{name}={value}")]
    command = [str(program("postgres")), "-D", str(folder), "-p", str(port), "-h", "127.0.0.1", "-k", "", *options]
    _let_through(folder.parent)  # another run of pytest may have closed them since
    with (folder.with_suffix(".log")).open("ab") as log:
        process = subprocess.Popen(_unprivileged(command), stdout=log, stderr=log, start_new_session=True, cwd="/")
    try:
        _until_ready(process, port, folder.with_suffix(".log"))
        yield f"postgresql+asyncpg://{USER}@127.0.0.1:{port}/postgres"
    finally:
        process.send_signal(signal.SIGINT)  # SIGTERM would wait for its clients to leave
        process.wait(30)


def dump(url: str) -> str:
    """Everything in a database as SQL that any client can run, without what differs from machine to machine."""
    tool, plain = program("pg_dump"), url.replace("+asyncpg", "")
    assert tool is not None
    command = [str(tool), "--inserts", "--no-owner", "--no-privileges", "--dbname", plain]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    # Comments name the server's version; the two commands are psql's own.
    kept = [line for line in said.splitlines() if not line.startswith(("--", "\\restrict", "\\unrestrict"))]
    return "\n".join(kept) + "\n"


def _make(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
    _let_through(folder.parent)
    command = [str(program("initdb")), "-D", str(folder), "-U", USER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
    made = subprocess.run(_unprivileged(command), check=False, capture_output=True, text=True, cwd="/")
    assert made.returncode == 0, made.stderr


def _unprivileged(command: list[str]) -> list[str]:
    """The command as a user that Postgres accepts: it refuses root."""
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command] if os.geteuid() == 0 else command


def _let_through(folder: Path) -> None:
    """pytest's folders are root's alone; the user that Postgres runs as must be able to pass through them."""
    if os.geteuid() != 0:
        return
    for place in (folder, *folder.parents):
        if place.stat().st_uid == os.geteuid() and not place.stat().st_mode & 0o001:
            place.chmod(place.stat().st_mode | 0o011)


def _until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    ready = [str(program("pg_isready") or "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    for _ in range(300):
        if process.poll() is not None:
            break
        if subprocess.run(ready, check=False).returncode == 0:
            return
        time.sleep(0.05)
    raise RuntimeError(f"Postgres did not start:\n{log.read_text()[-2_000:]}")
