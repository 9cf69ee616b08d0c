"""Reading JSON that others send: what is missing, or is of another type, is empty. Real payloads fail their own schemas."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from contracts.errors import InvalidInput
from mcp_servers.repo.hosted import HostedRepository, hosted_repository

Json = Mapping[str, Any]


def below(told: Any, *path: str) -> Json:
    """The object at a path."""
    for name in path:
        told = told.get(name) if isinstance(told, dict) else None
    return told if isinstance(told, dict) else {}


def text(told: Any, *path: str) -> str:
    """The text at a path; a number as text."""
    value = below(told, *path[:-1]).get(path[-1])
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value)


def number(told: Any, *path: str) -> int:
    """The positive whole number at a path, else 0."""
    value = below(told, *path[:-1]).get(path[-1])
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def items(told: Any, *path: str) -> list[Any]:
    """The list at a path."""
    value = below(told, *path[:-1]).get(path[-1])
    return value if isinstance(value, list) else []


def texts(told: Any, name: str, *path: str) -> tuple[str, ...]:
    """One text of each object in the list at a path, empty ones left out."""
    return tuple(found for item in items(told, *path) if (found := text(item, name)))


def host_of(url: str) -> str:
    """The host that a URL names, with the port where it is not the usual one; empty when it names none."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port and parts.port != {"https": 443, "http": 80}.get(parts.scheme) else ""
        return f"{parts.hostname or ''}{port}".lower() if parts.scheme in ("http", "https") and parts.hostname else ""
    except ValueError:
        return ""


def repository_at(url: str) -> HostedRepository | None:
    """The repository that a web address names; None when it names none."""
    try:
        return hosted_repository(url) if host_of(url) else None
    except (InvalidInput, ValueError):
        return None
