"""Repositories and pull requests of forges that live on a host: which one a remote means, and what identifies it."""

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from contracts.errors import InvalidInput, NotFound

SHORT_FORM = re.compile(r"^(?:[^@/\s]+@)?([^:/\s]+):(?!//)([^\s]+)$")
"""ssh's ``git@host:owner/name.git``."""
SEPARATOR = "~"
"""Allowed in URLs as it is, and in no owner's, group's or repository's name."""


@dataclass(frozen=True, slots=True)
class HostedRepository:
    """A repository on a host."""

    host: str
    """With the port where it is not the usual one, e.g. ``git.example.com:8443``."""
    path: str
    """``owner/name``, or ``group/subgroup/name`` on GitLab."""

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def owner(self) -> str:
        """All but the last part of the path."""
        return self.path.rsplit("/", 1)[0]


@dataclass(frozen=True, slots=True)
class HostedPullRequest:
    """A pull request on a host."""

    kind: str
    """``github`` or ``gitlab``."""
    repository: HostedRepository
    number: int

    @property
    def id(self) -> str:
        """Unique over all forges, and readable back: ``github~github.com~octo~hello~12``."""
        return SEPARATOR.join([self.kind, self.repository.host, *self.repository.path.split("/"), str(self.number)])

    @classmethod
    def of(cls, pull_request_id: str) -> "HostedPullRequest":
        """Read an id back. Raises ``NotFound`` for anything that is none."""
        kind, *place = pull_request_id.split(SEPARATOR)
        if len(place) < 4 or not all(place) or not place[-1].isascii() or not place[-1].isdigit():
            raise NotFound(f"There is no pull request {pull_request_id!r}.")
        return cls(kind, HostedRepository(place[0], "/".join(place[1:-1])), int(place[-1]))


def hosted_repository(remote: str) -> HostedRepository | None:
    """What a remote names; None for a path on this machine. Credentials in it are left out.

    Raises ``InvalidInput`` when it is a URL that names no repository.
    """
    if short := SHORT_FORM.match(remote):
        return _checked(remote, short[1], short[2])
    if "://" not in remote or remote.startswith("file:"):
        return None
    parts = urlsplit(remote)
    usual = {"https": 443, "http": 80, "ssh": 22}.get(parts.scheme)
    # The API's host is meant: an ssh port of its own says nothing about it.
    port = f":{parts.port}" if parts.port and parts.port != usual and parts.scheme != "ssh" else ""
    return _checked(remote, (parts.hostname or "") + port, unquote(parts.path))


def _checked(remote: str, host: str, path: str) -> HostedRepository:
    named = path.strip("/").removesuffix(".git").strip("/")
    segments = named.split("/")
    if not host or len(segments) < 2 or not all(re.fullmatch(r"[\w.-]+", part) and part.strip(".") for part in segments):
        raise InvalidInput(
            f"{re.sub(r'://[^/@]*@', '://', remote)!r} names no repository; it should look like https://HOST/OWNER/NAME."
        )
    return HostedRepository(host.lower(), named)
