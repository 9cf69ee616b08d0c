"""One provider over HTTP: one attempt at one call, whole or as a stream."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Protocol

import httpx2

from contracts.errors import PatchwrightError
from contracts.redaction import NOTHING_HELD, Redactor
from services.ledger.answers import EVENT_STREAM, Reply, seconds_of
from services.ledger.gate import ProviderGate
from services.ledger.providers import ModelProvider
from services.ledger.requests import Endpoint

CONNECT_SECONDS = 10.0
HANDED_ON = ("x-request-id", "openai-processing-ms", "retry-after", "x-patchwright-scripted")
SHORTEST_KEY = 8
"""Characters; anything shorter stands for no key."""
POLL_SECONDS = (0.25, 2.0)
"""The first and the longest pause between two looks at a background response."""
RUNNING = ("queued", "in_progress")


class Unreached(Exception):
    """The provider gave no whole answer. ``sent`` says whether it may have had the request, and so may charge for it."""

    def __init__(self, reason: str, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


class ProviderKeys(Protocol):
    """Where a provider's key comes from. Both block, and raise ``PatchwrightError``."""

    def current(self) -> str:
        """The key as it is right now; empty when it wants none."""
        ...

    def renew(self) -> bool:
        """Let go of a key that was refused; whether the next one may be another."""
        ...


class Upstream:
    """A provider. Raises ``Unreached`` and nothing else."""

    def __init__(
        self, name: str, provider: ModelProvider, keys: ProviderKeys | None = None, clean: Redactor = NOTHING_HELD
    ) -> None:
        """``keys``: where its key comes from whenever it is needed; None: the one that the provider was configured with.

        ``clean``: what takes secrets out of what it answers.
        """
        self._redactor = clean
        self.name = name
        self.provider = provider
        self.gate = ProviderGate(provider.max_concurrent, provider.requests_per_minute)
        self._keys = keys
        self._key = provider.api_key.get_secret_value()
        """The one that was used last."""
        self._seconds = provider.timeout_seconds or 600.0
        self._http = httpx2.AsyncClient(
            headers=provider.headers,
            timeout=httpx2.Timeout(self._seconds, connect=CONNECT_SECONDS, pool=None),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=provider.max_concurrent, keepalive_expiry=60),
        )

    async def post(self, endpoint: Endpoint, body: bytes, headers: dict[str, str]) -> Reply:
        """One request, one whole reply."""
        return await self._whole("POST", f"/{endpoint}", body, headers)

    async def stream(self, endpoint: Endpoint, body: bytes, headers: dict[str, str], sink: Callable[[bytes], None]) -> Reply:
        """One request; pieces of a stream of events go to ``sink`` as they come. The reply holds all of them."""
        reply = await self._streamed(endpoint, body, headers, sink)
        return await self._streamed(endpoint, body, headers, sink) if await self._another_key(reply) else reply

    async def _streamed(self, endpoint: Endpoint, body: bytes, headers: dict[str, str], sink: Callable[[bytes], None]) -> Reply:
        sent = {**headers, **await self._authorisation()}
        try:
            async with self._http.stream("POST", self._url(f"/{endpoint}"), content=body, headers=sent) as response:
                streaming = response.status_code == 200 and response.headers.get("content-type", "").startswith(EVENT_STREAM)
                whole = bytearray()
                async for piece in response.aiter_bytes():
                    whole += piece
                    if streaming:
                        sink(self._clean(piece))
        except httpx2.HTTPError as error:
            raise self._unreached(error) from error
        return self._reply(response, bytes(whole))

    async def fetch(self, response_id: str) -> Reply:
        """A background response, once it has ended."""
        pause, longest = POLL_SECONDS
        give_up = time.monotonic() + self._seconds
        while time.monotonic() < give_up:
            reply = await self._whole("GET", f"/responses/{response_id}", b"", {})
            if response_of(reply)[1] not in RUNNING:
                return reply
            await asyncio.sleep(pause)
            pause = min(longest, pause * 1.5)
        raise Unreached(f"the response still runs after {self._seconds:g} s", sent=True)

    async def models(self) -> Reply:
        """What it offers."""
        return await self._whole("GET", "/models", b"", {})

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _whole(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        reply = await self._once(method, path, body, headers)
        return await self._once(method, path, body, headers) if await self._another_key(reply) else reply

    async def _authorisation(self) -> dict[str, str]:
        """The key as it is right now. One that cannot be had is a provider that cannot be asked."""
        if self._keys is not None:
            try:
                self._key = await asyncio.to_thread(self._keys.current)
            except PatchwrightError as error:
                raise Unreached(error.message, sent=False) from None
        return {"authorization": f"Bearer {self._key}"} if self._key else {}

    async def _another_key(self, reply: Reply) -> bool:
        """Whether a refused key may have been replaced while it was lent to us."""
        if reply.status != 401 or self._keys is None:
            return False
        refused = self._key
        await asyncio.to_thread(self._keys.renew)
        await self._authorisation()
        return self._key != refused

    async def _once(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> Reply:
        sent = {**headers, **await self._authorisation()}
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._http.request(method, self._url(path), content=body or None, headers=sent)
        except TimeoutError as error:
            raise Unreached(f"no answer within {self._seconds:g} s", sent=True) from error
        except httpx2.HTTPError as error:
            raise self._unreached(error) from error
        return self._reply(response, response.content)

    def _url(self, path: str) -> str:
        return f"{self.provider.base_url}{path}"

    def _unreached(self, error: httpx2.HTTPError) -> Unreached:
        """A connection that never came about took no request along."""
        never = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout | httpx2.UnsupportedProtocol)
        told = self._clean(str(error).encode()).decode("utf-8", "replace")
        return Unreached(f"{type(error).__name__} {told}".strip(), sent=not never)

    def _reply(self, response: httpx2.Response, body: bytes) -> Reply:
        told = [(name, response.headers[name]) for name in HANDED_ON if name in response.headers]
        kept = tuple((name, self._clean(value.encode("latin-1", "replace")).decode("latin-1")) for name, value in told)
        return Reply(
            status=response.status_code,
            media_type=response.headers.get("content-type", "application/octet-stream"),
            body=self._clean(body),
            headers=kept,
            retry_after=seconds_of(response.headers.get("retry-after", "")),
        )

    def _clean(self, told: bytes) -> bytes:
        """A failure without our key in it: some gateways repeat what they were sent, and people read what they said."""
        without = told.replace(self._key.encode(), b"(the key)") if len(self._key) >= SHORTEST_KEY else told
        return self._redactor.redact_json(without)


def response_of(reply: Reply) -> tuple[str, str]:
    """Id and status of a response object; empty where there is none."""
    if not 200 <= reply.status < 300:
        return "", ""
    try:
        raw = json.loads(reply.body)
    except ValueError:
        return "", ""
    return (str(raw.get("id") or ""), str(raw.get("status") or "")) if isinstance(raw, dict) else ("", "")
