"""Who may do what: roles, the rights that each one has, and whoever a credential stands for."""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from contracts.word import StrictWord, Word

PERSON_CHARACTERS = 200
WAY_OUT = re.compile(r"(?:^|[/:\\])\.{1,2}(?:[/\\]|$)|%2e|%2f|%5c|\\", re.IGNORECASE)
"""Parts of an address that lead elsewhere than its beginning says."""
Person = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$", max_length=PERSON_CHARACTERS)]
"""Whom a credential stands for, as people know them: an address, a login, or what a machine is called."""
RepositoryPattern = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x20\x7f]+$", max_length=2_000)]
"""A repository as tasks name it; ``*`` stands for anything, slashes included."""


class Role(StrEnum):
    """What somebody is to this service. One may be several."""

    SUBMITTER = "submitter"
    """Hands in tickets, and looks after those."""
    REVIEWER = "reviewer"
    """Says yes or no to plans and pull requests."""
    OPERATOR = "operator"
    """Keeps tasks going, whoever they are from, and looks into what happened."""
    ADMIN = "admin"
    """Everything, and who else may do what."""


class Right(StrEnum):
    """Something that a role may do."""

    READ = "read"
    """See tasks, plans, events, artifacts and pull requests."""
    SUBMIT = "submit"
    """Hand in a ticket."""
    STEER = "steer"
    """Tell the agents something; pause, cancel or close a task."""
    APPROVE = "approve"
    """Answer a plan; review a pull request; sign a waiver."""
    OPERATE = "operate"
    """Resume a task, with more budget or an allowed operation if need be; see audit logs and deliveries; hand in for others."""
    ADMINISTER = "administer"
    """Read the policy file again; make and revoke tokens."""


RIGHTS: Mapping[Role, frozenset[Right]] = {
    Role.SUBMITTER: frozenset({Right.READ, Right.SUBMIT}),
    Role.REVIEWER: frozenset({Right.READ, Right.APPROVE}),
    Role.OPERATOR: frozenset({Right.READ, Right.SUBMIT, Right.STEER, Right.OPERATE}),
    Role.ADMIN: frozenset(Right),
}
OWN_RIGHTS: Mapping[Role, frozenset[Right]] = {Role.SUBMITTER: frozenset({Right.STEER})}
"""What a role may do to the tasks that the same person handed in."""


class Principal(Word):
    """Whoever a request comes from, as its credential proves it."""

    name: Person
    identities: tuple[str, ...] = ()
    """What else is known to be this person: ``oidc:ISSUER#SUBJECT``."""
    roles: frozenset[Role] = frozenset()
    repositories: tuple[str, ...] = ()
    """Patterns of the repositories that the credential is good for; empty: all."""
    kind: Literal["local", "token", "oidc"] = "token"
    credential: str = ""
    """Which credential it was: ``local:…``, ``token:ID`` or ``session:ID``; never the secret itself."""
    expires_at: datetime | None = None

    @property
    def known_as(self) -> tuple[str, ...]:
        """Every name of this person."""
        return (self.name, *self.identities)

    def may(self, right: Right) -> bool:
        """Whether one of the roles has the right."""
        return any(right in RIGHTS[role] for role in self.roles)

    def may_to_own(self, right: Right) -> bool:
        """Whether one of the roles has the right for the person's own tasks."""
        return any(right in OWN_RIGHTS.get(role, ()) for role in self.roles)

    def sees(self, repository: str) -> bool:
        """Whether the credential is good for a repository."""
        return not self.repositories or any(_matches(repository, pattern) for pattern in self.repositories)

    def is_one_of(self, names: Iterable[str]) -> bool:
        """Whether one of the names is this person's."""
        return same_person(self.known_as, names)


def same_person(one: Iterable[str], other: Iterable[str]) -> bool:
    """Whether two lists of names have one in common; how it is written does not count."""
    return bool(_folded(one) & _folded(other))


def roles_with(right: Right) -> tuple[Role, ...]:
    """The roles that have a right."""
    return tuple(role for role in Role if right in RIGHTS[role])


def _matches(repository: str, pattern: str) -> bool:
    # `/srv/shop/../safe.git` begins like something in /srv/shop and is somewhere else.
    if WAY_OUT.search(repository):
        return False
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), repository, re.DOTALL) is not None


def _folded(names: Iterable[str]) -> set[str]:
    return {folded for name in names if (folded := name.strip().casefold())}


class TokenRequest(StrictWord):
    """A token that somebody is to get."""

    person: Person
    """Whom it stands for: what they hand in or approve with it is theirs."""
    roles: tuple[Role, ...] = Field(min_length=1, max_length=len(Role))
    repositories: tuple[RepositoryPattern, ...] = Field(default=(), max_length=100)
    """The repositories that it is good for, ``*`` for anything; empty: all."""
    days: float = Field(default=90, gt=0, le=3_650)
    """Days until it expires."""
    note: str = Field(default="", max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")
    """What it is for."""


class AccessToken(Word):
    """A token as it is kept: its secret is not, only a digest in the store."""

    id: str
    person: Person
    roles: tuple[Role, ...]
    repositories: tuple[str, ...] = ()
    note: str = ""
    created_by: str = ""
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    """To the minute."""

    def good_at(self, moment: datetime) -> bool:
        """Whether it opens anything at that moment."""
        return self.revoked_at is None and moment < self.expires_at

    @property
    def principal(self) -> Principal:
        """Whom it stands for."""
        return Principal(name=self.person, roles=frozenset(self.roles), repositories=self.repositories, kind="token",
                         credential=f"token:{self.id}", expires_at=self.expires_at)


class Session(Word):
    """Somebody's browser, signed in."""

    id: str
    principal: Principal
    """As it was at sign-in; a session that a token opened ends with that token."""
    opened_with: str
    """The credential that opened it."""
    created_at: datetime
    seen_at: datetime
    """To the minute."""
    expires_at: datetime
    ended_at: datetime | None = None

    def good_at(self, moment: datetime, idle_seconds: float) -> bool:
        """Whether it is open at that moment, unless its credential says otherwise."""
        idle = (moment - self.seen_at).total_seconds()
        return self.ended_at is None and moment < self.expires_at and idle < idle_seconds
