"""Definitions by name, and what a file or a folder defines."""

import re
from collections import Counter
from dataclasses import dataclass
from sqlite3 import Connection

from contracts.errors import InvalidInput
from mcp_servers.code_search.index import Snapshot
from mcp_servers.code_search.text_search import TextQuery, hits
from mcp_servers.code_search.trees import glob_of
from mcp_servers.code_search.words import whole

_COLUMNS = "blob, position, kind, name, start_line, end_line, signature, parent"
_COUNTED_NAMES = 12
"""Names whose mentions are counted in one answer."""
_TOP_OF_FILE = 8
_FOLDER_FILES = 60
_FILE_SYMBOLS = 1_000


@dataclass(frozen=True, slots=True)
class Definition:
    """A symbol as it is stored."""

    blob: int
    position: int
    kind: str
    name: str
    start_line: int
    end_line: int
    signature: str
    parent: int


def definitions_in(connection: Connection, blob: int) -> list[Definition]:
    """Every definition of a blob in the order of its text."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM symbols WHERE blob = ? ORDER BY position", (blob,))
    return [Definition(*row) for row in rows]


def find_symbol(snapshot: Snapshot, name: str, kind: str = "", path_glob: str = "", limit: int = 50) -> tuple[str, dict]:
    """Definitions named so: exactly, else in another case, else beginning with it, else with it inside."""
    owner, bare = _split(name)
    fits = glob_of(path_glob)
    with snapshot.store.reading() as connection:
        how, placed = "", []
        for how, condition, values in _ways(bare):  # noqa: B007
            rows = [Definition(*row) for row in connection.execute(f"SELECT {_COLUMNS} FROM symbols WHERE {condition}", values)]
            placed = [(path, d) for d in rows for path in snapshot.paths_of.get(d.blob, ())
                      if fits(path) and (not kind or d.kind == kind.lower()) and (not owner or _parent(connection, d) == owner)]
            if placed:
                break
        owners = {(d.blob, d.position): _parent(connection, d) for _, d in placed[:5_000]}
    if not placed:
        return _nothing(snapshot, name, kind, path_glob), {"definitions": [], "total": 0}
    placed.sort(key=lambda found: (len(found[1].name), found[1].name, found[1].kind in ("variable", "field"), found[0],
                                   found[1].start_line))
    return _found(snapshot, name, how, placed, owners, limit)


def _split(name: str) -> tuple[str, str]:
    """``Client.charge``, ``Client::charge`` and ``Client#charge`` as owner and name."""
    cleaned = name.strip().removesuffix("()").strip()
    if not cleaned:
        raise InvalidInput("The name is empty; give a function's, class's or constant's name, or a part of it.")
    *owners, bare = [part for part in re.split(r"\.|::|#|->", cleaned) if part] or [cleaned]
    return (owners[-1] if owners else ""), bare


def _ways(name: str) -> list[tuple[str, str, tuple[str, ...]]]:
    """How a name may be meant, the strictest reading first: words for people, condition, its values."""
    folded = name.casefold()
    escaped = re.sub(r"([%_\\])", r"\\\1", folded)
    return [
        ("named exactly", "folded = ? AND name = ?", (folded, name)),
        ("named so in another case", "folded = ?", (folded,)),
        ("whose name begins so", "folded LIKE ? ESCAPE '\\'", (escaped + "%",)),
        ("with this in the name", "folded LIKE ? ESCAPE '\\'", (f"%{escaped}%",)),
        ("named so in another style", "replace(folded, '_', '') = ?", (whole(name),)),
    ]


def _parent(connection: Connection, definition: Definition) -> str:
    if definition.parent < 0:
        return ""
    row = connection.execute("SELECT name FROM symbols WHERE blob = ? AND position = ?",
                             (definition.blob, definition.parent)).fetchone()
    return row[0] if row else ""


def _found(snapshot: Snapshot, name: str, how: str, placed: list[tuple[str, Definition]], owners: dict[tuple[int, int], str],
           limit: int) -> tuple[str, dict]:
    shown = placed[:limit]
    mentions = _mentions(snapshot, list(dict.fromkeys(d.name for _, d in shown))[:_COUNTED_NAMES])
    defined = Counter(d.name for _, d in placed)
    lines = [f"{len(placed)} definition{'s' if len(placed) != 1 else ''} {how}: {name}"
             + (f"; the first {limit} are shown, narrow with kind or path_glob" if len(placed) > limit else "")]
    data = []
    for path, d in shown:
        owner = owners.get((d.blob, d.position), "")
        references, files = mentions.get(d.name, (None, None))
        if references is not None:
            references = max(0, references - defined[d.name])
        lines.append(f"{path}:{d.start_line}-{d.end_line}  {d.kind} {owner + '.' if owner else ''}{d.name}")
        lines.append(f"    {d.signature}")
        if references is not None:
            lines.append(f"    {references} reference{'s' if references != 1 else ''} to this name, "
                         f"which occurs in {files} file{'s' if files != 1 else ''}")
        data.append({"path": path, "start_line": d.start_line, "end_line": d.end_line, "kind": d.kind, "name": d.name,
                     "in": owner, "signature": d.signature, "references": references})
    return "\n".join(lines), {"definitions": data, "total": len(placed)}


