"""The index of one mirror on disk: a SQLite file and the corpus, text files that hold every searched blob once.

The corpus is only ever written behind the end that a committed transaction recorded, so an append that a crash cut
short leaves bytes which nothing points to and which the next append overwrites. One writer at a time, any number of readers.
"""

import contextlib
import fcntl
import os
import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from mcp_servers.code_search.analysis import Analysis

VERSION = 1
"""Raise it when what is stored changes its meaning: the old index is left behind and a new one is built."""
SEGMENT_BYTES = 64 << 20
_TABLES = """
CREATE TABLE IF NOT EXISTS blobs (
    id INTEGER PRIMARY KEY, oid TEXT NOT NULL, language TEXT NOT NULL, size INTEGER NOT NULL, searched INTEGER NOT NULL,
    skipped TEXT NOT NULL, lines INTEGER NOT NULL, segment INTEGER NOT NULL, start INTEGER NOT NULL, length INTEGER NOT NULL,
    chunks INTEGER NOT NULL, words INTEGER NOT NULL, UNIQUE (oid, language));
CREATE TABLE IF NOT EXISTS segments (number INTEGER PRIMARY KEY, size INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS symbols (
    blob INTEGER NOT NULL, position INTEGER NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, folded TEXT NOT NULL,
    start_line INTEGER NOT NULL, end_line INTEGER NOT NULL, signature TEXT NOT NULL, parent INTEGER NOT NULL,
    PRIMARY KEY (blob, position)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS symbols_by_name ON symbols (folded);
CREATE TABLE IF NOT EXISTS identifiers (blob INTEGER PRIMARY KEY, names TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS chunks (
    id INTEGER PRIMARY KEY, blob INTEGER NOT NULL, symbol INTEGER NOT NULL, start_line INTEGER NOT NULL,
    end_line INTEGER NOT NULL, words INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS chunks_by_blob ON chunks (blob);
CREATE VIRTUAL TABLE IF NOT EXISTS chunk_words USING fts5(name, text, content='', tokenize='ascii');
CREATE VIRTUAL TABLE IF NOT EXISTS chunk_terms USING fts5vocab('chunk_words', 'instance');
"""


@dataclass(frozen=True, slots=True)
class Blob:
    """One indexed blob: where its text is in the corpus and how much there is of it."""

    id: int
    oid: str
    language: str
    size: int
    searched: bool
    skipped: str
    lines: int
    segment: int
    start: int
    length: int
    chunks: int
    words: int


class Store:
    """The files of one index. Every method may be called from any thread; connections live as long as a call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / f"v{VERSION}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self._database = self.folder / "index.sqlite"
        try:
            self._prepare()
        except sqlite3.DatabaseError as error:
            if not damaged(error):
                raise
            with self.writing():
                self.reset()

    @property
    def generation(self) -> str:
        """Names this incarnation of the index: another one after ``reset``, by whichever process."""
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "generation").read_text()
        return ""

    def complete(self) -> bool:
        """Whether every corpus file holds at least what the database says."""
        with self.reading() as connection:
            recorded = connection.execute("SELECT number, size FROM segments").fetchall()
        return all(self.segment(number).is_file() and self.segment(number).stat().st_size >= size for number, size in recorded)

    def segment(self, number: int) -> Path:
        """The file of one corpus segment."""
        return self.folder / f"corpus-{number:05d}.txt"

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """A connection for queries: one consistent state of the index."""
        connection = self._connect()
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the right to write, against every other thread and process of this machine."""
        with (self.folder / "writer.lock").open("w") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield

    def blobs_after(self, last_id: int) -> list[Blob]:
        """Every blob whose id is larger."""
        with self.reading() as connection:
            return [Blob(*row) for row in connection.execute(
                "SELECT id, oid, language, size, searched, skipped, lines, segment, start, length, chunks, words"
                " FROM blobs WHERE id > ? ORDER BY id", (last_id,))]

    def chunks_after(self, last_id: int) -> list[tuple[int, int, int]]:
        """Id, blob and number of words of every chunk whose id is larger; ids have no gaps."""
        with self.reading() as connection:
            return connection.execute("SELECT id, blob, words FROM chunks WHERE id > ? ORDER BY id", (last_id,)).fetchall()

    def text_of(self, blob: Blob) -> bytes:
        """The searched text of a blob."""
        if not blob.length:
            return b""
        with self.segment(blob.segment).open("rb") as handle:
            return os.pread(handle.fileno(), blob.length, blob.start)

    def add(self, analyses: Iterable[Analysis]) -> None:
        """Append some blobs: all of them, or after a crash none. The caller holds ``writing``."""
        connection = self._connect()
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                corpus = _Corpus(self, connection)
                _insert(connection, corpus, analyses)
                corpus.close()
        finally:
            connection.close()

    def reset(self) -> None:
        """Throw the whole index away: it can always be computed again. The caller holds ``writing``."""
        for path in self.folder.iterdir():
            if path.name != "writer.lock":
                path.unlink(missing_ok=True)
        (self.folder / "generation").write_text(uuid.uuid4().hex)
        self._prepare()

    def _prepare(self) -> None:
        with self.reading() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(_TABLES)

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._database, timeout=60, isolation_level=None, check_same_thread=False)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -32000")
        connection.execute("PRAGMA temp_store = MEMORY")
        return connection


