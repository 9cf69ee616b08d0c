"""What matters of a job's log: the end of the step that failed, lines that tell of errors, and which tests they were.

Logs come from outside: megabytes, with colours, progress bars and the marks of the system that ran the job.
"""

import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

JOB_CHARACTERS = 8_000
"""Of one job's log, at most."""
LINE_CHARACTERS = 400
BEFORE, AFTER = 2, 6
"""Lines shown around one that tells of an error."""
TAIL_SHARE = 0.4
"""Of the room, for the end of the step."""
GAP_CHARACTERS = 18
"""What a word about lines that are left out takes at most."""
MOST_TESTS = 200
TEST_LINE = 1_000
"""A longer line names no test."""

ESCAPES = re.compile(
    r"\x1b(?:\][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)?|\[[0-?]{0,40}[ -/]{0,8}[@-~]?"
    r"|[()*+#%-/][0-9A-Za-z@]?|[@-Z\\-_a-z0-9=>])?"
)
"""Terminal control: OSC, CSI, and what is shorter."""
UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
STAMP = re.compile(r"^\ufeff?\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z(?: [0-9a-f]{2}[OE][ +]?)? ?")
"""GitHub's time before each line; GitLab's with the stream behind it."""
SECTION = re.compile(r"section_(start|end):\d+:([\w.-]+)(?:\[[^\]\n]*\])?")
MARK = re.compile(r"^##\[(\w+)\]|^::(\w+)(?: [^:\n]*)?::")
"""Marks of GitHub's runner: in the log, and as workflow commands."""
SILENT = ("endgroup", "debug", "add-mask", "stop-commands", "set-output", "save-state", "add-matcher", "remove-matcher")

SCRIPTS = ("step_script", "build_script")
"""Sections of GitLab's that hold what the job itself does."""
STRONG = re.compile(
    r"^E\s{2,}|^\s*(?:FAILED|ERROR) \S|^\s*--- FAIL:|^FAIL\b|^\s+✕|^\s*● |^not ok \d|^\s*✗|^\s*×"
    r"|^error(?:\[E\d+\])?:|\berror TS\d+:|^\S+:\d+(?::\d+)?:? (?:fatal )?error\b|^\s+\d+:\d+\s+error\s|^\[ERROR\]"
    r"|^thread '.*' panicked|^panic: |^Traceback \(most|^\s*[\w.$]*(?:Error|Exception)\b|^test .* \.\.\. FAILED$|^ERROR(?:: | \[)"
    r"|^(?:npm|yarn|pnpm) ERR!|^npm error|^FATAL|^fatal: |^##\[error\]|^make(?:\[\d+\])?: \*\*\*|AssertionError|^Error: ",
)
"""What test runners, compilers and tools write where something failed."""
WEAK = re.compile(
    r"\b(?:errors?|failed|failures?|fatal|cannot|could not|denied|refused|not found|timed out|killed)\b", re.IGNORECASE
)
FAILED_TESTS = (
    re.compile(r"^(?:FAILED|ERROR) (\S+::\S+|\S+\.py)"),  # pytest
    re.compile(r"^\s*--- FAIL: (\S+)"),  # go test
    re.compile(r"^test (\S+(?: - \S.*?)?) \.\.\. FAILED$"),  # cargo
    re.compile(r"^\s+● (.+ › .+?)$|^  ● (\S.{0,200})$"),  # jest
    re.compile(r"^(?:FAIL|❯)\s+(\S+\.(?:[cm]?[jt]sx?))\b"),  # jest, vitest: the file
    re.compile(r"^not ok \d+ -? ?(\S.{0,200}?)(?: #.*)?$"),  # TAP
    re.compile(r"^\[ERROR\]\s+(?:Tests run:.*<<< (?:FAILURE|ERROR)!.*in )?((?:[\w$]+\.)+[\w$]+)(?::\d+|--| |$)"),  # maven
    re.compile(r"^(\S+) > (\S.*) FAILED$"),  # gradle
)
TELLS_NOTHING = re.compile(r"^(?:Post job cleanup|Cleaning up|Uploading artifacts|Complete job|Evaluate and set job outputs)\b")


@dataclass(frozen=True, slots=True)
class Step:
    """A part of a job, as the system that ran it marks them."""

    name: str
    lines: tuple[str, ...]
    failed: bool = False


def plain_lines(text: str) -> list[str]:
    """The lines as a terminal would show them: no colours, no times, a progress bar's last state; the runner's marks stay."""
    return [_shown(line) for line in text.split("\n")]


def what_matters(text: str, limit: int = JOB_CHARACTERS) -> str:
    """The part of a log that tells why the job failed, at most ``limit`` characters; what is left out is said."""
    step = failing_step(steps(plain_lines(text)))
    lines = _collapsed([line[:LINE_CHARACTERS] + "…" * (len(line) > LINE_CHARACTERS) for line in step.lines])
    head = f"[{step.name}]\n" if step.name else ""
    return (head + _within(lines, max(0, limit - len(head))))[:limit]


