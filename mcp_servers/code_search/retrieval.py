"""Ranked retrieval: pieces of code that answer a question in words or by name, with the reason for each.

BM25 over the words of each piece, of its name and of its path. Frequencies are counted within the tree alone, so the
order depends on nothing but the tree, whatever else has been indexed.
"""

import heapq
import math
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from sqlite3 import Connection

from contracts.errors import InvalidInput
from mcp_servers.code_search.index import Pieces, Snapshot
from mcp_servers.code_search.repo_map import parts_of_path
from mcp_servers.code_search.roles import weight
from mcp_servers.code_search.synonyms import spelled, synonyms
from mcp_servers.code_search.words import IDENTIFIER, STOP_WORDS, parts, whole

_K1, _B = 1.2, 0.6
_NAME, _PATH = 3.0, 1.2
"""What a word counts in a piece's name and in its path, when one in its text counts 1."""
_SYNONYM = 0.45
_TELLING = 1.5
"""A related word that stands nearly everywhere is left out: its idf must be above this."""
_MAX_TERMS = 24
_CONSIDERED = 2_000
"""Pieces that are weighed in full."""
_PER_FILE = 2
_MAX_PATHS = 300
"""A word that is in more paths than this does not bring up files by itself."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One ranked piece of code."""

    path: str
    start_line: int
    end_line: int
    kind: str
    name: str
    score: float
    why: str
    terms: tuple[str, ...]


@dataclass(frozen=True)
class _Question:
    terms: tuple[str, ...]
    wholes: frozenset[str]
    asked: dict[str, str]
    """Each term as the query spells it."""

    @property
    def about_tests(self) -> bool:
        return bool({"test", "spec"} & set(self.terms))


def ranked(snapshot: Snapshot, query: str, limit: int, only: frozenset[str] | None = None,
           per_file: int = _PER_FILE) -> list[Answer]:
    """The best pieces for a query, best first; ``only`` restricts them to some paths."""
    question = _question(query)
    with snapshot.store.reading() as connection:
        matched = _matched(connection, snapshot, question)
        chosen: list[tuple[float, str, int]] = []
        per: dict[str, int] = {}
        for score, path, chunk in _scored(snapshot, question, matched, only):
            if per.get(path, 0) < per_file and len(chosen) < limit:
                per[path] = per.get(path, 0) + 1
                chosen.append((score, path, chunk))
        return [_answer(connection, question, matched, score, path, chunk) for score, path, chunk in chosen]


def _question(query: str) -> _Question:
    asked = IDENTIFIER.findall(query)
    meant = [word for word in asked if word.lower() not in STOP_WORDS] or asked
    if not meant:
        raise InvalidInput("The query has no words; say in a few words what the code does, or name a part of an identifier.")
    split = {word: parts(word) for word in meant}
    terms = dict.fromkeys(part for word in meant for part in split[word] if len(part) > 1 or not part.isascii())
    wholes = frozenset(whole(word) for word in meant if len(split[word]) > 1)
    asked = {split[word][0]: word.lower() for word in meant if len(split[word]) == 1}
    return _Question(tuple(terms)[:_MAX_TERMS] or (meant[0].lower(),), wholes, asked)


@dataclass(frozen=True)
class _Matched:
    """What the words of a question met. Chunks are ids."""

    scores: dict[str, dict[int, float]]
    """Asked word to chunk to score."""
    idf: dict[str, float]
    """How telling each asked word is."""
    found: dict[str, Counter[tuple[int, str]]]
    """Word, asked or related, to (chunk, column) to how often."""
    first: dict[int, int]
    """The first chunk of files that only their path brought up, to its blob."""
    pieces: Pieces


def _matched(connection: Connection, snapshot: Snapshot, question: _Question) -> _Matched:
    """Score every piece that has one of the words, word by word; a related word counts less than the asked one."""
    pieces = snapshot.pieces
    total = sum(snapshot.blobs[paths[0]].chunks for paths in snapshot.paths_of.values()) or 1
    average = (sum(snapshot.blobs[paths[0]].words for paths in snapshot.paths_of.values()) / total) or 1.0
    matched = _Matched({}, {}, {}, {}, pieces)
    asked = [(term, 1.0) for term in question.terms] + [(name, 2.0) for name in sorted(question.wholes)]
    for term, value in asked:
        best = matched.scores.setdefault(term, {})
        related = [(other, _SYNONYM) for other in synonyms(term) if other not in question.terms]
        for word, share in [(term, value), *related]:
            counts = matched.found[word] = _counts(connection, snapshot, word)
            telling = _idf(total, len({chunk for chunk, _ in counts}))
            if word == term and term in question.terms:
                matched.idf[term] = telling
            if word == term or telling > _TELLING:
                _score(best, counts, share * telling, pieces, average)
    _add_paths(connection, snapshot, question, matched)
    return matched


def _idf(total: int, having: int) -> float:
    having = max(1, min(having, total))
    return math.log(1 + (total - having + 0.5) / (having + 0.5))


