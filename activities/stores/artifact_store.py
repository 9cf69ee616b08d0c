"""Plans, logs, transcripts and diffs: files named after their content, and which step of which task made them."""

import asyncio
import os
import re
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import RowMapping, select

from activities.stores.availability import as_store_failures, repeatable
from activities.stores.database import Database
from activities.stores.event_log import printable
from activities.stores.tables import artifacts
from contracts.artifact import ArtifactRef, digest
from contracts.errors import NotFound
from contracts.record import StepArtifact
from contracts.redaction import NOTHING_HELD, Redactor

SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


class ArtifactStore:
    """A folder of bytes and a table of links."""

    def __init__(self, root: Path, database: Database, redactor: Redactor = NOTHING_HELD) -> None:
        """``redactor``: what takes secrets out of the bytes before they are stored."""
        self.root = root
        self._database = database
        self._redactor = redactor

    @repeatable
    async def put(self, task_id: str, step: str, content: bytes, media_type: str, name: str) -> ArtifactRef:
        """Store bytes, without secrets that we hold, and link them to a step; the same again is the same artifact."""
        if self._redactor:
            content = await asyncio.to_thread(self._redactor.redact_bytes, content)
        ref = ArtifactRef(sha256=digest(content), size=len(content), media_type=media_type, name=printable(name))
        with as_store_failures():
            await asyncio.to_thread(self._write, ref.sha256, content)
        link = {"task_id": task_id, "step": step, **ref.model_dump(), "at": datetime.now(UTC)}
        async with self._database.writing() as connection:
            await connection.execute(self._database.insert(artifacts).on_conflict_do_nothing(
                index_elements=["task_id", "step", "name", "sha256"]), link)
        return ref

    async def get(self, sha256: str) -> bytes:
        """The bytes with that digest. Raises ``NotFound``, also when the bytes on disk are no longer what was stored."""
        if not SHA256.fullmatch(sha256):
            raise NotFound(f"{sha256!r} is not a sha256 in lower-case hex.")
        return await asyncio.to_thread(self._read, sha256)

    @repeatable
    async def ref(self, sha256: str) -> ArtifactRef:
        """How an artifact was called and typed when it was first stored. Raises ``NotFound``."""
        async with self._database.reading() as connection:
            wanted = select(artifacts).where(artifacts.c.sha256 == sha256).order_by(artifacts.c.number).limit(1)
            row = (await connection.execute(wanted)).mappings().first()
        if row is None:
            raise NotFound(f"There is no artifact {sha256!r}.")
        return ArtifactRef.model_validate(dict(row))

    @repeatable
    async def of_task(self, task_id: str) -> list[StepArtifact]:
        """All artifacts of a task, oldest first."""
        async with self._database.reading() as connection:
            wanted = select(artifacts).where(artifacts.c.task_id == task_id).order_by(artifacts.c.number)
            rows = (await connection.execute(wanted)).mappings().all()
        return [_step_artifact(row) for row in rows]

    @repeatable
    async def of_tasks(self, task_ids: Sequence[str]) -> dict[str, list[StepArtifact]]:
        """All artifacts of some tasks, oldest first, by task; in one question."""
        found: dict[str, list[StepArtifact]] = {name: [] for name in task_ids}
        wanted = select(artifacts).where(artifacts.c.task_id.in_(task_ids)).order_by(artifacts.c.number)
        async with self._database.reading() as connection:
            for row in (await connection.execute(wanted)).mappings():
                found[row["task_id"]].append(_step_artifact(row))
        return found

    @repeatable
    async def tasks_with(self, sha256: str) -> list[str]:
        """The tasks that have an artifact with that digest."""
        wanted = select(artifacts.c.task_id).where(artifacts.c.sha256 == sha256).distinct()
        async with self._database.reading() as connection:
            return [str(name) for name in (await connection.execute(wanted)).scalars()]

    def _path(self, sha256: str) -> Path:
        return self.root / sha256[:2] / sha256

    def _write(self, sha256: str, content: bytes) -> None:
        path = self._path(sha256)
        if path.is_file() and path.read_bytes() == content:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)

    def _read(self, sha256: str) -> bytes:
        try:
            content = self._path(sha256).read_bytes()
        except FileNotFoundError:
            raise NotFound(f"There is no artifact {sha256!r}.") from None
        if digest(content) != sha256:
            raise NotFound(f"The artifact {sha256!r} is damaged on disk; restore it from a backup or run the step again.")
        return content


def _step_artifact(row: RowMapping) -> StepArtifact:
    return StepArtifact(step=row["step"], ref=ArtifactRef.model_validate(dict(row)), at=row["at"])


def _sync_folder(folder: Path) -> None:
    """Make the new name itself survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
