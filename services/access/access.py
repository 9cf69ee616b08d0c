"""Everything that the front door needs to know about who comes in, made once for a process."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from activities.stores.access_store import AccessStore
from services.access.identities import Identities, LocalToken
from services.access.limits import FailedLogins, RequestRate
from services.access.oidc import OidcProvider
from services.access.rules import OidcAccess

WEEK = timedelta(days=7)
DAY = timedelta(days=1)
BEGINNINGS_PER_MINUTE = 60
"""Sign-ins at a provider that one address may begin."""


@dataclass(frozen=True)
class AccessRules:
    """How long and how often, and where else people may sign in."""

    token: str
    """The service's own token."""
    person: str
    """Whom that token stands for."""
    session: timedelta = WEEK
    idle: timedelta = DAY
    requests_per_minute: float = 0
    """Of one principal; 0: as many as they like."""
    failed_logins: int = 20
    """From one address within five minutes."""
    oidc: OidcAccess | None = None
    oidc_secret: Callable[[], str] = field(default=lambda: "")
    public_url: str = ""
    """Where people reach the service; empty: where their browser found it."""


class Access:
    """Identities, limits, and the provider that people may sign in at."""

    def __init__(self, store: AccessStore, rules: AccessRules) -> None:
        local = LocalToken(rules.token, rules.person)
        self.store = store
        self.rules = rules
        self.instance = local.fingerprint
        self.identities = Identities(store, local, rules.idle)
        self.rate = RequestRate(rules.requests_per_minute)
        self.beginnings = RequestRate(BEGINNINGS_PER_MINUTE)
        """Of one address, at the door: each sign-in that is begun takes a row."""
        self.failed_logins = FailedLogins(rules.failed_logins)
        self.oidc = OidcProvider(rules.oidc, rules.oidc_secret) if rules.oidc else None
