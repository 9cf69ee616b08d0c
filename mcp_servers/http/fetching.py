"""One page from an allowed host: judged, resolved once, pinned, bounded in size, type and time."""

import asyncio
import functools
import re
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast
from urllib.parse import urljoin

import httpcore2

from contracts.egress import UNSEEN, Destination, HostRule, destination
from contracts.errors import GuardrailTripped, InvalidInput, NotFound, RemoteUnavailable
from mcp_servers.pinning import Resolve, pinned, system_resolver

MAX_BYTES = 4 << 20
"""Of a body, before and after decompression."""
TOTAL_SECONDS = 30.0
"""For everything: names, connections, redirects and bodies."""
SILENCE_SECONDS = 10.0
MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})
READABLE = re.compile(
    r"text/[\w.+-]+|application/(?:[\w.-]+\+)?(?:json|xml|yaml|toml|javascript)|application/(?:xhtml\+xml|x-yaml|x-ndjson|x-sh)",
    re.ASCII)
"""Media types that people read; anything else is not brought home."""
HEADERS: Final = (
    (b"accept", b"text/html, text/markdown, text/plain;q=0.9, application/json;q=0.8, */*;q=0.1"),
    (b"accept-encoding", b"identity, gzip;q=0.5"),
    (b"user-agent", b"patchwright (documentation reader)"),
    (b"connection", b"close"),
)
Permit = Callable[[Destination], None]
"""Is asked before anything goes to a place, its name's look-up included. Raises ``HostRefused``."""


def everyone(place: Destination) -> None:
    """The permit of who is not asked for: the list alone counts."""


@dataclass(frozen=True)
class Fetched:
    """A page as it came."""

    url: str
    """Where it was found, after redirects."""
    media_type: str
    charset: str
    """As the host declared it; empty when it did not."""
    body: bytes


class Fetcher:
    """Fetches pages from the hosts of a list, and from nowhere else. Sends no cookie, no credential, and no body."""

    def __init__(
        self,
        rules: Iterable[HostRule],
        resolve: Resolve = system_resolver,
        network: httpcore2.AsyncNetworkBackend | None = None,
        trust: ssl.SSLContext | None = None,
        total_seconds: float = TOTAL_SECONDS,
    ) -> None:
        """``network``: what opens connections to addresses; ``trust``: whose certificates count. Both: the machine's own."""
        self.rules = tuple(rules)
        self._resolve = resolve
        self._network = network or cast(httpcore2.AsyncNetworkBackend, httpcore2.AnyIOBackend())
        self._trust = trust
        self._total_seconds = total_seconds

    async def fetch(self, url: str, permit: Permit = everyone) -> Fetched:
        """The page at an address; ``permit`` is asked about each host on the way there, beside the list.

        Raises ``GuardrailTripped`` for what may not be reached, ``InvalidInput`` for what cannot be read, ``NotFound``, and
        ``RemoteUnavailable``.
        """
        try:
            async with asyncio.timeout(self._total_seconds):
                return await self._followed(destination(url, self.rules), permit)
        except TimeoutError as late:
            raise RemoteUnavailable(f"The page did not come within {self._total_seconds:g} s.") from late
        except httpcore2.TimeoutException as late:
            raise RemoteUnavailable("The host went silent.") from late
        except (httpcore2.NetworkError, httpcore2.ProtocolError, ssl.SSLError, OSError) as error:
            raise RemoteUnavailable(f"The page cannot be had: {error or type(error).__name__}.") from error

    async def _followed(self, first: Destination, permit: Permit) -> Fetched:
        place = first
        for _ in range(MAX_REDIRECTS + 1):
            permit(place)
            found = await self._asked(place)
            if isinstance(found, Fetched):
                return found
            # Each stop is judged and resolved as if somebody had asked for it: no host is trusted for being redirected to.
            place = destination(found, self.rules)
        raise InvalidInput(f"The address redirects more than {MAX_REDIRECTS} times.")

    async def _asked(self, place: Destination) -> Fetched | str:
        """The page, or where the host says that it is."""
        address = await pinned(self._resolve, place.host, place.port, place.private)
        backend = PinnedBackend(self._network, place.host, address)
        trust = (self._trust or usual_trust()) if place.scheme == "https" else None
        async with (
            httpcore2.AsyncConnectionPool(ssl_context=trust, max_connections=1, network_backend=backend) as pool,
            pool.stream("GET", _request_url(place), headers=_request_headers(place), extensions=_limits()) as response,
        ):
            headers = {name.lower(): value.decode("latin-1") for name, value in response.headers}
            if response.status in REDIRECTS and (leads := headers.get(b"location")):
                if UNSEEN.search(leads):  # urljoin would take them out, and make another address of it
                    raise GuardrailTripped(f"{place.url} redirects to an address with a backslash, a blank or worse in it.")
                return urljoin(place.url, leads)
            return await _page(place, response.status, headers, response.aiter_stream())


