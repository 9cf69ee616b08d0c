"""The index of one mirror: brings it up to a tree by reading only the blobs that no tree before had."""

import sqlite3
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mcp_servers.code_search import readers
from mcp_servers.code_search.analysis import Analysis
from mcp_servers.code_search.store import Blob, Store, damaged
from mcp_servers.code_search.trees import Key, TreeFiles, Trees
from mcp_servers.object_store import Mirror, Mirrors

BATCH_FILES = 400
BATCH_BYTES = 16 << 20
DEAD = 1_000
"""Blobs that are gone from the mirror, from which on an index may be worth building again."""
_KEPT = 4
"""Snapshots of one mirror kept in memory, with what has been computed for them."""

Progress = Callable[[int, int], None]
"""Told after every batch: blobs read, blobs to read."""


class Stopped(Exception):
    """Nobody waits for the index any more; what was read so far is kept."""


class Pieces:
    """Blob and number of words of every chunk, by chunk id: small enough to keep for all trees of a mirror."""

    def __init__(self) -> None:
        self.blob_of = array("q", [0])
        self.words_of = array("q", [0])

    def refresh(self, store: Store) -> None:
        """Learn the chunks that are new."""
        for _, blob, words in store.chunks_after(len(self.blob_of) - 1):
            self.blob_of.append(blob)
            self.words_of.append(words)


@dataclass(frozen=True)
class Snapshot:
    """One tree, completely indexed."""

    store: Store
    files: TreeFiles
    blobs: dict[str, Blob]
    """Path to blob, in no order."""
    pieces: Pieces
    parsed: int
    """How many blobs were read to make it."""
    memory: dict[Any, Any] = field(default_factory=dict)
    """What has been computed for this tree and may be asked for again."""

    @cached_property
    def paths_of(self) -> dict[int, list[str]]:
        """Blob id to the paths it is at, in order."""
        found: dict[int, list[str]] = {}
        for path in self.files.paths:
            found.setdefault(self.blobs[path].id, []).append(path)
        return found

    def text(self, path: str) -> str:
        """The searched text of a file; undecodable bytes as replacement characters."""
        return self.store.text_of(self.blobs[path]).decode("utf-8", "replace")


class CodeIndex:
    """All of one mirror's index. Methods may be called from several threads; the slow one is ``snapshot``."""

    def __init__(self, mirrors: Mirrors, mirror: str, folder: Path) -> None:
        self._mirrors, self._mirror = mirrors, mirror
        self._store = Store(folder)
        self._trees = Trees()
        self._generation = self._store.generation
        self._known: dict[Key, Blob] = {}
        self._last_id = 0
        self._pieces = Pieces()
        self._snapshots: OrderedDict[str, Snapshot] = OrderedDict()
        self._lock = threading.Lock()
        if not self._store.complete():
            self._start_again()

    def ready(self, tree: str) -> Snapshot | None:
        """The snapshot of a tree if it is in memory; never waits for another tree's indexing."""
        return self._snapshots.get(tree) if self._store.generation == self._generation else None

    def snapshot(self, tree: str, progress: Progress | None = None, stop: threading.Event | None = None) -> Snapshot:
        """The tree, indexed. Raises ``Stopped`` when ``stop`` was set before the end."""
        mirror = self._mirrors.open(self._mirror)
        with self._lock:
            if self._store.generation != self._generation:
                self._forget()
            if tree in self._snapshots:
                self._snapshots.move_to_end(tree)
                return self._snapshots[tree]
            files = self._trees.of(mirror, tree)
            try:
                parsed = self._complete(mirror, files, progress, stop)
            except sqlite3.DatabaseError as error:
                if not damaged(error):
                    raise
                self._start_again()
                parsed = self._complete(mirror, files, progress, stop)
            blobs = {path: self._known[key] for path, key in files.files.items()}
            found = self._snapshots[tree] = Snapshot(self._store, files, blobs, self._pieces, parsed)
            while len(self._snapshots) > _KEPT:
                self._snapshots.popitem(last=False)
            return found

    def tidy(self) -> bool:
        """Throw the index away when most of what it knows is gone from the mirror: it is built again for what is asked for."""
        mirror = self._mirrors.open(self._mirror)
        with self._lock:
            known = self._store.blobs_after(0)
            dead = sum(not mirror.holds(blob.oid) for blob in known)
            if dead < DEAD or dead * 2 < len(known):
                return False
            self._start_again()
            return True

    def _complete(self, mirror: Mirror, files: TreeFiles, progress: Progress | None, stop: threading.Event | None) -> int:
        """Index what is missing of a tree and return how many blobs that were."""
        if not self._missing(files):
            return 0
        self._refresh()
        if not self._missing(files):
            return 0
        with self._store.writing():
            self._refresh()
            missing = self._missing(files)
            done = 0
            for batch in _batches(mirror, missing):
                self._store.add(batch)
                done += len(batch)
                if progress is not None:
                    progress(done, len(missing))
                if stop is not None and stop.is_set():
                    raise Stopped
            self._refresh()
        return len(missing)

    def _missing(self, files: TreeFiles) -> list[Key]:
        return [key for key in dict.fromkeys(files.files[path] for path in files.paths) if key not in self._known]

    def _refresh(self) -> None:
        """Learn what other threads and processes have indexed."""
        for blob in self._store.blobs_after(self._last_id):
            self._known[blob.oid, blob.language] = blob
            self._last_id = blob.id
        self._pieces.refresh(self._store)

    def _start_again(self) -> None:
        """The index is a cache: a damaged one is thrown away and built again."""
        with self._store.writing():
            self._store.reset()
        self._forget()

    def _forget(self) -> None:
        """Drop what was remembered of an index that is no more."""
        self._generation = self._store.generation
        self._known, self._last_id, self._pieces = {}, 0, Pieces()
        self._snapshots.clear()


def _batches(mirror: Mirror, missing: list[Key]) -> Iterator[list[Analysis]]:
    """The missing blobs read, in batches of about one transaction."""
    if len(missing) >= readers.APART_FROM:
        yield from readers.read_apart(mirror.path, missing)
        return
    batch: list[Analysis] = []
    held = 0
    for key in missing:
        batch += readers.read(mirror, [key])
        held += batch[-1].size
        if len(batch) >= BATCH_FILES or held >= BATCH_BYTES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch
