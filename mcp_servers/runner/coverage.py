"""Coverage reports that checks leave behind (Cobertura XML, LCOV, Go), held against the lines that a change adds."""

import io
import re
import tarfile
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable

from contracts.change import FileStatus
from contracts.coverage import NAMED, ChangeCoverage
from contracts.gates import is_code
from mcp_servers.object_store import Mirror
from mcp_servers.runner.mutants import added_lines
from mcp_servers.runner.sandbox import Sandbox, StewardFailed, said

NAMES = ("coverage.xml", "cobertura.xml", "cobertura-coverage.xml", "lcov.info", "coverage.lcov", "coverage.out", "cover.out")
LARGEST = 16 << 20
"""Bytes of one report."""
MOST = 5
GO = re.compile(rb"^(?P<file>[^\s:]+):(?P<first>\d+)\.\d+,(?P<last>\d+)\.\d+ \d+ (?P<hits>\d+)$", re.MULTILINE)
Lines = dict[str, dict[int, bool]]
"""By path, which lines can run, and whether they did."""


async def coverage_in(sandbox: Sandbox, mirror: Mirror, base: str, commit: str) -> ChangeCoverage | None:
    """What the reports in a sandbox say of a change; None without any. Reports that the commit itself holds are none."""
    try:
        listed = (await said(sandbox.steward(_find()))).split(b"\0")
        paths = [path for raw in listed if (path := raw.decode("utf-8", "surrogateescape").removeprefix("./"))]
        paths = [path for path in sorted(paths)[:MOST] if mirror.entry(commit, path) is None]
        if not paths:
            return None
        packed = await said(sandbox.steward(("tar", "-cf", "-", "--no-recursion", "--", *(f"./{path}" for path in paths))))
    except StewardFailed:
        return None
    lines = lines_of(_unpacked(packed))
    return against(lines, mirror, base, commit, ", ".join(paths)) if lines else None


def lines_of(reports: Iterable[bytes]) -> Lines:
    """The lines of reports. One that cannot be read says nothing; a line that ran in one of them ran."""
    found: Lines = {}
    for content in reports:
        try:
            read = _reader(content)(content)
        except (ET.ParseError, ValueError, LookupError):
            continue
        for path, lines in read.items():
            known = found.setdefault(path, {})
            for line, ran in lines.items():
                known[line] = known.get(line, False) or ran
    return found


def against(lines: Lines, mirror: Mirror, base: str, commit: str, report: str) -> ChangeCoverage:
    """The numbers of a change."""
    changed, missed = 0, []
    for file in mirror.changed_files(base, commit):
        if file.status is FileStatus.DELETED or not is_code(file.path):
            continue
        known = _of(lines, file.path)
        wanted = added_lines(mirror.diff(base, commit, file.path, 0)) if known else frozenset()
        can_run = sorted(line for line in wanted if line in known)
        changed += len(can_run)
        missed += [f"{file.path}:{line}" for line in can_run if not known[line]]
    everything = [ran for one in lines.values() for ran in one.values()]
    return ChangeCoverage(
        report=report[:500], changed=changed, covered=changed - len(missed), missed=tuple(missed[:NAMED]),
        all_lines=len(everything), all_covered=sum(everything),
    )  # fmt: skip


def _of(lines: Lines, path: str) -> dict[int, bool]:
    """The lines of a file; reports name it from another folder, or by where it lies in the sandbox."""
    if path in lines:
        return lines[path]
    named = [one for one in lines if one.endswith(f"/{path}") or path.endswith(f"/{one}")]
    return lines[max(named, key=len)] if named else {}


def _find() -> tuple[str, ...]:
    names: list[str] = []
    for name in NAMES:
        names += ["-o", "-name", name]
    return ("find", ".", "-maxdepth", "4", "-name", "node_modules", "-prune", "-o", "-type", "f", "-size", f"-{LARGEST >> 10}k",
            "(", *names[1:], ")", "-print0")  # fmt: skip


def _unpacked(packed: bytes) -> list[bytes]:
    """The files of a tar that was made in a sandbox; only read, never laid anywhere."""
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        files = [archive.extractfile(member) for member in archive if member.isreg() and member.size <= LARGEST]
        return [file.read() for file in files if file is not None]


def _reader(content: bytes) -> Callable[[bytes], Lines]:
    if content.lstrip()[:1] == b"<":
        return _cobertura
    return _go if content.startswith(b"mode:") else _lcov


def _cobertura(content: bytes) -> Lines:
    if b"<!ENTITY" in content:
        raise ValueError("a report has no entities of its own")
    found: Lines = {}
    for part in ET.fromstring(content).iter("class"):  # noqa: S314 - entities are refused above; nothing is fetched
        known = found.setdefault(part.attrib["filename"].removeprefix("./"), {})
        for line in part.iter("line"):
            number = int(line.attrib["number"])
            known[number] = known.get(number, False) or int(line.attrib["hits"]) > 0
    return found


def _lcov(content: bytes) -> Lines:
    found: Lines = {}
    known: dict[int, bool] = {}
    for line in content.decode("utf-8", "replace").splitlines():
        if line.startswith("SF:"):
            known = found.setdefault(line[3:].strip().removeprefix("./").removeprefix("/work/"), {})
        elif line.startswith("DA:"):
            number, hits, *_ = line[3:].split(",")
            known[int(number)] = known.get(int(number), False) or int(hits) > 0
    return found


def _go(content: bytes) -> Lines:
    found: Lines = {}
    for match in GO.finditer(content):
        known = found.setdefault(match["file"].decode("utf-8", "replace"), {})
        for number in range(int(match["first"]), min(int(match["last"]), int(match["first"]) + 5_000) + 1):
            known[number] = known.get(number, False) or int(match["hits"]) > 0
    return found
