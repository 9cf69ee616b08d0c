"""Hands out secrets to those who are on their lists."""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from contracts.errors import GuardrailTripped, InvalidInput, PatchwrightError
from contracts.secret import NEVER, Lease, SecretGrant, SecretHolder
from mcp_servers.secrets.audit import HandOutAudit
from mcp_servers.secrets.sources import SecretSource

SHORTEST = 8
"""Characters of a secret: a shorter one could not be found again in a text, and so not be kept out of it."""


class Broker:
    """The only holder of the sources. Every question is written down, whatever came of it."""

    def __init__(
        self, grants: Mapping[str, SecretGrant], sources: Mapping[str, SecretSource], audit: HandOutAudit,
        now: Callable[[], datetime] = lambda: datetime.now(UTC), learn: Callable[[str, str], object] = max,
    ) -> None:
        """``sources``: by the name of the place in a grant: ``file``, ``variable``, ``vault``.

        ``learn``: is told name and value of each secret that was read, before anybody else.
        """
        self._learn = learn
        self._grants, self._sources, self._audit, self._now = dict(grants), dict(sources), audit, now

    async def lend(self, who: str, name: str, purpose: str, task: str = "") -> Lease:
        """A secret for a while.

        Raises ``GuardrailTripped`` for whoever is not on its list for that purpose, and what the source raises.
        """
        try:
            holder = self._holder(who, name, purpose)
            value = await self._value(name)
        except PatchwrightError as error:
            verdict = "refused" if isinstance(error, GuardrailTripped) else "failed"
            await self._told(who, name, purpose, task, verdict, error.message)
            raise
        expires = self._now() + timedelta(seconds=holder.seconds)
        lease = Lease(id=secrets.token_hex(8), name=name, purpose=purpose, value=SecretStr(value),
                      seconds=holder.seconds, expires_at=expires)
        await self._told(who, name, purpose, task, "handed out", "", lease)
        return lease

    def offered(self, who: str) -> dict[str, tuple[str, ...]]:
        """The secrets that somebody may have, each with the purposes."""
        return {name: holder.purposes for name, grant in self._grants.items()
                for holder in grant.holders if holder.who == who and who not in NEVER}

    async def readable(self, name: str) -> None:
        """Whether a secret can be read at all; nothing is handed out. Raises what the source raises."""
        await self._value(name)

    def _holder(self, who: str, name: str, purpose: str) -> SecretHolder:
        grant = self._grants.get(name)
        for holder in grant.holders if grant else ():
            if holder.who == who and who not in NEVER and purpose in holder.purposes:
                return holder
        # The same words whether there is such a secret or not: who is on no list learns no names.
        raise GuardrailTripped(f"{who or 'nobody'} is not on the list of {name!r} for {purpose!r}; an operator can add it.")

    async def _value(self, name: str) -> str:
        grant = self._grants[name]
        if (source := self._sources.get(grant.place)) is None:
            raise InvalidInput(f"{name!r} lies in a {grant.place}, and none is configured.")
        if len(value := await source.read(grant)) < SHORTEST:
            raise InvalidInput(f"{name!r} is shorter than {SHORTEST} characters; it could not be kept out of texts.")
        self._learn(name, value)
        return value

    async def _told(
        self, who: str, name: str, purpose: str, task: str, verdict: str, reason: str, lease: Lease | None = None
    ) -> None:
        told = {"who": who[:100], "name": name[:100], "purpose": purpose[:100], "task": task[:100], "verdict": verdict,
                "reason": reason, "lease": lease.id if lease else "", "expires_at": lease.expires_at if lease else None}
        await asyncio.to_thread(lambda: self._audit.write(self._now(), **told))
