"""A ticket from what stands on the command line, in a file or on stdin."""

import sys
from pathlib import Path
from typing import Any

import git
from pydantic import ValidationError

from contracts.errors import InvalidInput
from contracts.task import TaskRequest


def request_of(**given: Any) -> dict[str, Any]:
    """The body for ``POST /tasks``, without what was not given. Raises ``InvalidInput`` that names the option."""
    body = {name: value for name, value in given.items() if value not in (None, "", (), [], {})}
    try:
        return TaskRequest.model_validate(body).model_dump(mode="json", exclude_unset=True)
    except ValidationError as error:
        problems = [
            f"{'.'.join(str(part) for part in p['loc'])}: {p['msg'].removeprefix('Value error, ')}" for p in error.errors()
        ]
        raise InvalidInput("the ticket cannot be used: " + "; ".join(problems)) from None


def repository(given: str) -> str:
    """A URL as it is, a local path as an absolute one; by default the origin of the repository around us, or its root."""
    if given:
        path = Path(given).expanduser()
        return str(path.resolve()) if path.exists() else given
    try:
        with git.Repo(search_parent_directories=True) as around:
            root = str(around.working_tree_dir or around.git_dir)
            origin = around.remotes["origin"].url if "origin" in around.remotes else ""
    except (git.InvalidGitRepositoryError, git.NoSuchPathError):
        raise InvalidInput("this folder is no git repository; name one: ./patchwright submit URL_OR_PATH") from None
    local = Path(root, origin) if origin and "://" not in origin else None
    return str(local.resolve()) if local and local.exists() else origin or root


def title_and_text(title: str, description: str, file: str) -> tuple[str, str]:
    """Title and description; a Markdown file's first heading (else its first line) is the title when none is given."""
    if not file:
        if not title:
            raise InvalidInput("say what to do: --title 'Add retries to the payment client', or --file ticket.md")
        return title, description
    if description:
        raise InvalidInput("give --description or --file, not both")
    text = _read(file)
    heading, rest = _heading(text)
    return (title, text) if title else (heading, rest)


def source_of(given: str) -> dict[str, str] | None:
    """``system:key`` as a ticket source."""
    if not given:
        return None
    system, separator, key = given.partition(":")
    if not (separator and system and key):
        raise InvalidInput(f"--source {given!r}: write system:key, e.g. jira:ENG-1423")
    return {"system": system, "key": key}


def _read(file: str) -> str:
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).expanduser().read_bytes()
        text = raw.decode("utf-8-sig")
    except OSError as error:
        raise InvalidInput(f"--file {file}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"--file {file}: it is not UTF-8 text") from None
    if not text.strip():
        raise InvalidInput(f"--file {file}: it is empty")
    return text.replace("\r\n", "\n")


def _heading(text: str) -> tuple[str, str]:
    lines = text.strip().split("\n")
    at = next((n for n, line in enumerate(lines) if line.startswith("#") and line.lstrip("#").strip()), 0)
    return lines[at].lstrip("#").strip()[:300], "\n".join(lines[:at] + lines[at + 1 :]).strip()
