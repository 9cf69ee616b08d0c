"""Which tests a change removes, skips or loosens, and which lines of what runs them ignore failures now."""

import re
from collections.abc import Iterator, Mapping

from contracts.change import ChangedFile
from contracts.gates import is_test
from contracts.loosening import Loosening, LooseningKind, Loosenings
from mcp_servers.code_search.cases import Case, cases_of
from mcp_servers.code_search.weaker import weaker
from mcp_servers.object_store import Mirror

Tests = Mapping[str, Mapping[str, Case]]
"""Tests by the path of their file and their name."""
WHOLE = "the file"
"""Stands for all tests of a file without a known structure."""
LARGEST = 4 << 20
"""Bytes of a file that is looked at."""
RUNS_TESTS = re.compile(
    r"(^|/)(Makefile|GNUmakefile|justfile|noxfile\.py|tox\.ini|setup\.cfg|pyproject\.toml|pytest\.ini|\.coveragerc|package\.json"
    r"|conftest\.py|(jest|vitest|karma|mocha|playwright|cypress)[\w.-]*|\.mocharc[\w.]*|\.nycrc[\w.]*|build\.gradle(\.kts)?"
    r"|pom\.xml|codecov\.ya?ml|\.codecov\.ya?ml|\.gitlab-ci\.yml|Taskfile\.ya?ml)$|(^|/)\.github/workflows/|(^|/)(ci|tests?)/[^/]+\.sh$",
    re.IGNORECASE,
)
"""Files that say how tests run."""
IGNORES = re.compile(
    r"\|\|\s*(true|:|exit\s+0)(?![\w-])|;\s*(true|exit\s+0)\s*[\"']?,?$|--exit-zero\b|--passWithNoTests\b|--deselect\b"
    r"|continue-on-error:\s*true|allow_failure:\s*true|ignoreFailures\s*+=?\s*+true|testFailureIgnore>\s*true|-DskipTests\b"
    r"|maven\.test\.skip|xfail_strict\s*=\s*(false|False)|testPathIgnorePatterns|^\s*-(?=\s*\S*(pytest|test|jest|go test))"
    r"|\.add_marker\(\s*(?:pytest\.)?(?:mark\.)?(?:skip|xfail)|\bitems\.clear\(\)|\bitems\[:\]\s*=|\bsession\.exitstatus\s*="
    r"|collect_ignore|--ignore(-glob)?[= ]\S+|set \+e"
)
SWITCHES_OFF = re.compile(
    r"#\[(?:ignore|should_panic|cfg\((?:any\(\)|FALSE|never))|//\s?(?:go:build|\+build)\s{1,3}(?:ignore|never|none|disabled)\b"
    r"|(?:xit|xdescribe|xcontext|xspecify|xexample|pending|skip)\b\s?[(\"'](?!.*:\s)|(?:pending|skip)$"
)
"""Marks by which whole tests or files are passed over."""
THRESHOLD = re.compile(
    r"""["']?(?P<key>fail[_-]under|cov-fail-under|branches|functions|lines|statements|minimum|threshold|target|min_coverage)["']?"""
    r"(?:\s*+[:=>]\s*+|\s++)[\"']?(?P<value>\d+(\.\d+)?)",
    re.IGNORECASE,
)


def loosened(mirror: Mirror, base: str, commit: str) -> Loosenings:
    """What a change asks less of than its base did. Moved and renamed tests count only where they assert less."""
    files = mirror.changed_files(base, commit)
    before = _cases(mirror, base, [file.old_path or file.path for file in files])
    after = _cases(mirror, commit, [file.path for file in files])
    found = [one for path, cases in before.items() for one in _of_file(path, _renamed(path, files), cases, before, after)]
    found += [one for file in files if RUNS_TESTS.search(file.path) for one in _of_lines(mirror, base, commit, file)]
    found += [one for file in files if is_test(file.path) for one in _of_marks(mirror, base, commit, file)]
    return Loosenings(found=tuple({one.fingerprint: one for one in found}.values()))


