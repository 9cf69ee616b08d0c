"""Signed waivers of one service: a folder of envelopes for each task. What is not signed, or not any more, waives nothing."""

import logging
import os
import tempfile
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from activities.evidence.envelopes import opened_waiver, signed
from activities.evidence.keys import SigningKeys
from contracts.artifact import digest
from contracts.errors import InvalidInput
from contracts.evidence import Envelope
from contracts.waiver import Waiver, waiver_statement

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

    def in_force(self, task_id: str, commits: Collection[str], now: datetime | None = None) -> tuple[Waiver, ...]:
        """The waivers of a task's change whose signature is good and whose time is not over, oldest first."""
        return tuple(waiver for waiver, _ in self.held(task_id, commits, now))

    def held(
        self, task_id: str, commits: Collection[str], now: datetime | None = None
    ) -> tuple[tuple[Waiver, Envelope], ...]:
        """The same, each with the envelope that was signed."""
        now = now or datetime.now(UTC)
        found = [read for path in sorted(self._folder(task_id).glob("*.json")) if (read := self._read(path, now))]
        mine = [one for one in found if one[0].in_force(task_id, commits, now)]
        return tuple(sorted(mine, key=lambda one: one[0].issued_at))

    def _folder(self, task_id: str) -> Path:
        return self._keys.folder / "waivers" / task_id

    def _read(self, path: Path, now: datetime) -> tuple[Waiver, Envelope] | None:
        try:
            envelope = Envelope.model_validate_json(path.read_bytes())
            return opened_waiver(envelope, self._keys.ring(), now), envelope
        except (ValidationError, InvalidInput) as problem:
            log.warning("the waiver %s counts for nothing: %s", path, problem)
            return None
