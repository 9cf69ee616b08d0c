"""ripgrep over the text of a tree: its own regular expressions, file types and case rules.

Two ways to the same answer. Usually ripgrep reads the corpus files and every hit is mapped back to the blob it is in.
A search of few files, or one that hits nearly everywhere, is fed the wanted blobs in the order of their paths instead.
"""

import functools
import os
import shutil
import subprocess
import sysconfig
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from contracts.errors import InvalidInput
from mcp_servers.code_search.index import Snapshot
from mcp_servers.code_search.store import Blob
from mcp_servers.code_search.trees import glob_of

MAX_COUNTED = 20_000
"""Matching lines after which a search no longer counts."""
_FED_BYTES = 4 << 20
"""A search in less text than this is fed the text; one in more reads the corpus files."""
_SECONDS = 60
NOTHING: dict[str, str] = {}
"""ripgrep's environment: no variable of ours, and no configuration of anybody's."""
_FLAGS = ("--no-config", "--no-messages", "--text", "--encoding", "none", "--no-mmap", "--byte-offset", "--no-line-number",
          "--no-heading", "--color", "never", "--with-filename", "--null", "--max-columns", "1")
_CASES = {"smart": "--smart-case", "sensitive": "--case-sensitive", "insensitive": "--ignore-case"}


@dataclass(frozen=True)
class TextQuery:
    """What to look for, in ripgrep's terms."""

    patterns: tuple[str, ...]
    case: str = "smart"
    fixed: bool = False
    word: bool = False
    each: bool = False
    """Every match instead of every matching line."""

    def arguments(self) -> list[str]:
        """ripgrep's command line, without the files."""
        if self.case not in _CASES:
            raise InvalidInput(f"case must be smart, sensitive or insensitive, not {self.case!r}.")
        flags = [_CASES[self.case], *(["--fixed-strings"] if self.fixed else []), *(["--word-regexp"] if self.word else []),
                 *(["--only-matching", "--replace", ""] if self.each else [])]
        return [ripgrep(), *_FLAGS, *flags, *(f"--regexp={pattern}" for pattern in self.patterns)]


@dataclass(frozen=True, slots=True)
class Hit:
    """One match: in which blob, and where its line (or with ``each`` the match itself) begins there."""

    blob: Blob
    offset: int


Found = tuple[list[tuple[str, Hit]], bool]
"""Paths with their hits, in order, and whether there are more."""


@functools.cache
def ripgrep() -> str:
    """The ripgrep that the pinned wheel put beside this Python. Raises ``InvalidInput`` when it is missing."""
    beside = Path(sysconfig.get_path("scripts")) / "rg"
    found = str(beside) if beside.is_file() else shutil.which("rg")
    if not found:
        raise InvalidInput("ripgrep is not installed beside this server; install the locked dependencies again.")
    return found


def hits(snapshot: Snapshot, paths: Iterable[str], query: TextQuery, limit: int = MAX_COUNTED) -> Found:
    """Matches in some files of a tree, by path and then by place, and whether there are more than ``limit``."""
    wanted = {path: snapshot.blobs[path] for path in paths if snapshot.blobs[path].length}
    ordered = sorted(wanted)
    blobs = {blob.id: blob for blob in wanted.values()}
    if sum(blob.length for blob in blobs.values()) > _FED_BYTES:
        found = _of_corpus(snapshot, blobs, query, MAX_COUNTED)
        if found is not None:
            return _by_path(wanted, ordered, found, limit)
    return _fed(snapshot, wanted, ordered, query, limit)


def _by_path(wanted: dict[str, Blob], ordered: list[str], found: dict[int, list[Hit]], limit: int) -> Found:
    spread = [(path, hit) for path in ordered for hit in found.get(wanted[path].id, ())]
    return spread[:limit], len(spread) > limit


def _of_corpus(snapshot: Snapshot, blobs: dict[int, Blob], query: TextQuery, limit: int) -> dict[int, list[Hit]] | None:
    """Hits by blob id from the corpus files; None when more lines match than ``limit``."""
    by_segment: dict[int, list[Blob]] = {}
    for blob in blobs.values():
        by_segment.setdefault(blob.segment, []).append(blob)
    files = {os.fspath(snapshot.store.segment(number)): sorted(held, key=lambda b: b.start)
             for number, held in by_segment.items()}
    starts = {name: [blob.start for blob in held] for name, held in files.items()}
    found: dict[int, list[Hit]] = {}
    count = 0
    for name, offset in _run(query, [*files], None):
        position = bisect_right(starts[name], offset) - 1
        if position < 0 or offset >= (blob := files[name][position]).start + blob.length:
            continue
        found.setdefault(blob.id, []).append(Hit(blob, offset - blob.start))
        count += 1
        if count > limit:
            return None
    return found