def failed_tests(text: str) -> frozenset[str]:
    """The names of failed tests that a log tells of; empty where it is no test's log, or nobody knows its form."""
    found: set[str] = set()
    for line in plain_lines(text):
        for form in FAILED_TESTS:
            if len(line) <= TEST_LINE and (match := form.match(_unmarked(line))):
                found.add(" ".join(" > ".join(group for group in match.groups() if group).split())[:300])
                break
        if len(found) == MOST_TESTS:
            break
    return frozenset(found)


def steps(lines: Sequence[str]) -> list[Step]:
    """The steps of a job. A log without marks is one step."""
    found: list[Step] = []
    name, kept, failed = "", [], False

    def ended() -> None:
        if any(line.strip() for line in kept):
            found.append(Step(name, tuple(kept), failed))

    for line in lines:
        section = SECTION.search(line)
        begins = section[2] if section and section[1] == "start" else _group_of(line)
        if begins or TELLS_NOTHING.match(line):
            ended()
            name, kept, failed = begins or "", [], False
            if section or begins:
                continue
        if (told := _told(SECTION.sub("", line))) is not None:
            kept.append(told)
        failed = failed or line.startswith("##[error]")
    ended()
    return found


def failing_step(found: Sequence[Step]) -> Step:
    """The step that made the job fail, else the whole job."""
    if failed := next((step for step in found if step.failed), None):
        return failed
    scripts = [step for step in found if step.name in SCRIPTS]
    if scripts:
        return scripts[-1]
    return Step("", tuple(line for step in found for line in step.lines))


def _shown(line: str) -> str:
    line = STAMP.sub("", line.rstrip("\r"))
    if "\x1b" in line:
        line = ESCAPES.sub("", line)
    if "\r" in line:
        states = [state for state in line.split("\r") if state.strip()]
        marks = [state for state in states if SECTION.search(state)]
        line = " ".join(dict.fromkeys([*marks, *states[-1:]]))
    return UNSEEN.sub("", STAMP.sub("", line)).rstrip()


def _group_of(line: str) -> str:
    """The name of a step of GitHub's; other groups are parts of one."""
    return line.removeprefix("##[group]").strip()[:200] if line.startswith("##[group]Run ") else ""


def _told(line: str) -> str | None:
    """A line without the runner's mark; None for one that is nothing but a mark."""
    mark = MARK.match(line)
    if mark is None:
        return line
    kind, text = mark[1] or mark[2], line[mark.end() :]
    if kind in SILENT:
        return None
    return f"{kind}: {text}" if kind in ("error", "warning", "notice") else text


def _unmarked(line: str) -> str:
    mark = MARK.match(line)
    return line[mark.end() :] if mark else line


def _collapsed(lines: Iterable[str]) -> list[str]:
    """Lines without many repetitions in a row, and without runs of empty ones."""
    kept: list[str] = []
    for line, alike in itertools.groupby(lines):
        times = len(list(alike))
        kept.append(line)
        if line and times == 2:
            kept.append(line)
        elif line and times > 2:
            kept.append(f"(the same line {times - 1} more times)")
    return kept


def _within(lines: list[str], limit: int) -> str:
    """The lines, where they are too many: the end, and what tells of errors, in their order."""
    while lines and not lines[-1].strip():
        lines.pop()
    whole = "\n".join(lines).strip("\n")
    if len(whole) <= limit:
        return whole
    chosen: set[int] = set()
    room = _take(lines, range(len(lines) - 1, -1, -1), int(limit * TAIL_SHARE), chosen)
    room += limit - int(limit * TAIL_SHARE)
    for form in (STRONG, WEAK):
        for number, line in enumerate(lines):
            if room > 0 and number not in chosen and form.search(line):
                room = _take(lines, _around(number, len(lines)), room, chosen)
    return _joined(lines, sorted(chosen))[:limit]


def _around(number: int, count: int) -> list[int]:
    """The line itself first: it is what must not be missing."""
    after, before = range(number + 1, min(count, number + AFTER + 1)), range(number - 1, max(-1, number - BEFORE - 1), -1)
    return [number, *after, *before]


def _take(lines: Sequence[str], numbers: Iterable[int], room: int, chosen: set[int]) -> int:
    """Choose lines as long as there is room, each with some for the word about what is left out; what is left of it."""
    for number in numbers:
        if number in chosen:
            continue
        cost = len(lines[number]) + GAP_CHARACTERS
        if cost > room:
            return room
        chosen.add(number)
        room -= cost
    return room


def _joined(lines: Sequence[str], chosen: Sequence[int]) -> str:
    told: list[str] = []
    last = -1
    for number in chosen:
        if gap := number - last - 1:
            told.append(f"… {gap} lines")
        told.append(lines[number])
        last = number
    return "\n".join(told)
