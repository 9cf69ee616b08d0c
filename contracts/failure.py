"""Failures in what a test run printed: which test, which error, what it said and where; and reds that show nothing of a test.

Read by pattern, for pytest, unittest, node, jest, vitest, mocha, Go, Rust and Java. A runner that prints none of this leaves
the check as a whole.
"""

import re
from collections.abc import Iterator
from itertools import islice

from contracts.word import Word

MOST = 60
"""Failures kept of one run."""
LONGEST = 300
"""Characters of a normalised message."""
LARGEST = 1 << 20
"""Characters of output that are looked through, from its end."""
LONGEST_LINE = 600
"""Characters of a line that are looked at: what tests print must not make us slow."""
ERROR = re.compile(
    r"^(?:[ \t>#|│]|E(?=[ \t]))*+(?:Uncaught |uncaughtException: |Caused by: |error: ['\"]?)?(?:[a-z_$][\w$]*\.)*"
    r"(?P<type>[A-Z]\w*(?:Error|Exception|Warning|Failure|Exit|Interrupt|Panic|Timeout)|Failed|panic|failure)"
    r"(?: \[\w+\])?(?: \[recovered\])?(?::[ \t]*(?P<message>[^\n]*))?[ \t]*$",
    re.MULTILINE,
)
PYTEST = re.compile(r"^(?:FAILED|ERROR) (?P<test>\S+?\.\w+(?:::[^\n]*?)?)(?: - (?P<said>[^\n]*))?$", re.MULTILINE)
PYTEST_SECTION = re.compile(r"^_{3,}+ (?:ERROR (?:collecting|at \w+ of) )?(?P<test>[^\n]+?) _{3,}$", re.MULTILINE)
UNITTEST = re.compile(r"^(?:FAIL|ERROR): (?P<name>\S+) \((?P<test>[^)\n]+)\)", re.MULTILINE)
SECTIONS = (
    re.compile(r"^[ \t]*not ok \d+ -? ?(?P<test>[^\n#]+?)(?: # [^\n]*)?$", re.MULTILINE),
    re.compile(r"^[ \t]*✖ (?P<test>[^\n]+?)(?: \([\d.]+ ?m?s\))?$", re.MULTILINE),
    re.compile(r"^[ \t]*● (?P<test>[^\n]+ › [^\n]+|[^\n›]+)$", re.MULTILINE),
    re.compile(r"^[ \t]*(?:⎯+ ?)?FAIL[ \t]+(?P<test>\S+ > [^\n]+?)(?: ⎯+)?$", re.MULTILINE),
    re.compile(r"^[ \t]*--- FAIL: (?P<test>\S+)", re.MULTILINE),
    re.compile(r"^---- (?P<test>\S+) stdout ----$", re.MULTILINE),
    re.compile(r"^\[ERROR\][ \t]+(?P<test>\w[\w.$]*\.\w+):\d+", re.MULTILINE),
)
FRAME = re.compile(
    r'File "(?P<file>[^"\n]+)", line \d+, in (?P<where>[\w<>.]+)|^(?P<path>[\w./-]+\.py):\d+: (?:in (?P<def>\w+)|\w)'
    r"|^[ \t]+(?:at )?(?:async )?(?P<js>[\w.$<>]+) \((?:file://)?(?P<at>[^)\n]+?):\d+:\d+\)",
    re.MULTILINE,
)
FOREIGN = re.compile(r"(^|/)(site-packages|dist-packages|node_modules|lib/python\d)|^node:|^<frozen|/unittest/")
PYTEST_END = re.compile(r"^(?P<file>[\w./-]+\.py):\d+: (?P<type>[A-Z]\w*)$", re.MULTILINE)
PYTEST_SAID = re.compile(r"^E   +(?:(?:\w+\.)*(?P<type>[A-Z]\w*): )?(?P<message>[^\n]+)$", re.MULTILINE)
TAP_TYPE = re.compile(r"^[ \t]+name: '?(?P<type>\w+)'?$", re.MULTILINE)
TAP_SAID = re.compile(r"^[ \t]+error: (?:[|>]-?\n)?(?P<message>[^\n]+)", re.MULTILINE)
RUST_SAID = re.compile(r"panicked at (?P<frame>[\w./-]+):\d+:\d+:\n(?P<message>[^\n]+)")
GO_SAID = re.compile(r"^[ \t]+(?P<frame>[\w./-]+_test\.go):\d+: (?P<message>[^\n]+)", re.MULTILINE)
VANISHING = (
    (re.compile(r"0x[0-9a-fA-F]+"), "0x…"),
    (re.compile(r"(?:/tmp|/var/folders|/work)/[\w./-]*"), "…"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{17,}\b"), "…"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?"), "…"),
    (re.compile(r"(?<!\d)\d++\.\d++ ?m?s\b"), "…"),
    (re.compile(r"\d{5,}"), "#"),
)
"""What differs from run to run and says nothing."""
BROKEN_TYPES = frozenset({"ImportError", "ModuleNotFoundError", "SyntaxError", "IndentationError", "TabError", "CollectError"})
BROKEN = re.compile(
    r"ERROR collecting |errors? during collection|^ERROR [^\n:]+\.py( - |$)|fixture '[^'\n]+' not found|_FailedTest|"
    r"Cannot find module|ERR_MODULE_NOT_FOUND|Test suite failed to run|\[(build|setup) failed\]|error TS\d+:|"
    r"could not compile `|COMPILATION ERROR|^no tests ran|collected 0 items|[Ss]yntax error[: ]",
    re.MULTILINE,
)
"""Output of a run that came to no test."""
NEVER_RAN = {124: "its time was up", 126: "its command cannot be run", 127: "its command was not found"}
"""By exit code."""