def _mentions(snapshot: Snapshot, names: list[str]) -> dict[str, tuple[int, int]]:
    """How often each name stands as a word in the tree, and in how many files."""
    counted: dict[str, tuple[int, int]] = {}
    for name in names:
        found, _ = hits(snapshot, snapshot.blobs, TextQuery((name,), "sensitive", fixed=True, word=True, each=True))
        counted[name] = (len(found), len({path for path, _ in found}))
    return counted


def _nothing(snapshot: Snapshot, name: str, kind: str, path_glob: str) -> str:
    found, _ = hits(snapshot, snapshot.blobs, TextQuery((name.strip(),), "smart", fixed=True), limit=50)
    narrowed = " With these kind and path_glob; try without." if kind or path_glob else ""
    if not found:
        return f"No definition has {name!r} in its name, and the text occurs nowhere.{narrowed} Try search_code with plain words."
    files = list(dict.fromkeys(path for path, _ in found))
    return (f"No definition has {name!r} in its name.{narrowed} The text occurs in {', '.join(files[:5])}"
            f"{' and more' if len(files) > 5 else ''}: see search_text.")


def outline(snapshot: Snapshot, path: str) -> tuple[str, dict]:
    """A file's definitions, nested, with their lines; of a folder each file's own. Raises ``NotFound``."""
    known = snapshot.files.known(path)
    if known in snapshot.blobs:
        return _file_outline(snapshot, known)
    return _folder_outline(snapshot, known)


def _file_outline(snapshot: Snapshot, path: str) -> tuple[str, dict]:
    blob = snapshot.blobs[path]
    with snapshot.store.reading() as connection:
        found = definitions_in(connection, blob.id)
    head = f"{path} ({blob.language}, {blob.lines} lines)" if not blob.skipped else f"{path} ({blob.size} bytes; {blob.skipped})"
    lines = [head, *outline_lines(found[:_FILE_SYMBOLS])]
    if len(found) > _FILE_SYMBOLS:
        lines.append(f"… {len(found) - _FILE_SYMBOLS} more; find_symbol with path_glob={path} finds them by name")
    if not found and not blob.skipped:
        lines.append("No definitions were recognised; read the file itself.")
    return "\n".join(lines), {"path": path, "lines": blob.lines, "symbols": [_as_data(d) for d in found[:_FILE_SYMBOLS]]}


def outline_lines(found: list[Definition]) -> list[str]:
    """One line a definition, indented by depth."""
    depth: dict[int, int] = {}
    lines = []
    for d in found:
        depth[d.position] = depth.get(d.parent, -1) + 1
        if depth[d.position] and d.kind in ("variable", "field"):
            continue
        lines.append(f"{'  ' * (depth[d.position] + 1)}{d.start_line}-{d.end_line}: {d.signature}")
    return lines


def _as_data(d: Definition) -> dict:
    return {"kind": d.kind, "name": d.name, "start_line": d.start_line, "end_line": d.end_line, "parent": d.parent,
            "signature": d.signature}


def _folder_outline(snapshot: Snapshot, folder: str) -> tuple[str, dict]:
    paths = snapshot.files.below(folder)
    if not paths:
        return "This workspace has no files yet.", {"path": folder, "files": []}
    head = f"{folder or '.'}/ ({len(paths)} files)"
    if len(paths) > _FOLDER_FILES:
        return _subfolders(head, folder, paths)
    lines, data = [head], []
    with snapshot.store.reading() as connection:
        for path in paths:
            blob = snapshot.blobs[path]
            top = [d for d in definitions_in(connection, blob.id) if d.parent < 0 and d.kind != "variable"]
            lines.append(f"{path} ({blob.skipped or f'{blob.lines} lines'})")
            lines += [f"  {d.start_line}-{d.end_line}: {d.kind} {d.name}" for d in top[:_TOP_OF_FILE]]
            if len(top) > _TOP_OF_FILE:
                lines.append(f"  … {len(top) - _TOP_OF_FILE} more")
            data.append({"path": path, "symbols": [_as_data(d) for d in top]})
    lines += [f"{path} ({what}, not followed)" for path, what in sorted(snapshot.files.others.items())
              if not folder or path.startswith(f"{folder}/")]
    return "\n".join(lines), {"path": folder, "files": data}


def _subfolders(head: str, folder: str, paths: list[str]) -> tuple[str, dict]:
    """What is directly in a folder too large to be shown file by file."""
    prefix = f"{folder}/" if folder else ""
    counts: Counter[str] = Counter()
    for path in paths:
        name, slash, _ = path[len(prefix):].partition("/")
        counts[prefix + name + slash] += 1
    entries = sorted(counts.items())
    lines = [f"{head}: too many to show what each defines; call outline with one of these."]
    lines += [f"{name} ({count} files)" if name.endswith("/") else name for name, count in entries[:200]]
    if len(entries) > 200:
        lines.append(f"… {len(entries) - 200} more")
    return "\n".join(lines), {"path": folder, "entries": [{"path": name, "files": count} for name, count in entries[:200]]}
