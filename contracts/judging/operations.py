"""Gates on what a change would do beyond the code itself: each is refused, or asks a person, as the policy says."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from contracts.judging.difference import Difference, Touched, text_of
from contracts.judging.finding import Finding, OperationKind, operation_found
from contracts.judging.guarded_paths import guarded_as
from contracts.judging.operation_rules import DOCUMENTS, LINE_RULES, RUN_TEXT
from contracts.judging.package_json import package_json_findings
from contracts.judging.pieces import pieces
from contracts.judging.steps import steps
from contracts.judging.tool_rules import TOOL_RULES

MOST_OF_A_RULE = 20
"""Findings of one rule in one file. More than that nobody can allow: what is not shown could not be answered for."""
LIFECYCLE = re.compile(
    r"(?:pre|post)?(?:install|uninstall|prepare|publish|pack|version)|prepublishOnly|dependencies"
    r"|preprepare|postprepare|(?:pre|post)-(?:install|update|autoload)-\w*|post-\w+-cmd|pre-\w+-cmd"
)
LONGEST = 4_000
"""Characters of a line that are looked at once; a longer one is looked at in pieces."""
SHARED = 1_000
"""Characters that two such pieces share: no rule reaches further."""
BLANKS = re.compile(r"(?<!\s)\s{100,}")
"""What only moves the rest of a line out of sight."""
START = r"^[^\S\n]*+"
"""The beginning of a line, for a search in many of them."""


def _all(*patterns: str) -> Sequence[re.Pattern[str]]:
    return tuple(re.compile(pattern, re.MULTILINE) for pattern in patterns)


CONTENT: Sequence[tuple[OperationKind, Sequence[re.Pattern[str]], str]] = (
    (
        OperationKind.INFRASTRUCTURE,
        _all(START + r"[\"']?apiVersion[\"']?\s*+:", START + r"[\"']?kind[\"']?\s*+:"),
        "it is a manifest of Kubernetes",
    ),
    (OperationKind.INFRASTRUCTURE, _all(r"AWSTemplateFormatVersion|AWS::Serverless-"), "it is a template of CloudFormation"),
    (
        OperationKind.INFRASTRUCTURE,
        _all(START + r"-?[^\S\n]*+hosts\s*+:", START + r"(?:tasks|roles)\s*+:"),
        "it is a playbook of Ansible",
    ),
    (OperationKind.CI, _all(START + r"runs-on\s*+:", START + r"steps\s*+:"), "it is a workflow of CI"),
)
"""What a file is in which each of the patterns is found."""
HIDING = re.compile(
    r"(?<!\S)(?:-?filter|merge|diff|working-tree-encoding|export-subst|export-ignore|ident"
    r"|encoding|conflict-marker-size)(?:=\S+)?(?!\S)|-diff(?!\S)|linguist-(?:generated|vendored)(?!=false)"
    r"|gitlab-generated"
)
VERSION = re.compile(
    r'"[@\w./-]{1,100}"\s{0,3}:\s{0,3}"(?:[\^~<>=v]{0,2}\s?\d[^"\n:;&|]{0,60}|\*|latest|next|workspace:[^"\n;&|]{0,30})"'
)
"""A package with its version: its name does nothing."""
HIDES_CODE = re.compile(
    r"\S{0,200}(?:\*|/|\.(?:py|[cm]?[jt]sx?|go|rs|java|kt|rb|php|cs?|cc|cpp|h|hpp|swift|sh|sql|vue|ya?ml))\s(?:[^\n]{0,200}\s)?"
    r"(?:binary|-text|linguist-documentation(?!=false))(?!\S)"
)
"""Code that is shown as what nobody compares."""
HIDDEN_ANYWAY = re.compile(
    r"(?i)^(?=\S*(?:lock|\.snap|\.min\.|\.svg|\.sum|generated|vendor|dist|\.map|\.pb\.|_pb2|\.ipynb"
    r"|\.csv|\.pdf|\.png|\.json))\S++\s"
)
IGNORES = re.compile(
    r"/?(?:\*{1,2}(?:/\*{0,2})?|\.\*|\.?/|tests?/?|__tests__/?|spec/?|src/?|lib/?|\.github/?"
    r"|\.gitlab[^/]*/?|\*\*?/?\*?\.(?:py|[jt]sx?|go|rs|java|c|cc|cpp|h|rb|php|kt|cs|sh|sql))(?:\*{1,2})?"
)
SHOWS = re.compile(
    r"^!.*(?:\.env|\.pem|\.key|\.p12|\.pfx|id_rsa|id_ed25519|secret|credential|\.git(?:/|$)|\.npmrc|\.pypirc|\.netrc)"
)


def operation_findings(difference: Difference) -> Iterator[Finding]:
    """Every operation of a change, but for files that are guarded by their name."""
    for touched in difference:
        if not touched.is_text:
            continue
        name = touched.name.rpartition("/")[2].casefold()
        if name == ".gitattributes":
            yield from _attributes(touched)
        elif name == ".gitignore":
            yield from _ignores(touched)
        if name in ("package.json", "composer.json"):
            yield from _lifecycle(touched)
            yield from package_json_findings(touched)
        if name.endswith(".ipynb"):
            yield from _in_cells(touched)
        if runs(touched):
            yield from _by_line(touched)
            yield from _in_steps(touched)
        if guarded_as(touched.name) is None and name.endswith((".yml", ".yaml", ".json")):
            yield from _by_content(touched)


def runs(touched: Touched) -> bool:
    """Whether anybody could run the file; what is only read, may show whatever it likes."""
    if RUN_TEXT.search(touched.name):
        return True
    content = touched.new.content if touched.new else None
    return not DOCUMENTS.search(touched.name) or bool(content and content.startswith(b"#!"))


def _in_cells(touched: Touched) -> Iterator[Finding]:
    """The rules on lines, for those cells of a notebook that are new."""
    old, new = (_cells(side.content if side else None) for side in (touched.before, touched.new))
    known = set(old)
    code = "\n".join(cell for cell in new if cell not in known).encode()
    if touched.new is not None and code:
        script = replace(touched, path=touched.path + b".py", old=None, origin=None, new=replace(touched.new, content=code))
        for found in _by_line(script):
            yield found.model_copy(update={"path": touched.shown, "line": 0})


def _cells(content: bytes | None) -> list[str]:
    """The code of a notebook, cell by cell."""
    try:
        cells = json.loads(text_of(content or b"{}")).get("cells", [])
        return ["".join(cell["source"]) for cell in cells if cell.get("cell_type") == "code"]
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError):
        return []


def _by_line(touched: Touched) -> Iterator[Finding]:
    lines = [(number, line, line.lower()) for number, line in _logical_lines(touched)]
    if touched.name.endswith(("package.json", "composer.json")):
        lines = [(number, VERSION.sub('""', line), low) for number, line, low in lines]
    whole = "\n".join(low for _, _, low in lines)
    for rule in (*LINE_RULES, *TOOL_RULES):
        if not rule.files.search(touched.name) or (rule.signs and not any(sign in whole for sign in rule.signs)):
            continue
        hits = ((number, line) for number, line, low in lines if rule.told_by(line, low))
        for number, line in islice(hits, MOST_OF_A_RULE):
            yield _finding(touched, rule.rule, rule.kind, number, line, rule.problem, rule.remedy)
        if (further := next(hits, None)) is not None:
            yield Finding(
                rule="size.operations",
                path=touched.shown,
                line=further[0],
                problem=f"It has more than {MOST_OF_A_RULE} lines of the kind {rule.rule}.",
                remedy="Take them out, or spread them over several changes, so that a person can answer for each.",
            )


def _logical_lines(touched: Touched) -> Iterator[tuple[int, str]]:
    """The added lines, those that go on after a backslash or a pipe put together, and long ones in pieces."""
    begun, parts = 0, list[str]()
    for number, line in touched.added:
        plain = line
        if parts:
            plain = " " + plain.strip()
        else:
            begun = number
        goes_on = line.rstrip().endswith(("\\", "|", "&&", "`"))
        parts.append(plain.rstrip().rstrip("\\`") if goes_on else plain)
        if not goes_on:
            yield from _in_pieces(begun, "".join(parts))
            parts = []
    if parts:
        yield from _in_pieces(begun, "".join(parts))


def _in_pieces(number: int, line: str) -> Iterator[tuple[int, str]]:
    if len(line) > LONGEST:
        line = BLANKS.sub(" ", line)
    return ((number, piece) for _, piece in pieces(line, LONGEST, SHARED))


def _in_steps(touched: Touched) -> Iterator[Finding]:
    """What is fetched on one line and run on another, where one of them is new."""
    text = text_of(touched.new.content or b"") if touched.new else ""
    for step in steps(text, frozenset(number for number, _ in touched.added)):
        yield _finding(
            touched,
            "operation.fetch-and-run",
            OperationKind.DOWNLOADED_CODE,
            step.line,
            step.fetched,
            "It runs what was fetched before.",
            "Use a pinned, reviewed dependency instead of fetching and running code.",
        )


def _lifecycle(touched: Touched) -> Iterator[Finding]:
    old, new = (_scripts(side.content if side else None) for side in (touched.before, touched.new))
    for name, command in new.items():
        if LIFECYCLE.fullmatch(name) and old.get(name) != command:
            yield _finding(
                touched,
                "operation.lifecycle-script",
                OperationKind.INSTALL_SCRIPTS,
                touched.line_of(f'"{name}"'),
                f"{name} {command}",
                f"Its script {name!r} runs on every machine that installs the package.",
                "Put it into a script that people start themselves.",
            )


def _scripts(content: bytes | None) -> dict[str, str]:
    try:
        told = json.loads(content or b"{}")
    except (ValueError, RecursionError):
        return {}
    scripts = told.get("scripts") if isinstance(told, dict) else None
    return {str(name): json.dumps(command) for name, command in scripts.items()} if isinstance(scripts, dict) else {}


def _by_content(touched: Touched) -> Iterator[Finding]:
    text = text_of(touched.new.content or b"") if touched.new else ""
    for kind, patterns, what in CONTENT:
        if all(pattern.search(text) for pattern in patterns):
            yield _finding(
                touched,
                f"operation.{kind}",
                kind,
                0,
                touched.new.oid if touched.new else "",
                f"The change touches it, and {what}.",
                "Leave it as it is on the base.",
            )
            return


def _attributes(touched: Touched) -> Iterator[Finding]:
    for number, line in touched.added:
        hides = (HIDING.search(line) and not HIDDEN_ANYWAY.match(line)) or HIDES_CODE.match(line)
        if not line.startswith("#") and hides:
            yield _finding(
                touched,
                "operation.git-attributes",
                OperationKind.GIT_FILES,
                number,
                line,
                "It makes git run a filter, or hides changes from reviewers.",
                "Take the attribute out.",
            )


def _ignores(touched: Touched) -> Iterator[Finding]:
    for number, line in touched.added:
        if IGNORES.fullmatch(line.strip()) or SHOWS.match(line.strip()):
            yield _finding(
                touched,
                "operation.git-ignore",
                OperationKind.GIT_FILES,
                number,
                line,
                "It hides code or tests from git, or shows git what holds credentials.",
                "Ignore only what tools make.",
            )


def _finding(
    touched: Touched, rule: str, kind: OperationKind | None, line: int, evidence: str, problem: str, remedy: str
) -> Finding:
    return operation_found(rule, kind, touched.shown, line, evidence, problem, remedy)
