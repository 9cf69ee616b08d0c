"""What a tool call has run and found, kept beside the mirror: the same call asked again is answered, not run again."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

from pydantic import ValidationError

from contracts.sandbox import CommandResult
from contracts.word import Word
from contracts.workspace import Workspace
from mcp_servers.object_store import Mirror


class CallRecord(Word):
    """A finished command before its commit is made: with it, the commit can be made again."""

    result: CommandResult
    parent: str
    """The workspace's commit the command ran on."""
    tree: str
    """The tree it left."""


class CallRecords:
    """The records of one workspace; safe to be read and written by several processes."""

    def __init__(self, mirror: Mirror, workspace: Workspace) -> None:
        self._folder = mirror.path / "patchwright-calls" / workspace.name

    def find(self, call: str) -> CallRecord | None:
        """The record of a call; None for a call without an id, or one that has not ended."""
        if not call:
            return None
        try:
            return CallRecord.model_validate_json(self._file(call).read_bytes())
        except (OSError, ValidationError):
            return None

    def keep(self, call: str, record: CallRecord) -> None:
        """Keep the record of a call."""
        if not call:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(record.model_dump_json().encode())
            Path(name).replace(self._file(call))
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise

    def _file(self, call: str) -> Path:
        return self._folder / f"{hashlib.sha256(call.encode()).hexdigest()}.json"