def damaged(error: sqlite3.DatabaseError) -> bool:
    """Whether the file is no longer a database, as against busy, full or unreadable, which may pass."""
    return type(error) is sqlite3.DatabaseError


class _Corpus:
    """The end of the corpus during one transaction."""

    def __init__(self, store: Store, connection: sqlite3.Connection) -> None:
        self._store, self._connection = store, connection
        last = connection.execute("SELECT number, size FROM segments ORDER BY number DESC LIMIT 1").fetchone()
        self._number, self._end = last or (0, 0)
        self._pending: list[bytes] = []
        self._written = self._end

    def append(self, text: bytes) -> tuple[int, int]:
        """Where the text will be: segment number and byte offset."""
        if self._end and self._end + len(text) > SEGMENT_BYTES:
            self.close()
            self._number, self._end, self._written = self._number + 1, 0, 0
        start = self._end
        self._pending.append(text)
        self._end += len(text)
        return self._number, start

    def close(self) -> None:
        """Bring the bytes to the disk before the transaction that points to them is committed."""
        handle = os.open(self._store.segment(self._number), os.O_WRONLY | os.O_CREAT, 0o644)
        try:
            os.truncate(handle, self._written)
            rest = memoryview(b"".join(self._pending))
            while rest:
                done = os.pwrite(handle, rest, self._written)
                rest, self._written = rest[done:], self._written + done
            os.fsync(handle)
        finally:
            os.close(handle)
        self._pending.clear()
        self._connection.execute("INSERT OR REPLACE INTO segments VALUES (?, ?)", (self._number, self._end))


def _insert(connection: sqlite3.Connection, corpus: _Corpus, analyses: Iterable[Analysis]) -> None:
    blob_id = connection.execute("SELECT coalesce(max(id), 0) FROM blobs").fetchone()[0]
    chunk_id = connection.execute("SELECT coalesce(max(id), 0) FROM chunks").fetchone()[0]
    blobs, symbols, names, chunks, words = [], [], [], [], []
    for found in analyses:
        blob_id += 1
        segment, start = corpus.append(found.text)
        blobs.append((blob_id, found.oid, found.language, found.size, found.searched, found.skipped, found.lines, segment, start,
                      len(found.text), len(found.chunks), sum(chunk.words for chunk in found.chunks)))
        names.append((blob_id, found.identifiers))
        symbols += [(blob_id, position, s.kind, s.name, s.name.casefold(), s.start_line, s.end_line, s.signature, s.parent)
                    for position, s in enumerate(found.symbols)]
        for chunk in found.chunks:
            chunk_id += 1
            chunks.append((chunk_id, blob_id, chunk.symbol, chunk.start_line, chunk.end_line, chunk.words))
            words.append((chunk_id, chunk.name, chunk.text))
    connection.executemany("INSERT INTO blobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", blobs)
    connection.executemany("INSERT INTO symbols VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", symbols)
    connection.executemany("INSERT INTO identifiers VALUES (?, ?)", names)
    connection.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)", chunks)
    connection.executemany("INSERT INTO chunk_words (rowid, name, text) VALUES (?, ?, ?)", words)
