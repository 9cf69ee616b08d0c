"""MCP over the standard input and output of untrusted code: one JSON message a line, none longer than we would hold in memory.

The SDK's own transport keeps a line of any length, hands on our terminal as standard error, and passes on our environment.
"""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
from mcp.client._transport import TransportStreams
from mcp.shared.message import SessionMessage
from mcp_types import jsonrpc_message_adapter

LINE_BYTES = 4 << 20
"""The longest message; a server that writes a longer one is ended."""


@dataclass(frozen=True)
class Pipes:
    """Both directions of a running server."""

    read_line: Callable[[], Awaitable[bytes]]
    """The next line; empty at the end. Raises ``ValueError`` when it is longer than ``LINE_BYTES``."""
    write: Callable[[bytes], Awaitable[None]]


@asynccontextmanager
async def spoken_to(pipes: Pipes) -> AsyncIterator[TransportStreams]:
    """The streams of an MCP session over pipes."""
    incoming, read = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    write, outgoing = anyio.create_memory_object_stream[SessionMessage](0)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_listen, pipes, incoming)
        tasks.start_soon(_speak, pipes, outgoing, incoming)
        try:
            yield read, write
        finally:
            tasks.cancel_scope.cancel()
            for stream in (read, write, incoming, outgoing):
                stream.close()


async def _listen(pipes: Pipes, incoming: Any) -> None:
    with contextlib.suppress(ValueError, OSError, anyio.BrokenResourceError, anyio.ClosedResourceError):
        async with incoming:
            while line := await pipes.read_line():
                if line.strip():
                    await incoming.send(_parsed(line))


async def _speak(pipes: Pipes, outgoing: Any, incoming: Any) -> None:
    try:
        async for told in outgoing:
            await pipes.write(told.message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n")
    except (OSError, RuntimeError, anyio.ClosedResourceError):
        # Its input is closed: the session is to see an end, not to wait for an answer.
        incoming.close()


def _parsed(line: bytes) -> SessionMessage | Exception:
    try:
        return SessionMessage(jsonrpc_message_adapter.validate_json(line, by_name=False))
    except ValueError as strange:
        return strange
