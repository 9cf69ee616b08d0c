"""Requests to a ticket system over HTTP, its failures as ours. Nothing is repeated here: whoever writes looks first."""

import asyncio
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx2

from contracts.errors import (
    Conflict,
    CredentialRefused,
    ForgeUnavailable,
    InvalidInput,
    NotFound,
    PatchwrightError,
    RateLimited,
)
from contracts.redaction import NOTHING_HELD, Redactor
from mcp_servers.repo.pace import LONGEST_SECONDS

TIMEOUT_SECONDS = 20.0
USUAL_SECONDS = 60.0
DETAIL_CHARACTERS = 300


class TicketConnection:
    """One ticket system. The credential is asked for with each request, so that it can be replaced."""

    def __init__(
        self, name: str, url: str, credential: Callable[[], Mapping[str, str]], verify: bool | str = True, *,
        renew: Callable[[], bool] = bool, clean: Redactor = NOTHING_HELD,
    ) -> None:
        """``credential`` and ``renew`` block. ``renew``: forget one that was refused, and whether the next may be another.

        ``clean``: what takes secrets out of whatever is written there.
        """
        self.name = name
        self._url, self._credential, self._renew, self._clean = url.rstrip("/"), credential, renew, clean
        self._verify = ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify

    async def asked(self, method: str, path: str, deed: str, body: Any = None, **parameters: Any) -> Any:
        """The JSON of an answer. Raises the failure that it stands for; redirects are not followed with our credential."""
        sent = await asyncio.to_thread(self._clean.redact_value, body) if body else body
        answer = await self._once(method, path, deed, sent, parameters)
        if answer.status_code == 401 and self._renew():
            answer = await self._once(method, path, deed, sent, parameters)
        if answer.status_code >= 300:
            raise self._failure(deed, answer)
        return self._parsed(deed, answer)

    async def _once(self, method: str, path: str, deed: str, body: Any, parameters: Mapping[str, Any]) -> httpx2.Response:
        credential = await asyncio.to_thread(self._credential)
        headers = {"Accept": "application/json", "User-Agent": "patchwright", **credential}
        try:
            async with httpx2.AsyncClient(verify=self._verify, timeout=TIMEOUT_SECONDS) as client:
                return await client.request(
                    method, f"{self._url}{path}", json=body, params=parameters or None, headers=headers
                )
        except httpx2.HTTPError as error:
            raise ForgeUnavailable(f"{self.name} did not answer {deed}: {type(error).__name__}. It is asked again.") from None

    def limited(self, deed: str, headers: Mapping[str, str]) -> RateLimited:
        """The failure of being asked too often."""
        wait = _wait(headers)
        return RateLimited(f"{self.name} limits us; {deed} goes on in {wait:.0f} s.", wait)

    def _parsed(self, deed: str, answer: httpx2.Response) -> Any:
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError:
            raise ForgeUnavailable(f"{self.name} answered {deed} with something that is no JSON.") from None

    def _failure(self, deed: str, answer: httpx2.Response) -> PatchwrightError:
        told = " ".join(answer.text.split())[:DETAIL_CHARACTERS]
        match answer.status_code:
            case 429:
                return self.limited(deed, answer.headers)
            case 401:
                return CredentialRefused(f"{self.name} refused the token for {deed}. It may have expired; give a new one.")
            case 403:
                return CredentialRefused(f"{self.name} did not allow {deed}. Let the token's account comment on the issue.")
            case 404 | 410:
                return NotFound(f"{self.name} has nothing there for {deed}; it may also be that the token cannot see it.")
            case 409:
                return Conflict(f"{self.name} refused {deed}: {told}")
            case 400 | 422 if "RATELIMITED" in answer.text:
                return self.limited(deed, answer.headers)
            case 400 | 422:
                return InvalidInput(f"{self.name} refused {deed}: {told}")
        if answer.status_code >= 500 or answer.status_code == 408:
            return ForgeUnavailable(f"{self.name} answered {answer.status_code} to {deed}.")
        return PatchwrightError(f"{self.name} answered {answer.status_code} to {deed}: {told}")


def _wait(headers: Mapping[str, str]) -> float:
    named = headers.get("retry-after", "")
    if named.isascii() and named.isdigit():
        return min(LONGEST_SECONDS, max(1.0, float(named)))
    reset = headers.get("x-ratelimit-requests-reset", "")
    if reset.isascii() and reset.isdigit():
        return min(LONGEST_SECONDS, max(1.0, int(reset) / 1_000 - time.time()))
    return USUAL_SECONDS
