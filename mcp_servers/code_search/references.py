"""Which file refers to which: every file votes for the files that define the names it uses."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from mcp_servers.code_search.index import Snapshot
from mcp_servers.code_search.languages import family_of
from mcp_servers.code_search.roles import is_test, weight

_DAMPING = 0.85
_ROUNDS = 10
_MAX_DEFINERS = 8
"""A name defined in more files than this says nothing about any of them."""
_ELSEWHERE = 0.5
"""What a vote counts for a file of another top-level folder."""
_COMMON = frozenset("""
Any Array Boolean Box Callable Date Dict Enum Error Exception Iterable Iterator List Literal Map Mapping Number Object Option
Optional Path Promise Protocol Result Sequence Set Some String Tuple Type Union Vec
""".split())  # noqa: SIM905
"""Names that mostly mean the language's own."""
_VALUES = ("variable", "field", "property")


@dataclass(frozen=True)
class Graph:
    """The reference graph of one tree. Nodes are blob ids."""

    edges: dict[int, dict[int, float]]
    """From the blob that uses names to the blobs that define them."""
    names: dict[int, dict[str, float]]
    """Blob to the names it defines, each with what other files give for it."""
    definers: dict[str, tuple[int, ...]]


def graph_of(snapshot: Snapshot) -> Graph:
    """The graph of a tree, computed once."""
    kept = snapshot.memory.get("graph")
    if kept is None:
        kept = snapshot.memory["graph"] = _build(snapshot)
    return kept


def _build(snapshot: Snapshot) -> Graph:
    family, voice, top = {}, {}, {}
    for identity, paths in snapshot.paths_of.items():
        family[identity] = family_of(snapshot.blobs[paths[0]].language)
        voice[identity] = weight(paths[0])
        top[identity] = paths[0].partition("/")[0]
    with snapshot.store.reading() as connection:
        definers = _definers(connection.execute("SELECT DISTINCT name, blob, kind FROM symbols ORDER BY name, blob"), family)
        edges: dict[int, dict[int, float]] = {}
        names: dict[int, dict[str, float]] = {}
        for user, used in connection.execute("SELECT blob, names FROM identifiers ORDER BY blob"):
            if user in family:
                _vote(user, used.split(), definers, (family, top), voice[user], edges, names)
    return Graph(edges, names, definers)


def _definers(rows: Iterable[tuple[str, int, str]], family: dict[int, str]) -> dict[str, tuple[int, ...]]:
    found: dict[str, list[int]] = {}
    for name, blob, kind in rows:
        if blob in family and len(name) > 2 and kind not in _VALUES and not name.startswith("__") and name not in _COMMON:
            held = found.setdefault(name, [])
            if blob not in held[-1:]:
                held.append(blob)
    return {name: tuple(held) for name, held in found.items() if len(held) <= _MAX_DEFINERS}


def _vote(user: int, used: list[str], definers: dict[str, tuple[int, ...]], kin: tuple[dict[int, str], dict[int, str]],
          voice: float, edges: dict[int, dict[int, float]], names: dict[int, dict[str, float]]) -> None:
    family, top = kin
    given = edges.setdefault(user, {})
    for name in used:
        places = definers.get(name)
        if places is None or user in places:
            continue
        vote = voice * _specific(name) / len(places)
        for place in places:
            if family[place] == family[user]:
                counted = vote if top[place] == top[user] else vote * _ELSEWHERE
                given[place] = given.get(place, 0.0) + counted
                received = names.setdefault(place, {})
                received[name] = received.get(name, 0.0) + counted


def _specific(name: str) -> float:
    """How sure a mention of the name means this definition: a compound name is, a short word is not."""
    compound = "_" in name.strip("_") or (name != name.lower() and name != name.upper() and name[1:] != name[1:].lower())
    return (2.0 if compound and len(name) >= 8 else 1.0 if len(name) >= 6 else 0.4) * (0.3 if name.startswith("_") else 1.0)


def importance(snapshot: Snapshot, focus: dict[int, float] | None = None) -> dict[int, float]:
    """PageRank of every blob of the tree, drawn towards the blobs in focus; independent of the order of indexing."""
    kept = ("importance", *sorted((focus or {}).items()))
    if kept not in snapshot.memory:
        snapshot.memory[kept] = _importance(snapshot, focus or {})
    return snapshot.memory[kept]


def _importance(snapshot: Snapshot, focus: dict[int, float]) -> dict[int, float]:
    graph = graph_of(snapshot)
    order = sorted(snapshot.paths_of, key=lambda identity: snapshot.paths_of[identity][0])
    if not order:
        return {}
    wish = {identity: 1.0 + focus.get(identity, 0.0) * len(order) for identity in order}
    total = sum(wish[identity] for identity in order)
    wish = {identity: value / total for identity, value in wish.items()}
    # fsum: blob ids, and with them the order of the terms, depend on what was indexed before; the exact sum does not.
    sums = {identity: math.fsum(graph.edges[identity].values()) for identity in order if graph.edges.get(identity)}
    rank = dict(wish)
    for _ in range(_ROUNDS):
        following = {identity: (1 - _DAMPING) * wish[identity] for identity in order}
        lost = 0.0
        for identity in order:
            if identity not in sums:
                lost += rank[identity]
                continue
            share = _DAMPING * rank[identity] / sums[identity]
            for to, vote in graph.edges[identity].items():
                following[to] += share * vote
        rank = {identity: following[identity] + _DAMPING * lost * wish[identity] for identity in order}
    return {identity: round(rank[identity] * weight(snapshot.paths_of[identity][0]), 12) for identity in order}


def tests_of(snapshot: Snapshot, names: set[str]) -> list[tuple[str, list[str]]]:
    """Test files that mention some of the names, those that mention most first."""
    found = []
    with snapshot.store.reading() as connection:
        for path in snapshot.files.paths:
            if is_test(path):
                row = connection.execute("SELECT names FROM identifiers WHERE blob = ?", (snapshot.blobs[path].id,)).fetchone()
                mentioned = sorted(names.intersection(row[0].split())) if row else []
                if mentioned:
                    found.append((path, mentioned))
    return sorted(found, key=lambda f: (-sum(_specific(name) for name in f[1]), f[0]))
