"""Changing files: every call is one commit, judged by path policy before anything is written."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from contracts.deciding import decide
from contracts.deeds import PathWrite
from contracts.errors import GuardrailTripped, InvalidInput
from contracts.judging.names import portability_problem
from contracts.paths import path_problem
from contracts.policy import Policy
from mcp_servers.fs.names import SUBMODULE_MODE, SYMLINK_MODE, file_at, shown, spelled
from mcp_servers.fs.patch_matching import patched
from mcp_servers.fs.patch_syntax import Deed, FilePatch, parse_patch
from mcp_servers.fs.text_file import LFS_POINTER, TextFile, decoded, is_binary
from mcp_servers.object_store import Edits, Entry, Mirror, NewBlob
from mcp_servers.scope import Scope

MAX_FILE_BYTES = 5_000_000
EXECUTABLE = 0o100755
Tree = Mapping[str, NewBlob | Entry | None]


@dataclass(frozen=True, slots=True)
class Edited:
    """What a call changed."""

    commit: str
    paths: tuple[str, ...]
    unchanged: bool
    """Whether the files were like that already, so that there is no new commit."""


def write_file(mirror: Mirror, scope: Scope, path: str, content: str) -> Edited:
    """Create or replace one file. Raises ``InvalidInput``, ``GuardrailTripped``."""
    target = _writable(mirror, mirror.head(scope.workspace), path.removeprefix("./"), scope.policy)

    def edits(commit: str) -> Tree:
        path = _writable(mirror, commit, spelled(mirror, commit, target), scope.policy)
        return {path: _new_content(mirror, commit, path, content)}

    return _committed(mirror, scope, f"Write {shown(target)}", edits, (target,))


def _new_content(mirror: Mirror, commit: str, path: str, content: str) -> NewBlob:
    old = _replaceable(mirror, commit, path)
    data = content.encode()
    if old is None:
        return NewBlob(_sized(path, data))
    before = _stored_here(path, mirror.read(old.oid))
    if is_binary(before) or not before:
        return NewBlob(_sized(path, data), old.mode)
    file = decoded(before)
    if file.wholly_crlf and "\r" not in content:
        data = content.replace("\n", "\r\n").encode()
    if file.mark and file.encoding == "utf-8" and not data.startswith(file.mark):
        data = file.mark + data
    return NewBlob(_sized(path, data), old.mode)


def apply_patch(mirror: Mirror, scope: Scope, text: str) -> Edited:
    """Apply a patch over several files, all or nothing. Raises ``InvalidInput``, ``NotFound``, ``GuardrailTripped``."""
    patches = parse_patch(text)
    head = mirror.head(scope.workspace)
    named = (path for patch in patches for path in (patch.path, patch.move_to) if path)
    paths = tuple(_writable(mirror, head, path, scope.policy) for path in named)

    def edits(commit: str) -> Tree:
        # Deletions come first: what they leave free can be used by the rest of the patch.
        given = [_spelled(mirror, commit, patch, scope.policy) for patch in patches]
        gone = _together(_patched(mirror, commit, patch) for patch in given if patch.deed is Deed.DELETE)
        rest = mirror.edit_tree(commit, gone) if gone else commit
        return _without_shadowed(_together([gone, *(_patched(mirror, rest, p) for p in given if p.deed is not Deed.DELETE)]))

    return _committed(mirror, scope, f"Patch {', '.join(shown(path) for path in paths)}"[:200], edits, paths)


def _spelled(mirror: Mirror, commit: str, patch: FilePatch, policy: Policy) -> FilePatch:
    """The patch with its paths as the tree spells them."""
    move_to = _writable(mirror, commit, spelled(mirror, commit, patch.move_to), policy) if patch.move_to else ""
    return replace(patch, path=_writable(mirror, commit, spelled(mirror, commit, patch.path), policy), move_to=move_to)


def _together(parts: Iterable[Tree]) -> Tree:
    tree: dict[str, NewBlob | Entry | None] = {}
    for part in parts:
        for path, edit in part.items():
            if path in tree:
                raise InvalidInput(f"The patch has {shown(path)} twice; say everything about one file in one section.")
            tree[path] = edit
    return tree


def _without_shadowed(tree: Tree) -> Tree:
    """Without deletions that a new file in the place of a folder, or the reverse, says already."""
    made = {path for path, edit in tree.items() if edit is not None}
    folders = {path[:at] for path in made for at, character in enumerate(path) if character == "/"}
    return {path: edit for path, edit in tree.items() if edit is not None or not (
        path in folders or any(path[:at] in made for at, character in enumerate(path) if character == "/"))}


def _patched(mirror: Mirror, commit: str, patch: FilePatch) -> Tree:
    if patch.deed is Deed.ADD:
        return {patch.path: _added(mirror, commit, patch)}
    if patch.deed is Deed.DELETE:
        _deletable(mirror, commit, patch.path)
        return {patch.path: None}
    old = file_at(mirror, commit, patch.path)
    new: NewBlob | Entry = Entry(patch.path, old.oid, old.mode)
    if patch.hunks:
        new = NewBlob(_sized(patch.path, patched(patch, _text(mirror, old)).encoded(patch.path)), old.mode)
    if not patch.move_to or patch.move_to == patch.path:
        return {patch.path: new}
    _refuse_existing(mirror, commit, patch.move_to)
    return {patch.path: None, patch.move_to: new}


def _added(mirror: Mirror, commit: str, patch: FilePatch) -> NewBlob:
    _refuse_existing(mirror, commit, patch.path)
    data = _sized(patch.path, patch.content.encode())
    return NewBlob(data, EXECUTABLE) if patch.executable else NewBlob(data)


def _text(mirror: Mirror, entry: Entry) -> TextFile:
    content = _stored_here(entry.path, mirror.read(entry.oid))
    if is_binary(content):
        raise InvalidInput(f"{shown(entry.path)} is a binary file and cannot be patched.")
    return decoded(content)


def _stored_here(path: str, content: bytes) -> bytes:
    if content.startswith(LFS_POINTER):
        raise InvalidInput(f"{shown(path)} is a Git LFS pointer: its content is stored elsewhere and cannot be edited here. "
                           "Leave it as it is.")
    return content


def _deletable(mirror: Mirror, commit: str, path: str) -> None:
    """A symbolic link may go as such; whatever else is no file may not."""
    entry = mirror.entry(commit, path)
    if entry is None or entry.mode != SYMLINK_MODE:
        file_at(mirror, commit, path)


def _refuse_existing(mirror: Mirror, commit: str, path: str) -> None:
    if _replaceable(mirror, commit, path) is not None:
        raise InvalidInput(f"{shown(path)} exists already; use '*** Update File: {shown(path)}', or write_file to replace it.")


def _replaceable(mirror: Mirror, commit: str, path: str) -> Entry | None:
    """The file that a write would replace. Refuses folders, links, submodules, and files in the place of folders."""
    if mirror.is_folder(commit, path):
        raise InvalidInput(f"{shown(path)} is a folder; give the path of a file.")
    parts = path.split("/")
    for depth in range(1, len(parts)):
        above = mirror.entry(commit, "/".join(parts[:depth]))
        if above is not None:
            kind = {SYMLINK_MODE: "a symbolic link", SUBMODULE_MODE: "a submodule"}.get(above.mode, "a file")
            raise InvalidInput(f"{shown(above.path)} is {kind}, so nothing can be written below it.")
    return None if mirror.entry(commit, path) is None else file_at(mirror, commit, path)


def _writable(mirror: Mirror, commit: str, path: str, policy: Policy) -> str:
    # What is there may keep a name that nothing new may have.
    existing = not path_problem(path, existing=True) and not portability_problem(_new_part(mirror, commit, path))
    if problem := path_problem(path, existing=existing):
        raise InvalidInput(f"{shown(path)!r} cannot be written: {problem}")
    if not (decision := decide(policy, PathWrite(path=path, existing=existing))).allowed:
        raise GuardrailTripped(decision.reason)
    return path


def _new_part(mirror: Mirror, commit: str, path: str) -> str:
    """What of a path the tree has not; empty for a file that is there."""
    parts = path.split("/")
    if mirror.entry(commit, path) is not None:
        return ""
    known = next((depth for depth in range(len(parts) - 1, 0, -1) if mirror.is_folder(commit, "/".join(parts[:depth]))), 0)
    return "/".join(parts[known:])


def _sized(path: str, data: bytes) -> bytes:
    if len(data) > MAX_FILE_BYTES:
        raise InvalidInput(f"{shown(path)} would have {len(data):,} bytes; a file may have {MAX_FILE_BYTES:,}.")
    return data


def _committed(mirror: Mirror, scope: Scope, message: str, edits: Edits, paths: tuple[str, ...]) -> Edited:
    before = mirror.head(scope.workspace)
    commit = mirror.amend(scope.workspace, message, edits, scope.call)
    repeated = bool(scope.call) and mirror.call_of(commit) == scope.call
    return Edited(commit, tuple(dict.fromkeys(paths)), unchanged=commit == before and not repeated)
