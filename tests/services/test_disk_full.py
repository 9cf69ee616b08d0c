"""The disk fills up in mid-work: the task waits, nothing is damaged, and it goes on when there is space."""

import asyncio
import os
import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from activities.stores.artifact_store import ArtifactStore
from activities.stores.availability import patience
from activities.stores.database import open_database
from activities.stores.journal_store import JournalRow, JournalStore
from contracts.errors import DiskFull, StoreUnavailable
from mcp_servers.object_store import Mirrors, NewBlob
from mcp_servers.repo.opening import open_workspace
from services.scripted_model.server import serve
from services.temporal_server import TemporalServer
from tests.fakes.ledger import running_ledger
from tests.fakes.provider import Says, provider, response
from tests.fakes.stack import Service, WritesFiles, git, remote, running

FILES = 6
PATIENCE = 0.1
"""Seconds that the ledger waits for space with any call, in tests of what it waits longer for."""
NOTES = "\n".join(f"write notes/{n}.md: number {n}" for n in range(FILES))


class SmallDisk:
    """A file system of a few megabytes that can be filled to its last byte."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def fill(self) -> None:
        """Leave no space at all."""
        with (self.place / "ballast").open("ab", buffering=0) as ballast:
            for size in (1 << 16, 1):
                with suppress(OSError):
                    while True:
                        ballast.write(bytes(size))

    def free(self) -> None:
        """Give the space back."""
        (self.place / "ballast").unlink()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[Path, int], SmallDisk]]:
    """Mounts a small disk on a folder; skipped where nobody may mount."""
    mounted: list[Path] = []

    def mount(place: Path, mebibytes: int) -> SmallDisk:
        place.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m,mode=0700", "patchwright-test", str(place)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("Only root, with the right to mount, can make a disk that fills up.")
        mounted.append(place)
        return SmallDisk(place)

    yield mount
    for place in mounted:
        subprocess.run(["umount", "-l", str(place)], check=True)


async def saved(service: Service, task: str, least: int) -> None:
    """Wait until so many commits were told."""
    async with asyncio.timeout(60):
        while sum(event["kind"] == "commit" for event in await service.events(task)) < least:
            await asyncio.sleep(0.02)


def assert_whole(data: Path, bare: Path, task: str) -> None:
    """Nothing was damaged, and the task made one commit with all its files."""
    for database in ("patchwright.db", "local-forge.db"):
        with sqlite3.connect(data / database) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    for mirror in (data / "mirrors").glob("*.git"):
        git(mirror, "fsck", "--full", "--strict")
    assert git(bare, "rev-list", "--count", f"main..patchwright/{task}") == "1"
    changed = git(bare, "diff", "--name-only", "main", f"patchwright/{task}").splitlines()
    assert changed == [f"notes/{n}.md" for n in range(FILES)]


@pytest.mark.slow
@pytest.mark.parametrize("full", ["", "mirrors"], ids=["everything", "mirrors"])
async def test_a_task_waits_for_space_and_goes_on_where_it_was(
    full: str, tmp_path: Path, small_disk: Callable[[Path, int], SmallDisk], temporal: TemporalServer
) -> None:
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    disk = small_disk(data / full, 64)
    elsewhere = {
        "temporal_address": temporal.address,
        "task_queue": f"disk-{full or 'everything'}",
        "ledger_database_url": f"sqlite:///{tmp_path}/ledger.db",
    }
    async with (
        serve(WritesFiles(), latency_seconds=0.3, idempotent=False) as model,
        running(data, WritesFiles(), model=model, **elsewhere) as service,
    ):
        task = await service.submit(bare, "Notes", description=NOTES)
        await saved(service, task, 2)
        disk.fill()
        await (_refused(service, bare) if full == "" else _waits(service, task))
        disk.free()
        shown = await service.until(task, "awaiting_review", seconds=60)
        assert shown["spending"]["model_calls"] == model.stats.by_task[task] == FILES + 3
        assert model.stats.repeated == 0
        assert_whole(data, bare, task)


async def _refused(service: Service, bare: Path) -> None:
    """A new ticket is refused with a word about it; what is known can still be read."""
    answer = await service.http.post("/tasks", json={"repo": str(bare), "title": "Another"})
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:patchwright:problem:disk-full")
    assert int(answer.headers["retry-after"]) > 0
    assert (await service.http.get("/tasks")).status_code == 200


async def _waits(service: Service, task: str) -> None:
    async with asyncio.timeout(30):
        while not any("waits: A disk or quota is full" in event["text"] for event in await service.events(task)):
            await asyncio.sleep(0.05)


async def test_the_ledger_holds_an_answer_that_was_paid_for_until_there_is_space(
    tmp_path: Path, small_disk: Callable[[Path, int], SmallDisk], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.ledger.database.PATIENCE_SECONDS", PATIENCE)
    disk = small_disk(tmp_path / "disk", 8)
    async with provider(Says(body=response("x" * 500_000))) as upstream, running_ledger(disk.place, upstream.base_url) as asking:
        upstream.may_answer.clear()
        waiting = asyncio.create_task(asking.ask("t/r/0/d"))
        await upstream.arrived.wait()
        disk.fill()
        upstream.may_answer.set()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(waiting), 5 * PATIENCE)
        disk.free()
        assert (await waiting).status_code == 200
        assert (await asking.ask("t/r/0/d")).headers["x-patchwright-replayed"] == "true"
        assert len(upstream.calls) == 1


async def test_a_full_disk_takes_nothing_from_artifacts_journal_and_mirror(
    tmp_path: Path, small_disk: Callable[[Path, int], SmallDisk]
) -> None:
    disk = small_disk(tmp_path / "disk", 4)
    database = await open_database(f"sqlite:///{disk.place}/run.db")
    artifacts, journal = ArtifactStore(disk.place / "artifacts", database), JournalStore(database)
    mirrors = Mirrors(disk.place / "mirrors")
    opened = open_workspace(mirrors, str(remote(tmp_path, {"README.md": "hi\n"})), "", "task")
    mirror = mirrors.of(opened.workspace)

    def commit(name: str) -> str:
        tree = mirror.edit_tree(mirror.head(opened.workspace), {name: NewBlob(os.urandom(20_000))})
        return mirror.commit(opened.workspace, tree, "Write", name)

    row = JournalRow("pw-1", "run", "model", "0", 0, "d", "done", os.urandom(50_000))
    kept, head = await artifacts.put("pw-1", "s", b"kept", "text/plain", "log"), commit("first")
    disk.fill()
    for _ in range(3):
        with patience(0), pytest.raises(DiskFull):
            await artifacts.put("pw-1", "s", os.urandom(50_000), "text/plain", "log")
        with patience(0), pytest.raises(DiskFull):
            await journal.put(row)
        with pytest.raises(DiskFull):
            commit("second")
    assert mirror.head(opened.workspace) == head
    assert [path.name for path in (disk.place / "artifacts").rglob("*") if path.is_file()] == [kept.sha256]
    disk.free()
    await journal.put(row)
    assert [found.payload for found in await journal.load("pw-1", "run")] == [row.payload]
    assert await artifacts.get(kept.sha256) == b"kept"
    assert mirror.read(mirror.entry(commit("second"), "first").oid)  # type: ignore[union-attr]
    git(mirror.path, "fsck", "--full", "--strict")
    await database.close()


async def test_a_limit_on_the_size_of_files_damages_nothing_either(tmp_path: Path) -> None:
    """What anybody can try: SQLite and artifacts meet a limit in the middle of a write."""
    database = await open_database(f"sqlite:///{tmp_path}/run.db")
    artifacts, journal = ArtifactStore(tmp_path / "artifacts", database), JournalStore(database)
    big = os.urandom(400_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    try:
        with patience(0), pytest.raises((StoreUnavailable, DiskFull)):
            await journal.put(JournalRow("pw-1", "run", "model", "0", 0, "d", "done", big))
        with patience(0), pytest.raises(StoreUnavailable):
            await artifacts.put("pw-1", "s", big, "text/plain", "log")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    ref = await artifacts.put("pw-1", "s", big, "text/plain", "log")
    assert await artifacts.get(ref.sha256) == big
    assert await journal.load("pw-1", "run") == []
    await database.close()
