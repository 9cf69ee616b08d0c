"""A vault that speaks HashiCorp's HTTP API: key-value engine version 2, read with a token or as an AppRole.

The token of an AppRole is renewed while the vault lets it be, made anew when it ended, and given back at the end.
"""

import asyncio
import contextlib
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from contracts.errors import CredentialRefused, InvalidInput, RemoteUnavailable
from contracts.secret import SecretGrant, VaultAccess

SECONDS = 10.0
"""How long one answer may take."""
RENEWED_AFTER = 2 / 3
"""Of a token's life; the rest is for a vault that is away for a moment."""
LEAST_SECONDS = 5.0
"""A token is renewed no more often, and looked after no more often."""
LONGEST_SECONDS = 3_600.0


@dataclass(frozen=True, slots=True)
class VaultToken:
    """A token of the vault and how long it lives."""

    value: str
    seconds: float
    """0: for ever."""
    renewable: bool
    since: float
    """By the source's clock."""

    def due(self, now: float) -> bool:
        """Whether it should be renewed, or made anew, before it is used."""
        return bool(self.seconds) and now - self.since >= self.seconds * RENEWED_AFTER

    def ended(self, now: float) -> bool:
        """Whether the vault has forgotten it by now."""
        return bool(self.seconds) and now - self.since >= self.seconds


class VaultSource:
    """Reads secrets, and keeps the token alive that it reads them with. Safe to share between threads."""

    def __init__(self, access: VaultAccess, clock: Callable[[], float] = time.monotonic) -> None:
        self._access, self._clock = access, clock
        self._lock = threading.Lock()
        self._token: VaultToken | None = None
        # No environment: a proxy would see the token. No redirect: a vault's other node would be a host nobody named.
        self._http = httpx2.Client(base_url=f"{access.url}/v1/", timeout=SECONDS, trust_env=False, verify=access.ca_file or True)

    async def read(self, grant: SecretGrant) -> str:
        """Raises ``CredentialRefused``, ``InvalidInput`` for what is not there, and ``RemoteUnavailable``."""
        return await asyncio.to_thread(self._read, grant)

    async def stay(self) -> None:
        """Keep the token alive until cancelled, also while nobody asks for anything; a vault that is away is tried again."""
        while True:
            try:
                token = await asyncio.to_thread(self._usable)
                seconds = token.seconds * RENEWED_AFTER - (self._clock() - token.since) if token.seconds else LONGEST_SECONDS
            except (CredentialRefused, InvalidInput, RemoteUnavailable):
                seconds = LEAST_SECONDS  # whoever asks for a secret is told why
            await asyncio.sleep(min(LONGEST_SECONDS, max(LEAST_SECONDS, seconds)))

    async def close(self) -> None:
        """Give back the token where it is our own."""
        await asyncio.to_thread(self._close)

    def _read(self, grant: SecretGrant) -> str:
        place, _, key = grant.vault.partition("#")
        mount, _, path = place.partition("/")
        with self._lock:
            answer = self._asked("GET", f"{mount}/data/{path}", self._usable_now().value)
            if answer.status_code == 403 and self._access.role_id:
                # It may have been revoked; a second refusal is meant.
                self._token = None
                answer = self._asked("GET", f"{mount}/data/{path}", self._usable_now().value)
        return _value(answer, place, key)

    def _usable(self) -> VaultToken:
        with self._lock:
            return self._usable_now()

    def _usable_now(self) -> VaultToken:
        """A token that lives: the one we have, renewed when it is time, else a new one."""
        token, now = self._token, self._clock()
        if self._access.token_file:
            written = _written(self._access.token_file, "token")
            if token is None or token.value != written:
                token = self._looked_up(written)
        if token is None or token.ended(now):
            token = self._logged_in() if self._access.role_id else self._looked_up(_written(self._access.token_file, "token"))
        elif token.due(now):
            token = self._renewed(token)
        self._token = token
        return token

    def _renewed(self, token: VaultToken) -> VaultToken:
        answer = self._asked("POST", "auth/token/renew-self", token.value, {}) if token.renewable else None
        if answer is not None and answer.status_code == 200:
            renewed = self._granted(answer, "renewing its token")
            # At the end of its longest life a vault renews it for less and less: a new one is due.
            if not self._access.role_id or renewed.seconds >= token.seconds / 2:
                return renewed
        return self._logged_in() if self._access.role_id else token

    def _logged_in(self) -> VaultToken:
        sent = {"role_id": self._access.role_id, "secret_id": _written(self._access.secret_id_file, "AppRole's secret id")}
        answer = self._asked("POST", f"auth/{self._access.approle_mount}/login", "", sent)
        if answer.status_code in (400, 401, 403):
            raise CredentialRefused("The vault refuses our AppRole: give its role_id, and a secret id that is still valid.")
        return self._granted(answer, "logging in")

    def _looked_up(self, token: str) -> VaultToken:
        """How long a token of others lives. One that may not even look at itself is used as it is."""
        answer = self._asked("GET", "auth/token/lookup-self", token)
        if answer.status_code != 200:
            return VaultToken(token, 0, renewable=False, since=self._clock())
        told = _json(answer).get("data") or {}
        return VaultToken(token, float(told.get("ttl") or 0), told.get("renewable") is True, self._clock())

    def _granted(self, answer: httpx2.Response, deed: str) -> VaultToken:
        auth = _json(answer).get("auth") if answer.status_code == 200 else None
        if not isinstance(auth, Mapping) or not auth.get("client_token"):
            raise _unavailable(answer, deed)
        seconds = float(auth.get("lease_duration") or 0)
        return VaultToken(str(auth["client_token"]), seconds, auth.get("renewable") is True, self._clock())

    def _asked(self, method: str, path: str, token: str, sent: Mapping[str, Any] | None = None) -> httpx2.Response:
        headers = {"x-vault-request": "true", **({"x-vault-token": token} if token else {})}
        if self._access.namespace:
            headers["x-vault-namespace"] = self._access.namespace
        try:
            return self._http.request(method, path, headers=headers, json=sent)
        except httpx2.HTTPError as error:
            raise RemoteUnavailable(f"The vault does not answer ({type(error).__name__}); it is asked again.") from None

    def _close(self) -> None:
        with self._lock, contextlib.closing(self._http):
            if self._token is not None and self._access.role_id:
                with contextlib.suppress(RemoteUnavailable):  # it ends by itself
                    self._asked("POST", "auth/token/revoke-self", self._token.value, {})
            self._token = None


