"""Output of a container's exec over the engine's raw socket: nothing is lost, and stdin can be closed.

The SDK's own stream loses output that comes early; this one asks for the upgrade itself and waits for the 101.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterable, AsyncIterator

from contracts.errors import SandboxLost

HEADER = struct.Struct(">BxxxI")
CHUNK = 1 << 16
MOST_FRAME = 1 << 24
STDOUT, STDERR = 1, 2


async def exec_frames(
    socket: str,
    exec_id: str,
    feed: AsyncIterable[bytes] | bytes = b"",
) -> AsyncIterator[tuple[int, bytes]]:
    """Start an exec and yield its frames: stream number (1 stdout, 2 stderr) and bytes. Raises ``SandboxLost``."""
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except OSError as error:
        raise SandboxLost(f"The container engine does not answer: {error}.") from error
    feeder: asyncio.Task[None] | None = None
    try:
        body = json.dumps({"Detach": False, "Tty": False}).encode()
        writer.write(
            f"POST /exec/{exec_id}/start HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\nConnection: Upgrade\r\n"
            f"Upgrade: tcp\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        if b" 101 " not in head.split(b"\r\n", 1)[0]:
            raise SandboxLost(
                f"The container engine refused to start the command: {head.split(chr(13).encode(), 1)[0].decode()}."
            )
        feeder = asyncio.create_task(_feed(writer, feed))
        while True:
            try:
                stream, size = HEADER.unpack(await reader.readexactly(HEADER.size))
                if size > MOST_FRAME:
                    raise SandboxLost("The container engine sent a frame that cannot be.")
                yield stream, await reader.readexactly(size)
            except asyncio.IncompleteReadError:
                return
    except (OSError, asyncio.IncompleteReadError) as error:
        raise SandboxLost(f"The container engine broke off: {error}.") from error
    finally:
        if feeder is not None:
            feeder.cancel()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _feed(writer: asyncio.StreamWriter, feed: AsyncIterable[bytes] | bytes) -> None:
    with contextlib.suppress(OSError):
        if isinstance(feed, bytes):
            for start in range(0, len(feed), CHUNK):
                writer.write(feed[start : start + CHUNK])
                await writer.drain()
        else:
            async for chunk in feed:
                writer.write(chunk)
                await writer.drain()
        writer.write_eof()