def _counts(connection: Connection, snapshot: Snapshot, word: str) -> Counter[tuple[int, str]]:
    """(chunk, column) to how often the word is there, in this tree alone."""
    blob_of, here = snapshot.pieces.blob_of, snapshot.paths_of
    counts = Counter(connection.execute("SELECT doc, col FROM chunk_terms WHERE term = ?", (word,)))
    return Counter({key: times for key, times in counts.items() if key[0] < len(blob_of) and blob_of[key[0]] in here})


def _score(best: dict[int, float], counts: Counter[tuple[int, str]], telling: float, pieces: Pieces, average: float) -> None:
    frequencies: dict[int, float] = {}
    for (chunk, column), times in counts.items():
        gained = _NAME if column == "name" else times / (1 - _B + _B * pieces.words_of[chunk] / average)
        frequencies[chunk] = frequencies.get(chunk, 0.0) + gained
    for chunk, frequency in frequencies.items():
        score = telling * frequency * (_K1 + 1) / (frequency + _K1)
        if score > best.get(chunk, 0.0):
            best[chunk] = score


def _add_paths(connection: Connection, snapshot: Snapshot, question: _Question, matched: _Matched) -> None:
    """The first piece of every file whose path has one of the words, when few have."""
    for term in question.terms:
        named = [path for path in snapshot.files.paths if term in _path_words(path)]
        for path in named if len(named) <= _MAX_PATHS else []:
            blob = snapshot.blobs[path].id
            row = connection.execute("SELECT min(id) FROM chunks WHERE blob = ?", (blob,)).fetchone()
            if row[0] is not None:
                matched.first[row[0]] = blob


@lru_cache(maxsize=300_000)
def _path_words(path: str) -> frozenset[str]:
    return frozenset(parts_of_path(path))


def _scored(snapshot: Snapshot, question: _Question, matched: _Matched,
            only: frozenset[str] | None) -> list[tuple[float, str, int]]:
    """(score, path, chunk), best first: what matched, weighed by how much of the question the piece and its file cover."""
    blob_of = matched.pieces.blob_of
    whole_weight = sum(matched.idf.values()) or 1.0
    inside = {term: {blob_of[chunk] for chunk in matched.scores[term]} for term in question.terms}
    wanted = None if only is None else {snapshot.blobs[path].id for path in only}
    found = []
    for chunk, score in _best(matched, wanted).items():
        blob = blob_of[chunk]
        for path in snapshot.paths_of[blob]:
            if only is not None and path not in only:
                continue
            in_path = _path_words(path).intersection(question.terms)
            here = [term for term in question.terms if term in in_path or chunk in matched.scores[term]]
            around = [term for term in question.terms if term in in_path or blob in inside[term]]
            cover = (0.5 * sum(matched.idf[t] for t in here) + 0.2 * sum(matched.idf[t] for t in around)) / whole_weight
            bonus = _PATH * math.fsum(matched.idf[term] for term in in_path)
            demoted = 1.0 if question.about_tests or only is not None else weight(path)
            found.append((round((score + bonus) * (0.3 + cover) * demoted, 6), path, chunk))
    # Chunk ids rise within a blob, so between equals the order of the text decides.
    return sorted(found, key=lambda f: (-f[0], f[1], f[2]))


def _best(matched: _Matched, wanted: set[int] | None) -> dict[int, float]:
    """The chunks that may come out on top, ties included, so that the order of indexing never decides."""
    totals: dict[int, float] = dict.fromkeys(matched.first, 0.0)
    for scores in matched.scores.values():
        for chunk, score in scores.items():
            totals[chunk] = totals.get(chunk, 0.0) + score
    if wanted is not None:
        totals = {chunk: total for chunk, total in totals.items() if matched.pieces.blob_of[chunk] in wanted}
    if len(totals) <= _CONSIDERED:
        return totals
    least = heapq.nlargest(_CONSIDERED, totals.values())[-1]
    return {chunk: total for chunk, total in totals.items() if total >= least or chunk in matched.first}


def _answer(connection: Connection, question: _Question, matched: _Matched, score: float, path: str, chunk: int) -> Answer:
    blob, symbol, start, end = connection.execute(
        "SELECT blob, symbol, start_line, end_line FROM chunks WHERE id = ?", (chunk,)).fetchone()
    kind, name = "", ""
    if symbol >= 0:
        kind, name = connection.execute("SELECT kind, name FROM symbols WHERE blob = ? AND position = ?",
                                        (blob, symbol)).fetchone()
    places = {
        "name": sorted(word for word, counts in matched.found.items() if (chunk, "name") in counts),
        "path": sorted(_path_words(path).intersection(matched.idf)),
        "text": sorted(word for word, counts in matched.found.items() if (chunk, "text") in counts),
    }
    why = "; ".join(f"{place}: {', '.join(question.asked.get(word) or spelled(word) for word in words)}"
                    for place, words in places.items() if words)
    return Answer(path, start, end, kind, name, score, why, tuple(sorted({*places["name"], *places["text"]})))
