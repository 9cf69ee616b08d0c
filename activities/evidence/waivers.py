"""Signed waivers of one service: a folder of envelopes for each task. What is not signed, or not any more, waives nothing."""

import logging
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from activities.evidence.envelopes import in_time, read, signed
from activities.evidence.keys import SigningKeys
from contracts.artifact import digest
from contracts.errors import InvalidInput
from contracts.evidence import Envelope
from contracts.waiver import Waiver, WaiverStatement, waiver_statement

log = logging.getLogger(__name__)


class Waivers:
    """Signs waivers and reads those in force."""

    def __init__(self, keys: SigningKeys) -> None:
        self._keys = keys

    def sign(self, waiver: Waiver) -> Path:
        """Keep a waiver in an envelope signed with the service's key."""
        private, public = self._keys.current()
        payload = waiver_statement(waiver).model_dump_json(by_alias=True).encode()
        content = signed(payload, private, public.keyid).model_dump_json(by_alias=True, indent=1).encode()
        folder = self._folder(waiver.task_id)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, draft = tempfile.mkstemp(dir=folder, prefix=".new-")
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        return Path(draft).replace(folder / f"{digest(content)}.json")

    def in_force(self, task_id: str, now: datetime | None = None) -> tuple[Waiver, ...]:
        """The waivers of a task whose signature is good and whose time is not over, oldest first."""
        now = now or datetime.now(UTC)
        found = [waiver for path in sorted(self._folder(task_id).glob("*.json")) if (waiver := self._read(path, now))]
        mine = [one for one in found if one.task_id == task_id and one.issued_at <= now < one.expires_at]
        return tuple(sorted(mine, key=lambda one: one.issued_at))

    def _folder(self, task_id: str) -> Path:
        return self._keys.folder / "waivers" / task_id

    def _read(self, path: Path, now: datetime) -> Waiver | None:
        try:
            envelope = Envelope.model_validate_json(path.read_bytes())
            payload, key = read(envelope, self._keys.ring())
            statement = WaiverStatement.model_validate_json(payload)
            in_time(statement.predicate.issued_at, key, now)
        except (ValidationError, InvalidInput) as problem:
            log.warning("the waiver %s counts for nothing: %s", path, problem)
            return None
        return statement.predicate if statement == waiver_statement(statement.predicate) else None
