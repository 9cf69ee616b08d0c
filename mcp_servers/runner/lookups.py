"""Who is looked up in a sandbox: a name server that knows no name, and tells which ones it was asked for.

Without it a program without network fails at its first look-up, and nobody learns of it. It answers "server failure", which
for a program is the same as no server at all.
"""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from contracts.blocked import printable_place

PORT = 53
HEAD_BYTES = 12
MOST_BYTES = 512
SERVER_FAILURE = 2
AT_ONCE = 32
"""Questions that are answered in one turn of our loop."""
MOST_IN_A_ROW = 400
PAUSE_SECONDS = 1.0
"""How long a sandbox waits that has asked ``MOST_IN_A_ROW`` questions within that time: it must not keep us busy."""
REMEMBERED = 256
NOT_OUTSIDE = ("arpa", "localhost", "localdomain", "local")
"""Last labels of names that lead nowhere outside."""


class Lookups:
    """Answers questions at a socket that lies in a sandbox's network."""

    def __init__(self, udp: socket.socket, heard: Callable[[str], None]) -> None:
        """``heard``: is told each name once for each look-up, however often the question is repeated."""
        udp.setblocking(False)
        self._udp = udp
        self._heard = heard
        self._loop = asyncio.get_running_loop()
        self._seen: dict[tuple[int, str], None] = {}
        self._later: asyncio.TimerHandle | None = None
        self._left = MOST_IN_A_ROW
        self._loop.add_reader(udp.fileno(), self._ready)

    def close(self) -> None:
        """Answer no more."""
        if self._later is not None:
            self._later.cancel()
        if self._udp.fileno() >= 0:
            self._loop.remove_reader(self._udp.fileno())
            self._udp.close()

    def take(self) -> None:
        """Answer what waits, at most ``AT_ONCE`` questions."""
        for _ in range(AT_ONCE):
            try:
                question, asker = self._udp.recvfrom(MOST_BYTES)
            except OSError:
                return
            self._left -= 1
            name, end = asked_name(question)
            if name and self._is_new(asker[1], name):
                self._heard(name)
            if end:
                with contextlib.suppress(OSError):
                    self._udp.sendto(failed(question, end), asker)

    def _ready(self) -> None:
        self.take()
        if self._later is None:
            self._later = self._loop.call_later(PAUSE_SECONDS, self._again)
        if self._left <= 0:
            self._loop.remove_reader(self._udp.fileno())

    def _again(self) -> None:
        self._left, self._later = MOST_IN_A_ROW, None
        self._loop.add_reader(self._udp.fileno(), self._ready)

    def _is_new(self, port: int, name: str) -> bool:
        # A resolver asks for both kinds of address, and again after a failure, all from one port.
        if (port, name) in self._seen or "." not in name or name.rsplit(".", 1)[-1] in NOT_OUTSIDE:
            return False
        self._seen[port, name] = None
        if len(self._seen) > REMEMBERED:
            del self._seen[next(iter(self._seen))]
        return True


def asked_name(question: bytes) -> tuple[str, int]:
    """The name of a DNS question in printable characters, and where the question ends; ("", 0) when it is none."""
    if len(question) < HEAD_BYTES + 5 or question[2] & 0x80 or question[4:6] != b"\0\1":
        return "", 0
    labels, place = [], HEAD_BYTES
    while place < len(question) and (size := question[place]):
        if size > 63 or place + size + 1 >= len(question):
            return "", 0
        labels.append(question[place + 1 : place + 1 + size].decode("latin-1"))
        place += size + 1
    if place + 5 > len(question):
        return "", 0
    name = ".".join(labels).lower()
    return printable_place(name) if name else "", place + 5


def failed(question: bytes, end: int) -> bytes:
    """The answer to a question: no, and no reason."""
    flags = bytes([question[2] | 0x80, 0x80 | SERVER_FAILURE])
    return question[:2] + flags + b"\0\1\0\0\0\0\0\0" + question[HEAD_BYTES:end]