def _cases(mirror: Mirror, revision: str, paths: list[str]) -> dict[str, dict[str, Case]]:
    """The tests of every test file by path. A file without a known structure counts as one test."""
    found: dict[str, dict[str, Case]] = {}
    for path in dict.fromkeys(paths):
        entry = mirror.entry(revision, path)
        if not is_test(path) or entry is None or not entry.is_file or mirror.size(entry.oid) > LARGEST:
            continue
        cases = cases_of(path, mirror.read(entry.oid))
        found[path] = {WHOLE: Case()} if cases is None else cases
    return found


def _renamed(path: str, files: list[ChangedFile]) -> str:
    return next((file.path for file in files if file.old_path == path), path)


def _of_file(path: str, now: str, cases: Mapping[str, Case], before: Tests, after: Tests) -> Iterator[Loosening]:
    here = after.get(now, {})
    for name, case in cases.items():
        kept = here.get(name) or _moved(name, before, after) or _under_another_name(case, cases, here)
        if kept is None:
            yield Loosening(kind=LooseningKind.REMOVED, path=path, name=name)
        elif kept.skipped and not case.skipped:
            yield Loosening(kind=LooseningKind.SKIPPED, path=path, name=name)
        elif (fewer := _fewer(case, kept) or weaker(case.asserts, kept.asserts)) is not None:
            yield Loosening(kind=LooseningKind.FEWER_ASSERTS, path=path, name=name, detail=fewer)


def _moved(name: str, before: Tests, after: Tests) -> Case | None:
    """The test of that name in a file that did not have it before."""
    if name == WHOLE:
        return None
    return next((cases[name] for path, cases in after.items() if name in cases and name not in before.get(path, {})), None)


def _under_another_name(case: Case, before: Mapping[str, Case], here: Mapping[str, Case]) -> Case | None:
    """A new test of the file that asserts all that a vanished one did."""
    if not case.asserts:
        return None
    return next((new for name, new in here.items() if name not in before and case.asserts <= new.asserts), None)


def _fewer(case: Case, kept: Case) -> str | None:
    """How many asserts are left, where they are fewer; one assert of a test that repeats itself may stand for many."""
    had, has = case.asserts.total(), kept.asserts.total()
    return f"{had} before, {has} now" if has < had and not (has and kept.repeats and not case.repeats) else None


def _of_lines(mirror: Mirror, base: str, commit: str, file: ChangedFile) -> Iterator[Loosening]:
    before, after = _before_and_after(mirror, base, commit, file)
    known = frozenset(before)
    for line in after:
        if line not in known and IGNORES.search(line) and not line.startswith(("#", "//")):
            yield Loosening(kind=LooseningKind.FAILURE_IGNORED, path=file.path, name=line[:200])
    was, now = _thresholds(before), _thresholds(after)
    for key, value in was.items():
        if now.get(key, 0.0) < value:
            left = f"{now[key]:g}" if key in now else "none"
            yield Loosening(kind=LooseningKind.LOWER_THRESHOLD, path=file.path, name=key, detail=f"{value:g} before, {left} now")


def _of_marks(mirror: Mirror, base: str, commit: str, file: ChangedFile) -> Iterator[Loosening]:
    """Lines of a test file that switch tests off, where its language has no structure that we know or the file is meant."""
    before, after = _before_and_after(mirror, base, commit, file)
    if not before or re.search(r"\.(?:py|[cm]?[jt]sx?)$", file.path):
        return  # new files switch nothing off, and of these languages each test is known
    known = frozenset(before)
    for line in after:
        if line not in known and SWITCHES_OFF.match(line):
            yield Loosening(kind=LooseningKind.SKIPPED, path=file.path, name=line[:200])


def _before_and_after(mirror: Mirror, base: str, commit: str, file: ChangedFile) -> tuple[list[str], list[str]]:
    """The lines of a file, without what they begin and end with."""
    return _lines(mirror, base, file.old_path or file.path), _lines(mirror, commit, file.path)


def _thresholds(lines: list[str]) -> dict[str, float]:
    return {found["key"].lower(): float(found["value"]) for line in lines for found in THRESHOLD.finditer(line)}


def _lines(mirror: Mirror, revision: str, path: str) -> list[str]:
    entry = mirror.entry(revision, path)
    if entry is None or not entry.is_file or mirror.size(entry.oid) > LARGEST:
        return []
    return [line.strip() for line in mirror.read(entry.oid).decode("utf-8", "replace").splitlines()]
