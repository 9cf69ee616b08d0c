"""What a tool call has run and found, kept beside the mirror: the same call asked again is answered, not run again."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from contracts.checks import ChecksRun
from contracts.mutation import MutationRun
from contracts.sandbox import CommandResult, SandboxTier
from contracts.word import Word
from contracts.workspace import Workspace
from mcp_servers.object_store import Mirror

TIER = "tier"
Kept = TypeVar("Kept", bound=BaseModel)


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
        """The record of a command; None for a call without an id, or one that has not ended."""
        return self._found(CallRecord, call)

    def keep(self, call: str, record: CallRecord) -> None:
        """Keep the record of a command."""
        self._keep(call, record)

    def find_checks(self, call: str) -> ChecksRun | None:
        """The finished checks of a call."""
        return self._found(ChecksRun, call)

    def keep_checks(self, call: str, run: ChecksRun) -> None:
        """Keep the finished checks of a call."""
        self._keep(call, run)

    def find_mutation(self, call: str) -> MutationRun | None:
        """The finished trial of mutants of a call."""
        return self._found(MutationRun, call)

    def keep_mutation(self, call: str, run: MutationRun) -> None:
        """Keep the finished trial of mutants of a call."""
        self._keep(call, run)

    def tier(self) -> SandboxTier | None:
        """The tier that the workspace's last sandbox was of; None before the first."""
        try:
            return SandboxTier((self._folder / TIER).read_text())
        except (OSError, ValueError):
            return None

    def keep_tier(self, tier: SandboxTier) -> None:
        """Keep the tier of the workspace's newest sandbox."""
        self._write(self._folder / TIER, tier.value.encode())

    def _found(self, kind: type[Kept], call: str) -> Kept | None:
        if not call:
            return None
        try:
            return kind.model_validate_json(self._file(call).read_bytes())
        except (OSError, ValidationError):
            return None

    def _keep(self, call: str, record: BaseModel) -> None:
        if call:
            self._write(self._file(call), record.model_dump_json().encode())

    def _write(self, target: Path, content: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self._folder)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            Path(name).replace(target)
        except BaseException:
            with contextlib.suppress(FileNotFoundError):
                Path(name).unlink()
            raise

    def _file(self, call: str) -> Path:
        return self._folder / f"{hashlib.sha256(call.encode()).hexdigest()}.json"
