"""Reading many blobs with all cores: processes that parse while this one writes.

    python -m mcp_servers.code_search.readers MIRROR

is one such process. It takes portions of keys on stdin and answers each with its analyses on stdout, both as pickles
behind their length. It has no other privilege than this process and reads the mirror itself.
"""

import os
import pickle
import queue
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any

from mcp_servers.code_search.analysis import Analysis, analyse
from mcp_servers.code_search.sources import MAX_SEARCHED
from mcp_servers.code_search.trees import Key
from mcp_servers.object_store import Mirror

APART_FROM = 2_000
"""Blobs from which starting processes (some 0.3 s each) pays."""
_MOST = 4
_PORTION = 200
_LENGTH = struct.Struct("<Q")


def read(mirror: Mirror, keys: list[Key]) -> list[Analysis]:
    """Analyse some blobs here."""
    return [analyse(oid, language, _content(mirror, oid)) for oid, language in keys]


def read_apart(mirror: Path, keys: list[Key], processes: int = 0) -> Iterator[list[Analysis]]:
    """Analyse blobs in other processes, in order; what a process that died left open is read here."""
    count = processes or min(_MOST, os.cpu_count() or 1)
    portions = deque(keys[start:start + _PORTION] for start in range(0, len(keys), _PORTION))
    readers = [_Reader(mirror) for _ in range(count)]
    idle: queue.SimpleQueue[_Reader] = queue.SimpleQueue()
    for reader in readers:
        idle.put(reader)

    def ask(portion: list[Key]) -> list[Analysis]:
        reader = idle.get()
        try:
            return reader.read(portion)
        except (OSError, EOFError, struct.error):
            return read(Mirror(mirror), portion)
        finally:
            idle.put(reader)

    pending: deque[Future[list[Analysis]]] = deque()
    pool = ThreadPoolExecutor(count, thread_name_prefix="code-search-reader")
    try:
        while portions or pending:
            while portions and len(pending) < 2 * count:
                pending.append(pool.submit(ask, portions.popleft()))
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
        for reader in readers:
            reader.end()
        pool.shutdown(wait=False, cancel_futures=True)


class _Reader:
    """One process; asked by one thread at a time."""

    def __init__(self, mirror: Path) -> None:
        root = Path(__file__).resolve().parents[2]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "mcp_servers.code_search.readers", os.fspath(mirror)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # It parses what strangers wrote: none of our variables, which may be secrets, are there to be taken.
            env={"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])})

    def read(self, keys: list[Key]) -> list[Analysis]:
        """The analyses of some blobs. Raises ``OSError`` or ``EOFError`` when the process is no more."""
        assert self._process.stdin is not None and self._process.stdout is not None
        _send(self._process.stdin, keys)
        return _receive(self._process.stdout)

    def end(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue


def _send(stream: IO[bytes], message: Any) -> None:
    content = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    stream.write(_LENGTH.pack(len(content)))
    stream.write(content)
    stream.flush()


def _receive(stream: IO[bytes]) -> Any:
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        raise EOFError
    content = stream.read(_LENGTH.unpack(head)[0])
    return pickle.loads(content)  # noqa: S301 - written by our own process


def _content(mirror: Mirror, oid: str) -> bytes:
    """A blob's bytes; of one that is too large to be searched only as much as says so."""
    return mirror.read(oid) if mirror.size(oid) <= MAX_SEARCHED else bytes(MAX_SEARCHED + 1)


def main() -> None:
    """Answer portions until stdin ends."""
    mirror = Mirror(Path(sys.argv[1]))
    while True:
        try:
            keys = _receive(sys.stdin.buffer)
        except EOFError:
            return
        _send(sys.stdout.buffer, read(mirror, keys))


if __name__ == "__main__":
    main()