@functools.cache
def usual_trust() -> ssl.SSLContext:
    """The machine's own idea of which certificates count; loading it takes a while."""
    return httpcore2.default_ssl_context()


class PinnedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to one address whenever it is asked for one name; TLS still proves the name."""

    def __init__(self, network: httpcore2.AsyncNetworkBackend, host: str, address: str) -> None:
        self._network, self._host, self._address = network, host, address

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, local_address: str | None = None,  # noqa: ASYNC109
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        if host != self._host:
            raise GuardrailTripped(f"A connection to {host} was asked for where {self._host} was judged.")
        return await self._network.connect_tcp(self._address, port, timeout, local_address, socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def _request_url(place: Destination) -> httpcore2.URL:
    return httpcore2.URL(scheme=place.scheme, host=place.host, port=place.port, target=place.target)


def _request_headers(place: Destination) -> Sequence[tuple[bytes, bytes]]:
    return [(b"host", place.url.split("/", 3)[2].encode()), *HEADERS]


def _limits() -> dict[str, Any]:
    return {"timeout": {"connect": SILENCE_SECONDS, "read": SILENCE_SECONDS, "write": SILENCE_SECONDS, "pool": SILENCE_SECONDS}}


async def _page(place: Destination, status: int, headers: dict[bytes, str], body: AsyncIterator[bytes]) -> Fetched:
    if status in (404, 410):
        raise NotFound(f"There is no page at {place.url} (status {status}).")
    if status == 429 or status >= 500:
        raise RemoteUnavailable(f"{place.host} answers with status {status}; try again later.")
    if status != 200:
        raise InvalidInput(f"{place.url} cannot be read: the host answers with status {status}.")
    declared = headers.get(b"content-type", "").lower()
    media_type = declared.partition(";")[0].strip()
    if not READABLE.fullmatch(media_type):
        raise InvalidInput(f"{place.url} is {media_type or 'of no declared type'}; only text can be read.")
    charset = re.search(r"charset=\"?([\w.:-]+)", declared)
    content = await _bounded(place, headers.get(b"content-encoding", "identity").lower().strip(), body)
    return Fetched(place.url, media_type, charset[1] if charset else "", content)


async def _bounded(place: Destination, encoding: str, body: AsyncIterator[bytes]) -> bytes:
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise InvalidInput(f"{place.url} comes in the encoding {encoding[:40]!r}, which was not asked for.")
    unpack = zlib.decompressobj(16 + zlib.MAX_WBITS) if "gzip" in encoding else None
    content, arrived = bytearray(), 0
    async for chunk in body:
        arrived += len(chunk)
        try:
            content += unpack.decompress(chunk, MAX_BYTES + 1 - len(content)) if unpack else chunk
        except zlib.error as error:
            raise InvalidInput(f"{place.url} is not packed as it says.") from error
        if len(content) > MAX_BYTES or arrived > MAX_BYTES:
            raise InvalidInput(f"{place.url} is larger than {MAX_BYTES >> 20} MiB; ask for a smaller page.")
    return bytes(content)
