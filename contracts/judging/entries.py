"""Gates on what git's trees say by themselves: names, modes, links, submodules, twins, broken trees."""

import posixpath
import re
from collections.abc import Iterator

from contracts.judging.difference import EXECUTABLE, FILE, FOLDER, SUBMODULE, SYMLINK, Difference, Side, Touched
from contracts.judging.finding import Finding, OperationKind, operation_found
from contracts.judging.guarded_paths import WHAT, guarded_as, never_touched
from contracts.judging.names import form_problem, portability_problem, skeleton
from contracts.paths import path_problem
from contracts.policy import Policy

LEAVE = "Leave it as it is on the base."
RENAME = "Give it an ordinary name."
SCRIPT = re.compile(rb"#!\s*/|\x7fELF")


def entry_findings(difference: Difference, policy: Policy) -> Iterator[Finding]:
    """What is wrong with the entries that differ, and with the trees that hold them."""
    for fault in difference.faults:
        shown = fault.path.decode("utf-8", "backslashreplace").encode("unicode_escape").decode()
        yield Finding(
            rule="tree.malformed",
            path=shown,
            problem=f"The tree is malformed: {fault.what}.",
            remedy="Make the change with the file tools, on top of the base.",
        )
    for touched in difference:
        yield from _of_name(touched, policy)
        yield from _of_mode(touched)
        yield from _of_link(touched)
    yield from _twins(difference)


def _of_name(touched: Touched, policy: Policy) -> Iterator[Finding]:
    path, shown = touched.name, touched.shown
    if problem := form_problem(path):
        yield Finding(rule="path.form", path=shown, problem=f"The name cannot be used: {problem}", remedy=RENAME)
        return
    if touched.old is None and (problem := portability_problem(touched.new_name)):
        yield Finding(rule="path.portable", path=shown, problem=f"The name cannot be used: {problem}", remedy=RENAME)
    if why := never_touched(path):
        yield Finding(rule="path.never", path=shown, problem=f"No change of ours may touch it. {why}", remedy=LEAVE)
    elif problem := path_problem(path, policy, existing=touched.old is not None, operations=True):
        yield Finding(rule="path.policy", path=shown, problem=f"It must not be changed: {problem}", remedy=LEAVE)
    elif kind := guarded_as(path):
        yield _guarded(touched, kind)
    if touched.copied_from and (source := _copied(touched, policy)):
        yield source


def _guarded(touched: Touched, kind: OperationKind) -> Finding:
    state = touched.new.oid if touched.new else "deleted"
    return operation_found(
        f"operation.{kind}", kind, touched.shown, 0, state, f"The change touches it, and {WHAT[kind]}.", LEAVE
    )


def _copied(touched: Touched, policy: Policy) -> Finding | None:
    source = touched.copied_from.decode("utf-8", "surrogateescape")
    problem = (
        "" if form_problem(source) else never_touched(source) or path_problem(source, policy, existing=True, operations=True)
    )
    if not problem or "allows only" in problem:
        return None
    shown = source.encode("utf-8", "backslashreplace").decode()
    return Finding(
        rule="path.copied",
        path=touched.shown,
        problem=f"It is a copy of {shown!r}, which must not be touched: {problem}",
        remedy="Leave that file's content where it is.",
    )


def _of_mode(touched: Touched) -> Iterator[Finding]:
    new, old = touched.new, touched.old
    if new is None or (old is not None and old.mode == new.mode):
        return
    if new.mode == SUBMODULE:
        yield Finding(
            rule="mode.submodule",
            path=touched.shown,
            problem="It became a submodule, which brings in another repository.",
            remedy="Use an ordinary file.",
        )
    elif new.mode == SYMLINK:
        yield Finding(
            rule="mode.symlink", path=touched.shown, problem="It became a symbolic link.", remedy="Use an ordinary file."
        )
    elif new.mode not in (FILE, EXECUTABLE):
        yield Finding(
            rule="mode.unknown",
            path=touched.shown,
            problem=f"It has the mode {new.mode:o}, which git does not know.",
            remedy="Use 100644, or 100755 for a script.",
        )
    elif new.mode == EXECUTABLE and not _begins_as_script(new):
        yield Finding(
            rule="mode.executable",
            path=touched.shown,
            problem="It became executable, though it is no script.",
            remedy="Give it the mode 100644.",
        )


def _begins_as_script(new: Side) -> bool:
    return new.content is not None and SCRIPT.match(new.content) is not None


def _of_link(touched: Touched) -> Iterator[Finding]:
    """Where a link points that was there before and now points elsewhere."""
    new, old = touched.new, touched.old
    if new is None or new.mode != SYMLINK:
        return
    target = (new.content or b"").decode("utf-8", "surrogateescape")
    inside = posixpath.normpath(posixpath.join(posixpath.dirname(touched.name), target))
    escapes = target.startswith(("/", "~")) or "\\" in target or re.match(r"[A-Za-z]:", target) or inside.split("/")[0] == ".."
    if escapes or not target or form_problem(inside) or never_touched(inside):
        yield Finding(
            rule="link.target",
            path=touched.shown,
            problem="It points out of the repository or at git's or Patchwright's own files.",
            remedy="Point it at an ordinary file of the repository, or use a file.",
        )
    elif old is not None and old.mode == SYMLINK:
        yield Finding(
            rule="link.moved",
            path=touched.shown,
            problem="It is a symbolic link that now points elsewhere.",
            remedy="Change the file that it points at instead.",
        )


def _twins(difference: Difference) -> Iterator[Finding]:
    """New names that a file system which folds case or Unicode cannot tell from others in their folder."""
    new = {above for touched in difference if touched.old is None and touched.new is not None for above in _above(touched.path)}
    for folder, names in difference.neighbours.items():
        known: dict[str, list[bytes]] = {}
        for name in sorted(names):
            known.setdefault(skeleton(name.decode("utf-8", "surrogateescape")), []).append(name)
        prefix = folder + b"/" if folder else b""
        for same in known.values():
            if len(same) > 1 and any(prefix + one in new for one in same):
                yield _twin(prefix, same)


def _above(path: bytes) -> Iterator[bytes]:
    """A path and each folder above it, as many as a path may have."""
    while path:
        yield path
        path = path.rpartition(b"/")[0]


def _twin(prefix: bytes, same: list[bytes]) -> Finding:
    one, other = ((prefix + name).decode("utf-8", "backslashreplace") for name in same[:2])
    shown = one if one.isprintable() else one.encode("unicode_escape").decode()
    return Finding(rule="path.twin", path=shown, problem=f"Some file systems cannot tell it from {other!a}.", remedy=RENAME)


KNOWN_MODES = frozenset({FILE, EXECUTABLE, SYMLINK, SUBMODULE, FOLDER})