class Failure(Word):
    """One failed test, as its run told it. Two runs of the same failure have the same words."""

    test: str = ""
    """As the runner names it."""
    error: str = ""
    """Type of the error, without its module; empty where none was told."""
    message: str = ""
    """What it said, without what differs from run to run."""
    frame: str = ""
    """The innermost place in the project's own files, ``file:function``."""

    @property
    def text(self) -> str:
        """The error in one line."""
        said = ": ".join(filter(None, (self.error, self.message))) or "an unnamed failure"
        return f"{said} (in {self.frame})" if self.frame else said

    @property
    def broken(self) -> bool:
        """Whether the test itself could not be read or loaded: that shows nothing of what it tests."""
        return self.error in BROKEN_TYPES or "_FailedTest" in self.test or bool(BROKEN.search(self.message))


def failures_in(output: str) -> tuple[Failure, ...]:
    """The failed tests of a run by name, in the order they were told; empty where the runner is none of those known."""
    text = _readable(output)
    found: dict[str, Failure] = {}
    for failure in (*_of_pytest(text), *_of_unittest(text), *_of_others(text)):
        if failure.test not in found or not found[failure.test].error:
            found[failure.test] = failure
    return tuple(list(found.values())[:MOST])


def told_in(output: str) -> tuple[Failure, ...]:
    """What a red run told: its failed tests, or where none is named one failure of the check as a whole."""
    if named := failures_in(output):
        return named
    error, message = [("", ""), *errors_in(_readable(output))][-1]
    return (_failure("", error, message, _readable(output)),)


def why_broken(exit_code: int, output: str) -> str:
    """Why a red run came to no test at all, in a few words; empty where its tests ran."""
    if exit_code in NEVER_RAN:
        return NEVER_RAN[exit_code]
    text = _readable(output)
    match = BROKEN.search(text)
    if match is None:
        return ""
    line = text[match.start():].partition("\n")[0]
    return f"its tests could not be loaded ({normalised(line)[:120]})"


