"""Names are resolved once, judged, and the connection goes to exactly the address that was judged.

Whoever answers a second question about a name otherwise (DNS rebinding) is never asked a second time.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

from contracts.egress import reachable
from contracts.errors import HostRefused, RemoteUnavailable

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""The IP addresses of a host name for a port; raises ``OSError`` when there are none."""
RESOLVE_SECONDS = 5.0


async def system_resolver(host: str, port: int) -> Sequence[str]:
    """Ask the machine's own resolver."""
    # The final dot keeps search domains out: 'docs.python.org' never becomes 'docs.python.org.corp.example'.
    name = f"{host}." if "." in host else host
    found = await asyncio.get_running_loop().getaddrinfo(name, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(one[4][0]) for one in found]


async def pinned(resolve: Resolve, host: str, port: int, private: bool = False) -> str:
    """The one address to connect to. One bad address among good ones spoils them all.

    Raises ``HostRefused`` when the name leads where nothing may be reached, ``RemoteUnavailable`` when nowhere.
    """
    try:
        async with asyncio.timeout(RESOLVE_SECONDS):
            addresses = list(dict.fromkeys(await resolve(host, port)))
    except (OSError, TimeoutError) as error:
        raise RemoteUnavailable(f"The name {host} cannot be resolved ({error or 'no answer'}).") from error
    if not addresses:
        raise RemoteUnavailable(f"The name {host} has no address.")
    if bad := [address for address in addresses if not reachable(address, private)]:
        told = f"{host} leads to {bad[0][:50]}, which is no public address; nothing was sent there."
        raise HostRefused(told, f"{host}:{port}", "code.address")
    return addresses[0]
