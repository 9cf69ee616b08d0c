"""Runs inside a sandbox: whoever connects to its loopback speaks to the proxy's unix socket. The standard library alone.

python3 -I forwarder.py SOCKET PORT     listen
python3 -I forwarder.py --wait PORT     until somebody listens there, five seconds at most
"""

import asyncio
import contextlib
import socket
import sys
import time

CHUNK = 1 << 16
WAIT_SECONDS = 5.0


async def forward(path: str, port: int) -> None:
    """Listen until somebody ends this process."""

    async def joined(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError), contextlib.closing(writer):
            far_reader, far_writer = await asyncio.open_unix_connection(path)
            with contextlib.closing(far_writer):
                await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer))

    server = await asyncio.start_server(joined, "127.0.0.1", port)
    await server.serve_forever()


async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """What one side says, the other hears."""
    while chunk := await source.read(CHUNK):
        sink.write(chunk)
        await sink.drain()
    sink.write_eof()


def wait(port: int) -> None:
    """Until the forwarder listens."""
    late = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < late:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)


if __name__ == "__main__":
    if sys.argv[1] == "--wait":
        wait(int(sys.argv[2]))
    else:
        asyncio.run(forward(sys.argv[1], int(sys.argv[2])))