def normalised(message: str) -> str:
    """A message without addresses, times and temporary paths, on one line."""
    message = message[: 10 * LONGEST]
    for pattern, instead in VANISHING:
        message = pattern.sub(instead, message)
    return " ".join(message.split())[:LONGEST]


def errors_in(text: str) -> Iterator[tuple[str, str]]:
    """Type and message of every error that a text tells on a line of its own."""
    for match in ERROR.finditer(text):
        yield match["type"], match["message"] or ""


def frames_in(text: str) -> list[str]:
    """The places in the project's own files that a text's tracebacks name, as ``file:function``, the innermost last."""
    frames: list[str] = []
    for match in FRAME.finditer(text):
        file, where = match["file"] or match["path"] or match["at"], match["where"] or match["def"] or match["js"] or ""
        if FOREIGN.search(file):
            continue
        # JavaScript tells the innermost place first, Python last.
        place = f"{file.removeprefix('/work/')}:{where}".rstrip(":")
        frames.insert(0, place) if match["at"] else frames.append(place)
    return frames


def _readable(output: str) -> str:
    return "\n".join(line[:LONGEST_LINE] for line in output[-LARGEST:].splitlines())


def _failure(test: str, error: str, message: str, section: str) -> Failure:
    frames = frames_in(section)
    return Failure(test=test[:LONGEST], error=error, message=normalised(message), frame=frames[-1][:LONGEST] if frames else "")


def _of_pytest(text: str) -> Iterator[Failure]:
    sections = {_last_name(name): section.partition("\n=")[0] for name, section in _sections(PYTEST_SECTION, text)}
    for match in islice(PYTEST.finditer(text), MOST * 5):
        # Each is told by its own section; a second failure of that name is not worth reading it all again.
        section = sections.pop(_last_name(match["test"]), "")
        said, ends = PYTEST_SAID.search(section), list(PYTEST_END.finditer(section))
        summary = next(errors_in(match["said"] or ""), ("", match["said"] or ""))
        message = said["message"] if said else summary[1]
        error = (said["type"] if said else "") or (ends[-1]["type"] if ends else "") or summary[0]
        error = error or ("AssertionError" if message.startswith("assert") else "")
        yield _failure(match["test"], error, message, section)


def _last_name(test: str) -> str:
    return re.split(r"::|\.(?=\w+(?:\[|$))", test.strip())[-1]


def _of_unittest(text: str) -> Iterator[Failure]:
    for match, section in _matches(UNITTEST, text):
        name, within = match["name"], match["test"]
        test = within if within.endswith(name) else f"{within}.{name}"
        section = section.partition("\n======")[0].partition("\nRan ")[0]
        # The error stands at the end, below its traceback; what a test printed before it does not count.
        yield _failure(test, *([("", ""), *errors_in(section)][-1]), section)


def _of_others(text: str) -> Iterator[Failure]:
    for pattern in SECTIONS:
        for match, section in _matches(pattern, text):
            error, message = next(errors_in(section), ("", ""))
            if (named := TAP_TYPE.search(section)) and (said := TAP_SAID.search(section)):
                error, message = named["type"], said["message"].strip().strip("'\"")
            failure = _failure(match["test"], error, message, section)
            if not error and (said := GO_SAID.search(section) or RUST_SAID.search(section)):
                error = "panic" if said.re is RUST_SAID else ""
                told = {"error": error, "message": normalised(said["message"]), "frame": said["frame"]}
                failure = failure.model_copy(update=told)
            yield failure


def _sections(pattern: re.Pattern[str], text: str) -> Iterator[tuple[str, str]]:
    return ((match["test"], section) for match, section in _matches(pattern, text))


def _matches(pattern: re.Pattern[str], text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Each heading with what stands below it, up to the next one."""
    found = list(pattern.finditer(text))[:MOST * 5]
    ends = [match.start() for match in found[1:]] + [len(text)]
    for match, end in zip(found, ends, strict=False):
        yield match, text[match.end():end]