def _written(file: str, what: str) -> str:
    try:
        if written := Path(file).expanduser().read_text().strip():
            return written
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", "") or "it is no text"
        raise InvalidInput(f"The vault's {what} is to be in {file}: {why}.") from None
    raise InvalidInput(f"The vault's {what} is to be in {file}, which is empty.")


def _value(answer: httpx2.Response, place: str, key: str) -> str:
    if answer.status_code in (401, 403):
        raise CredentialRefused(f"The vault does not let us read {place}: its token lacks the policy, or has run out.")
    if answer.status_code == 404:
        raise InvalidInput(f"The vault has nothing at {place}, or its newest version was deleted.")
    if answer.status_code != 200:
        raise _unavailable(answer, f"reading {place}")
    try:
        value = _json(answer)["data"]["data"][key]
    except (KeyError, TypeError):
        raise InvalidInput(f"What the vault keeps at {place} has no {key!r}.") from None
    if not isinstance(value, str) or not re.search(r"\S", value):
        raise InvalidInput(f"What the vault keeps at {place} under {key!r} is no text.")
    return value


def _json(answer: httpx2.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _unavailable(answer: httpx2.Response, deed: str) -> RemoteUnavailable:
    sealed = " It is sealed; somebody has to unseal it." if answer.status_code == 503 else ""
    return RemoteUnavailable(f"The vault answers {deed} with status {answer.status_code}.{sealed}")
