"""Which login at a forge somebody may have who is known here by other names.

It errs to yes: it only ever keeps somebody from approving what may be their own, and never gives anybody anything.
"""

import re
from collections.abc import Iterable

NOREPLY = re.compile(r"(?:[0-9]+[+-])?([^@]+)@users\.noreply\.", re.IGNORECASE)
"""Addresses that GitHub and GitLab make of a login: ``583231+octocat@users.noreply.github.com``."""
PARTED = re.compile(r"[^0-9a-z\x80-\U0010ffff]+")
"""What forges write for whatever a login cannot hold: ``ada.lovelace`` becomes ``ada-lovelace``."""


def logins_of(names: Iterable[str]) -> tuple[str, ...]:
    """The logins that a person of these names may have: a name as it is, what stands before an ``@``, an OIDC subject."""
    found = [_plain(one) for name in names for one in _forms(name.strip())]
    return tuple(dict.fromkeys(login for login in found if login))


def login_forms(login: str) -> tuple[str, ...]:
    """A login as it may be written; what a company's accounts have behind the last ``_`` is left out, too."""
    own = login.strip().removeprefix("@")
    managed = own.rpartition("_")[0]
    return tuple(dict.fromkeys((login, *filter(None, (_plain(own), _plain(managed))))))


def _forms(name: str) -> Iterable[str]:
    yield name
    if noreply := NOREPLY.match(name):
        yield noreply[1]
    elif "@" in name.removeprefix("@"):
        before = name.rpartition("@")[0]
        yield from (before, before.partition("+")[0])
    if name.startswith("oidc:"):
        yield name.rpartition("#")[2]


def _plain(name: str) -> str:
    return PARTED.sub("-", name.casefold()).strip("-")
