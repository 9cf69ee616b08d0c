"""Which steps of a plan cover which files of a change: judged by paths alone, never by what a model says. Pure functions.

The steps of a plan are its edits, numbered from 1, and its tests. A step covers the file that it names, what lies in a folder
that it names, and what a pattern of it matches; with a file also its tests and its snapshots, and with a manifest its lock files.
"""

import re
from collections.abc import Collection, Iterator, Sequence

from contracts.change import ChangedFile, FileStatus
from contracts.gates import is_test
from contracts.judging.names import MAX_NAME_BYTES, MAX_PATH_BYTES
from contracts.paths import matches
from contracts.plan import ChangePlan
from contracts.policy import OutsidePlan, Policy
from contracts.word import Word

LOCK_FILES = {
    "package.json": ("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "bun.lockb"),
    "pnpm-workspace.yaml": ("pnpm-lock.yaml",),
    "pyproject.toml": ("uv.lock", "poetry.lock", "pdm.lock", "pylock.toml"),
    "Pipfile": ("Pipfile.lock",),
    "Cargo.toml": ("Cargo.lock",),
    "go.mod": ("go.sum", "go.work.sum"),
    "go.work": ("go.work.sum",),
    "Gemfile": ("Gemfile.lock",),
    "composer.json": ("composer.lock",),
    "mix.exs": ("mix.lock",),
    "pubspec.yaml": ("pubspec.lock",),
    "Package.swift": ("Package.resolved",),
    "build.gradle": ("gradle.lockfile",),
    "build.gradle.kts": ("gradle.lockfile",),
    "flake.nix": ("flake.lock",),
}
"""Files that a tool writes when a manifest changes, beside the manifest or above it."""
NAMED_FOR_FOLDER = ("__init__", "index", "mod")
"""Files that stand for their folder."""
SCRIPTS = ("js", "jsx", "ts", "tsx", "mjs", "cjs")
"""Endings of one language: a test may have another one of them than what it tests."""
TEST_FOLDERS = frozenset({"test", "tests", "__tests__", "spec", "specs"})
TEST_AFFIXES = re.compile(r"^(?:test[_-])|(?:[_.-](?:test|tests|spec))$|(?<=[a-z0-9])(?:Tests?|Spec|IT)$")
NAMED = 10
"""Paths that a sentence names."""
MOST_PATTERNS, MOST_WILDCARDS, MOST_PATTERN_CHARACTERS = 50, 4, 300
"""What a plan can name by patterns: matching must stay quick whatever a model writes."""
BY_NAME, IN_FOLDER, BY_PATTERN = "named by the plan", "in a folder that the plan names", "matched by a pattern of the plan"
A_TEST = "a test that the plan names"
TEST_OF, SNAPSHOT_OF = "test of a file that the plan names", "snapshot of a test of the plan"
LOCK_OF, MARKER, IN_PLACE = "lock file of a manifest that the plan names", "empty package file", "renamed within its folder"


class PathCover(Word):
    """What of a plan covers one path."""

    steps: tuple[int, ...] = ()
    """Numbers of the plan's edits, from 1."""
    how: str = ""
    """In words; empty: nothing covers it."""


class CoveredFile(Word):
    """One file of a change, with the steps of the plan that cover it."""

    path: str
    old_path: str = ""
    status: FileStatus
    added: int = 0
    removed: int = 0
    steps: tuple[int, ...] = ()
    how: str = ""
    outside: tuple[str, ...] = ()
    """Which of its paths no step covers: a renamed file has two."""


class PlanSteps:
    """A plan, ready to be asked which of its steps cover a path."""

    def __init__(self, plan: ChangePlan) -> None:
        self._named: dict[str, tuple[int, ...]] = {}
        self._subjects: dict[str, list[tuple[int, str]]] = {}
        self._manifests: dict[str, list[tuple[int, str]]] = {}
        self._patterns: list[tuple[int, str]] = []
        for number, edit in enumerate(plan.edits, 1):
            self._take(number, edit.path)
        self._tests = set(test_paths(plan))
        self._test_patterns = [name for name in sorted(self._tests) if is_pattern(name)][:MOST_PATTERNS]
        self._folders = {above for path in (*self._named, *self._tests) for above in _folders(path)}

    def _take(self, number: int, path: str) -> None:
        name = path.rstrip("/")
        self._named[name] = (*self._named.get(name, ()), number)
        if is_pattern(path):
            self._patterns += [(number, path)] if len(self._patterns) < MOST_PATTERNS else []
            return
        if len(path) > MAX_PATH_BYTES or len(path.rpartition("/")[2]) > MAX_NAME_BYTES:
            return  # no such file can be: it is not worth looking for its tests
        if not is_test(path):
            for subject in _subjects(path):
                self._subjects.setdefault(subject, []).append((number, path))
        for lock in _lock_names(path.rpartition("/")[2]):
            self._manifests.setdefault(lock, []).append((number, _folder(path)))

    def cover_of(self, path: str) -> PathCover:
        """What of the plan covers a path."""
        if steps := self._named.get(path):
            return PathCover(steps=steps, how=BY_NAME)
        if steps := tuple(number for above in _folders(path) for number in self._named.get(above, ())):
            return PathCover(steps=tuple(sorted(steps)), how=IN_FOLDER)
        if steps := tuple(number for number, pattern in self._patterns if matches(path, pattern)):
            return PathCover(steps=steps, how=BY_PATTERN)
        if path in self._tests or not self._tests.isdisjoint(_folders(path)) or self._is_matched_test(path):
            return PathCover(how=A_TEST)
        if steps := self._tested(path):
            return PathCover(steps=steps, how=TEST_OF)
        if steps := self._locked(path):
            return PathCover(steps=steps, how=LOCK_OF)
        return self._snapshot(path)

    def has_folder(self, folder: str) -> bool:
        """Whether the plan names something in a folder."""
        return folder in self._folders

    def _is_matched_test(self, path: str) -> bool:
        return any(matches(path, pattern) for pattern in self._test_patterns)

    def _tested(self, path: str) -> tuple[int, ...]:
        """The steps whose file a path is a test of: called after it, in its language, beside it or among tests."""
        if len(path) > MAX_PATH_BYTES or not is_test(path):
            return ()
        stem, ending = _name(path)
        among = bool(TEST_FOLDERS.intersection(path.casefold().split("/")[:-1]))
        return tuple(
            number
            for number, step in self._subjects.get(_plain(TEST_AFFIXES.sub("", stem)), ())
            if _same_language(ending, _name(step)[1]) and (among or _folder(path) == _folder(step))
        )

    def _locked(self, path: str) -> tuple[int, ...]:
        """The steps whose manifest a path is a lock file of: beside it or above it."""
        above, _, name = path.rpartition("/")
        return tuple(
            number
            for number, folder in self._manifests.get(name, ())
            if above in ("", folder) or folder.startswith(f"{above}/")
        )

    def _snapshot(self, path: str) -> PathCover:
        """For a snapshot that a test tool writes: what covers its test."""
        folder, _, name = path.rpartition("/")
        if not folder.endswith("__snapshots__") or not name.endswith((".snap", ".ambr")):
            return PathCover()
        beside = folder.removesuffix("__snapshots__") + name.rpartition(".")[0]
        test = beside if name.endswith(".snap") else f"{beside}.py"
        found = self.cover_of(test) if is_test(test) else PathCover()
        return PathCover(steps=found.steps, how=SNAPSHOT_OF) if found.how else found


def covered(files: Sequence[ChangedFile], plan: ChangePlan) -> tuple[CoveredFile, ...]:
    """Each file of a change with the steps that cover it, in the order of the change."""
    steps = PlanSteps(plan)
    return tuple(_covered(file, steps) for file in files)


def _covered(file: ChangedFile, plan: PlanSteps) -> CoveredFile:
    found = plan.cover_of(file.path)
    old = plan.cover_of(file.old_path) if file.status is FileStatus.RENAMED else None
    if old is not None and not found.how and old.how and _folder(file.path) == _folder(file.old_path):
        found = PathCover(steps=old.steps, how=IN_PLACE)
    if not found.how and _is_empty_package_file(file) and plan.has_folder(_folder(file.path)):
        found = PathCover(how=MARKER)
    outside = [file.path] if not found.how else []
    # A rename takes its old name away: that, too, is a change of a path.
    outside += [file.old_path] if old is not None and not old.how else []
    return CoveredFile(
        path=file.path,
        old_path=file.old_path,
        status=file.status,
        added=file.added,
        removed=file.removed,
        steps=found.steps,
        how=found.how,
        outside=tuple(outside),
    )


def scope_problem(files: Sequence[CoveredFile], policy: Policy, approved: bool, allowed: Collection[str] = ()) -> str:
    """How far a change goes outside its plan, as a sentence for the person who is asked; empty within the policy.

    ``approved``: a person said yes to the plan, and with it to no path outside; else the policy's budget is allowed.
    ``allowed``: paths that a person allowed already.
    """
    beyond = [file for file in files if any(path not in allowed for path in file.outside)]
    if policy.outside_plan is OutsidePlan.ALLOW or not beyond:
        return ""
    lines = sum(file.added + file.removed for file in beyond)
    budget = policy.outside_plan is OutsidePlan.ASK and not approved
    if budget and len(beyond) <= policy.max_unplanned_files and lines <= policy.max_unplanned_lines:
        return ""
    limits = f" ({policy.max_unplanned_files} are allowed)", f" ({policy.max_unplanned_lines} are allowed)"
    of_files, of_lines = limits if budget else ("", "")
    many = "1 file" if len(beyond) == 1 else f"{len(beyond)} files"
    counted = "1 changed line" if lines == 1 else f"{lines} changed lines"
    named = ", ".join(file.path for file in beyond[:NAMED]) + (", …" if len(beyond) > NAMED else "")
    why = " A person approved the plan, and these are not in it." if approved else ""
    return (
        f"The change goes outside its plan: {many} that no step of the plan covers{of_files} with {counted}{of_lines}: "
        f"{named}.{why}"
    )


def left_outside(files: Sequence[CoveredFile], allowed: Collection[str] = ()) -> list[str]:
    """The paths that no step covers and nobody allowed, sorted."""
    return sorted({path for file in files for path in file.outside if path not in allowed})


def test_paths(plan: ChangePlan) -> list[str]:
    """The paths of the tests that a plan names."""
    named = (name.partition("::")[0].strip().removeprefix("./").rstrip("/") for name in plan.tests)
    return [path for path in named if path]


def is_pattern(step: str) -> bool:
    """Whether a step names a pattern: a few ``*`` or ``?``. With more of them it is a name, and covers that alone."""
    return 0 < step.count("*") + step.count("?") <= MOST_WILDCARDS and len(step) <= MOST_PATTERN_CHARACTERS


def _subjects(step: str) -> set[str]:
    """What a test of a file may be called after: the file, or its folder and the file."""
    stem, folder = _name(step)[0], _folder(step).rpartition("/")[2]
    if stem in NAMED_FOR_FOLDER:
        return {_plain(folder)} - {""}
    return {_plain(stem), _plain(folder + stem)} - {""}


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.casefold())


def _same_language(one: str, other: str) -> bool:
    return one == other or (one in SCRIPTS and other in SCRIPTS)


def _lock_names(manifest: str) -> tuple[str, ...]:
    if manifest.endswith((".csproj", ".fsproj", ".vbproj")):
        return ("packages.lock.json",)
    if re.fullmatch(r"[\w.-]*requirements[\w.-]*\.in", manifest):
        return (f"{manifest.removesuffix('.in')}.txt",)
    return LOCK_FILES.get(manifest, ())


def _is_empty_package_file(file: ChangedFile) -> bool:
    return file.status is FileStatus.ADDED and not file.added and not file.binary and file.path.endswith("/__init__.py")


def _folders(path: str) -> Iterator[str]:
    """Every folder that a path lies in, the nearest one first."""
    while path := path.rpartition("/")[0]:
        yield path


def _folder(path: str) -> str:
    return path.rpartition("/")[0]


def _name(path: str) -> tuple[str, str]:
    """The name of a file without its ending, and the ending."""
    stem, _, ending = path.rpartition("/")[2].rpartition(".")
    return (stem, ending.casefold()) if stem else (ending, "")
