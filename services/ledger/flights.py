"""A call under way, and everybody who waits for it."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

ENDS = (b"[DONE]", b'"response.completed"', b'"response.incomplete"', b'"response.failed"')
"""What the last event of a stream has in it, by either API."""
LONGEST_END = max(map(len, ENDS)) - 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is handed on to whoever asked."""

    status: int
    media_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Flight:
    """One call, carried out once however many ask for it, and to its end even when none of them waits any more."""

    def __init__(self, request_sha256: str = "") -> None:
        """``request_sha256``: of the body; empty where its key says what is asked."""
        self.request_sha256 = request_sha256
        self.id = uuid.uuid4().hex
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._pieces: list[bytes] = []
        self._news = asyncio.Event()
        self._watched = False
        self._tail = b""
        self._end: int | None = None
        """The piece that ends the stream."""

    def take_piece(self, piece: bytes) -> None:
        """A piece of a stream came."""
        self._pieces.append(piece)
        self._tail += piece
        if self._end is None and any(end in self._tail for end in ENDS):
            self._end = len(self._pieces) - 1
        self._tail = self._tail[-LONGEST_END:]
        self._news.set()

    def seen(self) -> bool:
        """Whether a piece was handed on."""
        return self._watched and self._free > 0

    @property
    def _free(self) -> int:
        """How many pieces may be handed on before the answer is stored: with the one that ends it a reader has all of it."""
        return len(self._pieces) if self._end is None else self._end

    def begin_again(self) -> None:
        """What came of a stream is worth nothing, and nobody has seen it."""
        self._pieces.clear()
        self._tail, self._end = b"", None

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
        """The pieces of a stream as they come, its end when it is stored. Raises what the call ended with."""
        self._watched = True
        sent = 0
        while True:
            ended = self.outcome.done()
            while sent < (len(self._pieces) if ended else self._free):
                sent += 1
                yield self._pieces[sent - 1]
            if ended:
                if error := self.outcome.exception():
                    raise error
                return
            self._news.clear()
            await self._news.wait()
