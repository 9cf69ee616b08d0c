"""Who is behind a credential: the service's own token, a token that an admin made, or a browser's session."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta

from activities.stores.access_store import TOKEN_PREFIX, AccessStore
from contracts.access import AccessToken, Principal, Role, Session


class LocalToken:
    """The token of the settings or the data folder: whoever runs the service has it, and may do everything."""

    def __init__(self, token: str, person: str) -> None:
        if not token:
            raise ValueError("the API needs a token")
        self._sha256 = hashlib.sha256(token.encode()).digest()
        self.fingerprint = hashlib.sha256(b"fingerprint" + self._sha256).hexdigest()[:16]
        self.principal = Principal(
            name=person, roles=frozenset({Role.ADMIN}), kind="local", credential=f"local:{self.fingerprint}")

    def is_it(self, offered: str) -> bool:
        """Whether this is the token, in a time that tells nothing about it."""
        return hmac.compare_digest(hashlib.sha256(offered.encode("utf-8", "replace")).digest(), self._sha256)


class Identities:
    """Turns credentials into principals. Its methods raise ``StoreUnavailable``; the service's own token needs no database."""

    def __init__(self, store: AccessStore, local: LocalToken, idle: timedelta) -> None:
        self._store = store
        self._local = local
        self._idle = idle

    async def of_token(self, offered: str) -> Principal | None:
        """Whom a bearer token stands for; None when it opens nothing (any more)."""
        if self._local.is_it(offered):
            return self._local.principal
        if not offered.startswith(TOKEN_PREFIX):
            return None
        token = await self._store.token_of(offered)
        return token.principal if token is not None and token.good_at(datetime.now(UTC)) else None

    async def of_cookie(self, cookie: str) -> Principal | None:
        """Whose browser it is; None when it is signed out."""
        session = await self._store.session_of(cookie, self._idle) if cookie else None
        return session.principal if session is not None and await self._is_open(session) else None

    async def holds(self, credential: str) -> bool:
        """Whether a credential that came in before still does."""
        kind, _, name = credential.partition(":")
        if kind == "local":
            return name == self._local.fingerprint
        if kind == "token":
            return _is_good(await self._store.token(name))
        session = await self._store.session(name) if kind == "session" else None
        return session is not None and await self._is_open(session)

    async def _is_open(self, session: Session) -> bool:
        if not session.good_at(datetime.now(UTC), self._idle.total_seconds()):
            return False
        # One that a provider's word opened lives for itself; the others live with their token.
        return session.opened_with.startswith("oidc:") or await self.holds(session.opened_with)


def _is_good(token: AccessToken | None) -> bool:
    return token is not None and token.good_at(datetime.now(UTC))
