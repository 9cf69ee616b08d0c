"""A call under way, and everybody who waits for it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is handed on to whoever asked."""

    status: int
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Flight:
    """One call, carried out once however many ask for it, and to its end even when none of them waits any more."""

    def __init__(self) -> None:
        self.id = uuid.uuid4().hex
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._pieces: list[bytes] = []
        self._news = asyncio.Event()
        self._watched = False

    def take_piece(self, piece: bytes) -> None:
        """A piece of a stream came."""
        self._pieces.append(piece)
        self._news.set()

    def seen(self) -> bool:
        """Whether a piece was handed on."""
        return self._watched and bool(self._pieces)

    def end(self, outcome: Outcome | Exception) -> None:
        """The call has come to its end. An exception is nobody's fault who did not wait for it."""
        if isinstance(outcome, Exception):
            self.outcome.set_exception(outcome)
            self.outcome.exception()
        else:
            self.outcome.set_result(outcome)
        self._news.set()

    def abandon(self) -> None:
        """Nobody carries the call out any more; whoever waits is let go."""
        self.outcome.cancel()
        self._news.set()

    async def live(self) -> AsyncIterator[bytes]:
        """The pieces of a stream as they come. Raises what the call ended with, ``StreamCut`` for one."""
        self._watched = True
        sent = 0
        while True:
            while sent < len(self._pieces):
                sent += 1
                yield self._pieces[sent - 1]
            if self.outcome.done():
                if error := self.outcome.exception():
                    raise error
                return
            self._news.clear()
            await self._news.wait()