def _fed(snapshot: Snapshot, wanted: dict[str, Blob], ordered: list[str], query: TextQuery, limit: int) -> Found:
    """Hits in the order of the paths, from as much text as it takes to reach the limit."""
    spread: list[tuple[str, Hit]] = []
    for portion in _portions(wanted, ordered) if ordered else [[]]:
        blobs = list({wanted[path].id: wanted[path] for path in portion}.values())
        starts, texts, end = [], [], 0
        for blob in blobs:
            starts.append(end)
            texts.append(snapshot.store.text_of(blob))
            end += blob.length
        found: dict[int, list[Hit]] = {}
        for _, offset in _run(query, ["-"], b"".join(texts)):
            position = bisect_right(starts, offset) - 1
            found.setdefault(blobs[position].id, []).append(Hit(blobs[position], offset - starts[position]))
        spread += [(path, hit) for path in portion for hit in found.get(wanted[path].id, ())]
        if len(spread) > limit:
            break
    return spread[:limit], len(spread) > limit


def _portions(wanted: dict[str, Blob], ordered: list[str]) -> Iterator[list[str]]:
    portion: list[str] = []
    held = 0
    for path in ordered:
        portion.append(path)
        held += wanted[path].length
        if held > _FED_BYTES:
            yield portion
            portion, held = [], 0
    if portion:
        yield portion


def _run(query: TextQuery, files: list[str], text: bytes | None) -> Iterator[tuple[str, int]]:
    """File name and byte offset of every matching line (or match). Raises ``InvalidInput`` with ripgrep's own words."""
    process = subprocess.Popen([*query.arguments(), "--", *files], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               stdin=subprocess.PIPE if text is not None else subprocess.DEVNULL, env=NOTHING)
    try:
        if text is not None:
            output, complaint = process.communicate(text, timeout=_SECONDS)
            lines: Iterable[bytes] = output.split(b"\n")
        else:
            assert process.stdout is not None and process.stderr is not None
            lines, complaint = process.stdout, b""
        for line in lines:
            name, _, rest = line.partition(b"\0")
            if rest:
                yield os.fsdecode(name), int(rest.partition(b":")[0])
        if text is None:
            complaint = process.communicate(timeout=_SECONDS)[1]
    except subprocess.TimeoutExpired:
        raise InvalidInput(f"The search took longer than {_SECONDS} s; narrow it with path_glob or a simpler pattern.") from None
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()
    if process.returncode == 2:
        raise InvalidInput(_complaint(complaint.decode("utf-8", "replace")))


def _complaint(text: str) -> str:
    message = text.strip().removeprefix("rg: ")
    if "multiline" in message:
        return f"{message.splitlines()[0]}. The search goes line by line: look for one line's text."
    return f"{message}\nThe pattern is a Rust regular expression without look-around and back-references; " \
           "pass fixed=true to search for the text as it stands."


@functools.cache
def file_types() -> dict[str, list[str]]:
    """ripgrep's file types: name to globs of file names."""
    command = [ripgrep(), "--no-config", "--type-list"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_SECONDS, env=NOTHING).stdout
    return {name: globs.split(", ") for name, _, globs in (line.partition(": ") for line in listing.splitlines())}


def selected(snapshot: Snapshot, path_glob: str, file_type: str) -> list[str]:
    """The paths that a glob and one of ripgrep's file types leave, in order. Raises ``InvalidInput``."""
    fits = glob_of(path_glob)
    paths = [path for path in snapshot.files.paths if fits(path)]
    if not file_type:
        return paths
    globs = file_types().get(file_type.lower())
    if globs is None:
        near = get_close_matches(file_type.lower(), file_types(), n=4) + [
            name for name, globs in file_types().items() if f"*.{file_type.lower()}" in globs][:3]
        raise InvalidInput(f"ripgrep has no file type {file_type!r}. "
                           + (f"Did you mean {', '.join(dict.fromkeys(near))}?" if near else "Use path_glob instead, e.g. *.py."))
    fitting = [glob_of(glob) for glob in globs]
    return [path for path in paths if any(fit(path) for fit in fitting)]
