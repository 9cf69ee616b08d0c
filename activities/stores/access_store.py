"""Tokens, sessions and sign-ins under way. Of each secret a digest is kept, and the digest is bound to the tenant."""

import hashlib
import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, RowMapping, Table, delete, or_, select, update

from activities.stores.availability import repeatable
from activities.stores.database import Database
from activities.stores.event_log import printable
from activities.stores.tables import access_sessions, access_sign_ins, access_tokens
from contracts.access import AccessToken, Principal, Session, TokenRequest
from contracts.errors import NotFound

TOKEN_PREFIX = "pwt_"  # noqa: S105 - what every token begins with, so that scanners know one
SECRET_BYTES = 32
SEEN = timedelta(minutes=1)
"""How exactly is kept when something was used last: a write for each request would be too much."""
KEPT_SESSIONS = timedelta(days=30)
"""How long an ended session can be looked at."""


class AccessStore:
    """Who may come in, as the database of one tenant knows it. Its methods raise ``StoreUnavailable`` while that is away."""

    def __init__(self, database: Database, tenant: str = "") -> None:
        self._database = database
        self._tenant = tenant

    # -- tokens ----------------------------------------------------------------------------------------------

    async def make_token(self, wanted: TokenRequest, by: str) -> tuple[AccessToken, str]:
        """A new token and its secret, which is told this once."""
        secret = TOKEN_PREFIX + secrets.token_urlsafe(SECRET_BYTES)
        now = datetime.now(UTC)
        made = AccessToken(
            id=secrets.token_hex(6), person=printable(wanted.person), roles=tuple(dict.fromkeys(wanted.roles)),
            repositories=wanted.repositories, note=printable(wanted.note), created_by=by, created_at=now,
            expires_at=now + timedelta(days=wanted.days))
        row = made.model_dump() | {"sha256": self._digest(secret), "tenant": self._tenant, "roles": json.dumps(made.roles),
                                   "repositories": json.dumps(made.repositories)}
        await self._insert(access_tokens, row)
        return made, secret

    @repeatable
    async def token_of(self, secret: str) -> AccessToken | None:
        """The token with that secret, whether it is good or not; its use is noted."""
        return await self._found(access_tokens, access_tokens.c.sha256 == self._digest(secret), "last_used_at", _token)

    @repeatable
    async def token(self, token_id: str) -> AccessToken | None:
        """The token with that id."""
        return await self._found(access_tokens, access_tokens.c.id == token_id, "", _token)

    @repeatable
    async def tokens(self) -> list[AccessToken]:
        """Every token that was ever made, the newest first."""
        wanted = select(access_tokens).where(access_tokens.c.tenant == self._tenant).order_by(access_tokens.c.created_at.desc())
        return await self._database.look(lambda connection: [_token(row) for row in connection.execute(wanted).mappings()])

    @repeatable
    async def revoke_token(self, token_id: str) -> AccessToken:
        """End a token and the sessions that it opened; one that is revoked stays as it is. Raises ``NotFound``."""
        now, one = datetime.now(UTC), access_tokens.c.id == token_id
        opened = access_sessions.c.opened_with == f"token:{token_id}"

        def revoked(connection: Connection) -> RowMapping | None:
            connection.execute(update(access_tokens).where(one, access_tokens.c.revoked_at.is_(None)).values(revoked_at=now))
            connection.execute(update(access_sessions).where(opened, access_sessions.c.ended_at.is_(None)).values(ended_at=now))
            return connection.execute(select(access_tokens).where(one)).mappings().first()

        if (row := await self._database.run(revoked)) is None:
            raise NotFound(f"There is no token {token_id!r}; see ./patchwright token list.")
        return _token(row)

    @repeatable
    async def revoke_person(self, person: str) -> tuple[int, int]:
        """End every token and session of a person; how many of each there were."""
        now = datetime.now(UTC)
        tokens = update(access_tokens).where(access_tokens.c.person == person, access_tokens.c.revoked_at.is_(None))
        sessions = update(access_sessions).where(access_sessions.c.person == person, access_sessions.c.ended_at.is_(None))

        def revoked(connection: Connection) -> tuple[int, int]:
            return (connection.execute(tokens.values(revoked_at=now)).rowcount,
                    connection.execute(sessions.values(ended_at=now)).rowcount)

        return await self._database.run(revoked)

    # -- sessions --------------------------------------------------------------------------------------------

    async def open_session(self, principal: Principal, opened_with: str, lasting: timedelta) -> tuple[Session, str]:
        """A new session and the secret for its cookie. Old ones are cleared away on the way."""
        secret, now = secrets.token_urlsafe(SECRET_BYTES), datetime.now(UTC)
        name = secrets.token_hex(8)
        until = now + lasting
        if principal.expires_at is not None:
            until = min(until, principal.expires_at)
        known = principal.model_copy(update={"credential": f"session:{name}", "expires_at": until})
        made = Session(id=name, principal=known, opened_with=opened_with, created_at=now, seen_at=now, expires_at=until)
        row = made.model_dump(exclude={"principal"}) | {
            "sha256": self._digest(secret), "tenant": self._tenant, "person": known.name, "principal": known.model_dump_json()}
        await self._clear(now)
        await self._insert(access_sessions, row)
        return made, secret

    @repeatable
    async def session_of(self, secret: str, idle: timedelta) -> Session | None:
        """The session with that secret, whether it is open or not; of one that is not over, nor silent for longer than
        ``idle``, it is noted that it was seen.
        """
        where = access_sessions.c.sha256 == self._digest(secret)
        return await self._found(access_sessions, where, "seen_at", _session, idle)

    @repeatable
    async def session(self, session_id: str) -> Session | None:
        """The session with that id."""
        return await self._found(access_sessions, access_sessions.c.id == session_id, "", _session)

    @repeatable
    async def end_session(self, secret: str) -> None:
        """Sign a browser out."""
        one = (access_sessions.c.sha256 == self._digest(secret), access_sessions.c.ended_at.is_(None))
        ended = update(access_sessions).where(*one).values(ended_at=datetime.now(UTC))
        await self._database.run(lambda connection: connection.execute(ended))

    # -- sign-ins --------------------------------------------------------------------------------------------

    async def begin_sign_in(self, key: str, told: dict[str, Any], lasting: timedelta) -> None:
        """Keep what must be known when somebody comes back with ``key``."""
        now = datetime.now(UTC)
        until = now + lasting
        # Nobody has proved anything yet: what was begun and not finished must not pile up.
        await self._written(delete(access_sign_ins).where(access_sign_ins.c.expires_at < now))
        await self._insert(access_sign_ins, {"sha256": self._digest(key), "told": json.dumps(told), "expires_at": until})

    async def finish_sign_in(self, key: str) -> dict[str, Any] | None:
        """What was kept under ``key``, once; None when there is no such thing, or no more."""
        one = access_sign_ins.c.sha256 == self._digest(key)

        def taken(connection: Connection) -> RowMapping | None:
            row = connection.execute(select(access_sign_ins).where(one)).mappings().first()
            # Of two that come with one key only that one has it whose delete found it.
            return row if connection.execute(delete(access_sign_ins).where(one)).rowcount else None

        row = await self._database.run(taken)
        return json.loads(row["told"]) if row is not None and datetime.now(UTC) < row["expires_at"] else None

    # -- within ----------------------------------------------------------------------------------------------

    def _digest(self, secret: str) -> str:
        return hashlib.sha256(f"{self._tenant}\0{secret}".encode("utf-8", "replace")).hexdigest()

    async def _insert(self, table: Table, row: dict[str, Any]) -> None:
        # A commit whose answer was lost is made again, and is there already.
        made = self._database.insert(table).values(row).on_conflict_do_nothing()
        await self._written(made)

    @repeatable
    async def _written(self, statement: Any) -> None:
        await self._database.run(lambda connection: connection.execute(statement))

    async def _found(self, table: Table, where: Any, used: str, read: Any, idle: timedelta = timedelta.max) -> Any:
        wanted = select(table).where(where, table.c.tenant == self._tenant)
        row = await self._database.look(lambda connection: connection.execute(wanted).mappings().first())
        if row is None:
            return None
        now = datetime.now(UTC)
        silent = now - row[used] if used and row[used] else SEEN
        # What is over, or was silent for too long, is not made younger by somebody who tries it.
        if used and SEEN <= silent < idle and _is_open(row, now):
            noted = update(table).where(table.c.id == row["id"]).values({used: now})
            await self._database.run(lambda connection: connection.execute(noted))
        return read(row)

    async def _clear(self, now: datetime) -> None:
        old = now - KEPT_SESSIONS
        sessions = access_sessions.c
        await self._written(delete(access_sessions).where(or_(sessions.expires_at < old, sessions.ended_at < old)))


def _is_open(row: RowMapping, now: datetime) -> bool:
    over = row["revoked_at"] if "revoked_at" in row else row["ended_at"]
    return over is None and now < row["expires_at"]


def _token(row: RowMapping) -> AccessToken:
    told = dict(row)
    return AccessToken.model_validate(
        told | {"roles": json.loads(told["roles"]), "repositories": json.loads(told["repositories"])})


def _session(row: RowMapping) -> Session:
    return Session.model_validate(dict(row) | {"principal": Principal.model_validate_json(row["principal"])})
