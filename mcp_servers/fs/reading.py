"""Listing and reading the files of a commit, as text a model can work with."""

from collections import Counter

from contracts.errors import InvalidInput, NotFound
from contracts.paths import matches
from mcp_servers.fs.names import SUBMODULE_MODE, SYMLINK_MODE, file_at, meant, shown, similar
from mcp_servers.fs.text_file import LFS_POINTER, decoded, is_binary
from mcp_servers.object_store import Entry, Mirror

MAX_LISTED = 1_000
MAX_LINES = 2_000
MAX_BYTES = 65_536
MAX_LINE_WIDTH = 2_000
SHOWN_FOLDERS = 30


def listing(mirror: Mirror, commit: str, path: str, pattern: str, limit: int, offset: int) -> str:
    """The files below a folder whose path matches a glob, one a line. Raises ``NotFound``."""
    folder = meant(path)
    if not mirror.is_folder(commit, folder):
        if entry := mirror.entry(commit, folder):
            return _listed(mirror, entry)
        raise NotFound(f"There is no folder {shown(folder)!r}.{similar(mirror, commit, folder)}")
    prefix = f"{folder}/" if folder else ""
    below = [entry for entry in mirror.entries(f"{commit}:{folder}" if folder else commit)]
    found = below if pattern in ("", "**") else [entry for entry in below if matches(entry.path, pattern)]
    page = found[offset:offset + max(1, min(limit, MAX_LISTED))]
    if not page:
        return _nothing(below, found, folder, pattern, offset)
    lines = [_listed(mirror, Entry(prefix + entry.path, entry.oid, entry.mode)) for entry in page]
    if len(page) < len(found):
        end = offset + len(page)
        more = f"continue with offset={end}" if end < len(found) else "this is the last page"
        lines.append(f"\n{offset + 1}-{end} of {len(found):,} files; {more}, or narrow it with path or pattern.")
        lines += _folders(found, prefix) if not offset else []
    return "\n".join(lines)


def _listed(mirror: Mirror, entry: Entry) -> str:
    if entry.mode == SUBMODULE_MODE:
        return f"{shown(entry.path)}  (submodule at {entry.oid[:12]})"
    if entry.mode == SYMLINK_MODE:
        return f"{shown(entry.path)}  (symbolic link to {mirror.read(entry.oid).decode('utf-8', 'backslashreplace')})"
    return f"{shown(entry.path)}  {mirror.size(entry.oid):,} bytes"


def _nothing(below: list[Entry], found: list[Entry], folder: str, pattern: str, offset: int) -> str:
    where = f"below {shown(folder)}" if folder else "in the repository"
    if found:
        return f"There are only {len(found):,} such files; offset={offset} is past the end."
    if not below:
        return f"There are no files {where}."
    deeper = f"**/{pattern}"
    count = sum(1 for entry in below if matches(entry.path, deeper))
    hint = f" {count:,} match pattern={deeper!r} ('**/' crosses folders)." if count else ""
    return f"No file {where} matches {pattern!r}; {len(below):,} files are there.{hint}"


def _folders(found: list[Entry], prefix: str) -> list[str]:
    counts = Counter(entry.path.split("/", 1)[0] for entry in found if "/" in entry.path)
    rest = f", and {len(counts) - SHOWN_FOLDERS} more" if len(counts) > SHOWN_FOLDERS else ""
    named = ", ".join(f"{shown(prefix + name)}/ ({count:,})" for name, count in counts.most_common(SHOWN_FOLDERS))
    return [f"Files per folder: {named}{rest}."] if named else []


def numbered(mirror: Mirror, commit: str, path: str, start_line: int, end_line: int) -> str:
    """Lines of a file, each with its number, below a line that says what is shown. Raises ``NotFound``, ``InvalidInput``."""
    entry = file_at(mirror, commit, meant(path))
    content = mirror.read(entry.oid)
    name = shown(entry.path)
    if is_binary(content):
        return f"{name} is a binary file of {len(content):,} bytes; its content is not shown."
    if not content:
        return f"{name} is an empty file."
    file = decoded(content)
    lines = [line.text for line in file.lines]
    if start_line > len(lines):
        raise InvalidInput(f"{name} has only {len(lines):,} lines; start_line={start_line} is past its end.")
    first = max(1, start_line)
    last = min(end_line if end_line > 0 else len(lines), len(lines))
    if last < first:
        raise InvalidInput(f"end_line={end_line} is before start_line={first}.")
    body, shown_last = _within_caps(lines, first, last)
    notes = [*file.notes, *(["executable"] if entry.mode == 0o100755 else [])]
    if content.startswith(LFS_POINTER):
        notes.append("a Git LFS pointer: the real content is stored elsewhere, do not edit it")
    about = "".join(f"; {note}" for note in notes)
    more = f"\n[continue with start_line={shown_last + 1}]" if shown_last < last else ""
    return f"{name}: lines {first}-{shown_last} of {len(lines):,}, {len(content):,} bytes{about}\n{body}{more}"


def _within_caps(lines: list[str], first: int, last: int) -> tuple[str, int]:
    """The numbered lines as far as the caps allow, and the last line's number; at least one line."""
    out: list[str] = []
    size = 0
    for number in range(first, min(last, first + MAX_LINES - 1) + 1):
        text = lines[number - 1]
        if len(text) > MAX_LINE_WIDTH:
            text = f"{text[:MAX_LINE_WIDTH]}… [line cut: it has {len(text):,} characters]"
        size += len(text.encode("utf-8", "surrogatepass")) + 8
        if out and size > MAX_BYTES:
            break
        out.append(f"{number:>6}\t{text}")
    return "\n".join(out), first + len(out) - 1
