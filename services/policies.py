"""The organisation's policy: read from a file, read again while the service runs, and never swapped for one that is not sound."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from contracts.errors import InvalidInput
from contracts.policy import Policy, narrowed
from contracts.policy_document import narrowing_of, policy_of

LARGEST = 256 << 10
"""Bytes of a policy file."""
REPOSITORY_FILE = ".patchwright.yaml"
log = logging.getLogger(__name__)


class _OneOfEachKey(yaml.SafeLoader):
    """YAML in which a key stands once: of two, a person reads the first and a program obeys the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"the key {key.value!r} stands twice", key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


class OrganisationPolicy:
    """What the service allows any task: the file's policy, narrowed by the setting ``default_policy``."""

    def __init__(self, file: Path | None, default: Policy) -> None:
        self._file = file
        self._default = default
        self.current = self._read()
        """The policy in force. Tasks keep the one that they were accepted under."""

    def reload(self) -> Policy:
        """Read the file again. Raises ``InvalidInput`` when it cannot be used; the policy in force then stays."""
        before, self.current = self.current, self._read()
        if before != self.current:
            log.warning("The policy is %s now; it was %s", self.current.sha256, before.sha256)
        return self.current

    def _read(self) -> Policy:
        return narrowed(read_policy(self._file), self._default) if self._file else self._default

    @contextmanager
    def reloaded_by_signal(self) -> Iterator[None]:
        """Read the file again at each SIGHUP for as long as the block lasts; a file that cannot be used is told in the log.

        The same signal says that the terminal was closed; the process then ends, as it did before.
        """
        loop, had_terminal = asyncio.get_running_loop(), os.isatty(0)

        def hung_up() -> None:
            if had_terminal and not os.isatty(0):
                os.kill(os.getpid(), signal.SIGTERM)
            else:
                self._reload_or_tell()

        loop.add_signal_handler(signal.SIGHUP, hung_up)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGHUP)

    def _reload_or_tell(self) -> None:
        try:
            log.info("SIGHUP: the policy is %s", self.reload().sha256)
        except InvalidInput as bad:
            log.error("SIGHUP: the policy stays as it was. %s", bad.message)


def read_policy(file: Path) -> Policy:
    """The policy in a YAML file. Raises ``InvalidInput`` that names the file, the key and what to write."""
    return policy_of(read_yaml(file), str(file))


def read_repository_policy(file: Path) -> Policy:
    """The ``policy:`` of a repository's ``.patchwright.yaml``. Raises ``InvalidInput``."""
    document = read_yaml(file)
    if document is not None and not isinstance(document, dict):
        raise InvalidInput(f"{file} must be a mapping with the key `policy`.")
    return narrowing_of((document or {}).get("policy"), f"{file}: policy")


def read_yaml(file: Path) -> object:
    """A YAML document, plain data only. Raises ``InvalidInput``."""
    try:
        with file.open("rb") as opened:
            content = opened.read(LARGEST + 1)
    except OSError as error:
        raise InvalidInput(f"{file} cannot be read: {error.strerror}. Write the path of a YAML file.") from None
    if len(content) > LARGEST:
        raise InvalidInput(f"{file} is larger than {LARGEST >> 10} KiB.")
    try:
        return yaml.load(content.decode("utf-8"), _OneOfEachKey)  # noqa: S506 - a SafeLoader
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark is not None else ""
        raise InvalidInput(f"{file}{line} is not valid YAML: {getattr(error, 'problem', None) or error}.") from None
