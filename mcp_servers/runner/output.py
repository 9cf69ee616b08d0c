"""A command's output: bounded while it streams, cleaned and cut in the middle when it is told."""

import re
from collections import deque

CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?"  # OSC: titles, links, clipboard
    r"|\x1b[PX^_][^\x1b]*(?:\x1b\\)?"  # DCS, SOS, PM, APC
    r"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[ -/]*[0-~]"
    r"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f]"
)


class Output:
    """Keeps the first and the last bytes of a stream, and counts the rest."""

    def __init__(self, keep: int) -> None:
        """``keep``: bytes to hold at most."""
        self.total = 0
        self._head = bytearray()
        self._tail: deque[bytes] = deque()
        self._tail_size = 0
        self._half = max(keep // 2, 1)

    def add(self, chunk: bytes) -> None:
        """Take the next bytes."""
        self.total += len(chunk)
        if (room := self._half - len(self._head)) > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        if not chunk:
            return
        self._tail.append(chunk)
        self._tail_size += len(chunk)
        while self._tail_size - len(self._tail[0]) >= self._half:
            self._tail_size -= len(self._tail.popleft())

    def text(self) -> str:
        """What was kept, cleaned; says in the middle how much is missing."""
        tail = b"".join(self._tail)[-self._half :]
        missing = self.total - len(self._head) - len(tail)
        if missing <= 0:
            return cleaned(bytes(self._head) + tail)
        return f"{cleaned(bytes(self._head))}\n[… {missing} bytes left out …]\n{cleaned(tail)}"


def cleaned(raw: bytes) -> str:
    """Output as plain text: UTF-8, no control sequences, progress bars reduced to their last state."""
    text = CONTROL.sub("", raw.decode("utf-8", "replace")).replace("\r\n", "\n")
    return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))


def cut(text: str, characters: int) -> str:
    """A text of at most about ``characters``, the middle left out."""
    if len(text) <= characters:
        return text
    head, tail = text[: characters // 3], text[-(characters - characters // 3) :]
    return f"{head}\n[… {len(text) - len(head) - len(tail)} characters left out …]\n{tail}"


class Lines:
    """Cuts a stream into cleaned lines for progress messages."""

    def __init__(self, most: int = 40) -> None:
        """``most``: lines to give for one chunk; cleaning each of a flood would hold up everything else here."""
        self._most = most
        self._rest = b""

    def add(self, chunk: bytes) -> list[str]:
        """The last lines that ``chunk`` completes."""
        *lines, rest = (self._rest + chunk[-65_536:]).rsplit(b"\n", self._most + 1)
        self._rest = rest[-4_096:]
        return [line for raw in lines[-self._most :] if (line := cleaned(raw[:4_096]).strip())]
