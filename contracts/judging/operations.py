"""Gates on what a change would do beyond the code itself: each is refused, or asks a person, as the policy says."""

import json
import re
from collections.abc import Iterator

from contracts.judging.difference import Difference, Touched, text_of
from contracts.judging.finding import Finding, OperationKind, operation_name
from contracts.judging.guarded_paths import guarded_as
from contracts.judging.operation_rules import DOCUMENTS, FETCH, LINE_RULES, RUN_TEXT, SHELLS

MOST_OF_A_RULE = 5
"""Findings of one rule in one file."""
LIFECYCLE = re.compile(
    r"(?:pre|post)?(?:install|uninstall|prepare|publish|pack|version)|prepublishOnly|dependencies"
    r"|preprepare|postprepare|(?:pre|post)-(?:install|update|autoload)-\w*|post-\w+-cmd|pre-\w+-cmd"
)
SAVED = re.compile(
    (
        r"\b(?:curl|wget|iwr|Invoke-WebRequest|aria2c)\b[^\n]{0,300}?(?:\s-\w*[oO]|\s--output(?:-document)?"
        r"|\s-OutFile|>)[ =]*[\"']?(?P<file>[^\s\"';|&]+)"
    ),
    re.IGNORECASE,
)
ASSIGNED = re.compile(rf"(?P<name>\w+)\s*(?::\s*\w+\s*)?:?=\s*(?:await\s+)?[^\n]{{0,80}}{FETCH}", re.IGNORECASE)
EXECUTES = (
    r"\b(?:exec|eval|compile|execfile|Function|runInThisContext|runInNewContext|instance_eval"
    r"|marshal\.loads|pickle\.loads?)\s*\(\s*[^\n]{0,30}\b"
)
CONTENT = (
    (
        OperationKind.INFRASTRUCTURE,
        re.compile(r"\A(?=[\s\S]*^\s*[\"']?apiVersion[\"']?\s*:)(?=[\s\S]*^\s*[\"']?kind[\"']?\s*:)", re.MULTILINE),
        "it is a manifest of Kubernetes",
    ),
    (
        OperationKind.INFRASTRUCTURE,
        re.compile(r"AWSTemplateFormatVersion|AWS::Serverless-"),
        "it is a template of CloudFormation",
    ),
    (
        OperationKind.INFRASTRUCTURE,
        re.compile(r"\A(?=[\s\S]*^\s*-?\s*hosts\s*:)(?=[\s\S]*^\s*(?:tasks|roles)\s*:)", re.MULTILINE),
        "it is a playbook of Ansible",
    ),
    (
        OperationKind.CI,
        re.compile(r"\A(?=[\s\S]*^\s*runs-on\s*:)(?=[\s\S]*^\s*steps\s*:)", re.MULTILINE),
        "it is a workflow of CI",
    ),
)
HIDING = re.compile(
    r"(?<!\S)(?:-?filter|merge|diff|working-tree-encoding|export-subst|export-ignore|ident"
    r"|encoding|conflict-marker-size)(?:=\S+)?(?!\S)|-diff(?!\S)|linguist-(?:generated|vendored)(?!=false)"
    r"|gitlab-generated"
)
HIDDEN_ANYWAY = re.compile(
    r"(?i)^\S*(?:lock|\.snap|\.min\.|\.svg|\.sum|generated|vendor|dist|\.map|\.pb\.|_pb2|\.ipynb"
    r"|\.csv|\.pdf|\.png|\.json)\S*\s"
)
IGNORES = re.compile(
    r"/?(?:\*{1,2}(?:/\*{0,2})?|\.\*|\.?/|tests?/?|__tests__/?|spec/?|src/?|lib/?|\.github/?"
    r"|\.gitlab[^/]*/?|\*\*?/?\*?\.(?:py|[jt]sx?|go|rs|java|c|cc|cpp|h|rb|php|kt|cs|sh|sql))(?:\*{1,2})?"
)
SHOWS = re.compile(
    r"!.*(?:\.env|\.pem|\.key|\.p12|\.pfx|id_rsa|id_ed25519|secret|credential|\.git(?:/|$)|\.npmrc|\.pypirc|\.netrc)"
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


def _by_line(touched: Touched) -> Iterator[Finding]:
    for rule in LINE_RULES:
        if not rule.files.search(touched.name):
            continue
        hits = 0
        for number, line in _logical_lines(touched):
            if hits < MOST_OF_A_RULE and rule.pattern.search(line):
                hits += 1
                yield _finding(touched, rule.rule, rule.kind, number, line, rule.problem, rule.remedy)


def _logical_lines(touched: Touched) -> Iterator[tuple[int, str]]:
    """The added lines, those that go on after a backslash or a pipe put together."""
    begun, parts = 0, ""
    for number, line in touched.added:
        plain = line[:4_000]
        if parts:
            parts += " " + plain.strip()
        else:
            begun, parts = number, plain
        if plain.rstrip().endswith(("\\", "|", "&&", "`")) and len(parts) < 4_000:
            parts = parts.rstrip().rstrip("\\`")
            continue
        yield begun, parts
        parts = ""
    if parts:
        yield begun, parts


def _in_steps(touched: Touched) -> Iterator[Finding]:
    """What is fetched on one line and run on another, where one of them is new."""
    text = text_of(touched.new.content or b"") if touched.new else ""
    added = {number for number, _ in touched.added}
    for pattern, used in ((SAVED, _runs_file), (ASSIGNED, _runs_name)):
        for found in list(pattern.finditer(text))[:50]:
            if (at := used(text, found)) < 0:
                continue
            first, last = text.count("\n", 0, found.start()) + 1, text.count("\n", 0, at) + 1
            if first in added or last in added:
                yield _finding(
                    touched,
                    "operation.fetch-and-run",
                    OperationKind.DOWNLOADED_CODE,
                    last,
                    found[0],
                    "It runs what was fetched before.",
                    "Use a pinned, reviewed dependency instead of fetching and running code.",
                )
                break


def _runs_file(text: str, saved: re.Match[str]) -> int:
    name = re.escape(saved["file"].rpartition("/")[2])
    if len(name) < 2 or saved["file"] in ("/dev/null", "-", "&1", "&2"):
        return -1
    used = re.compile(
        (
            rf"(?:(?:^|[\s;&|(\"'`])(?:{SHELLS}|\.|exec|chmod\s+\S*[+7x]\S*)\s+[^\n;|&]{{0,40}}?[\w./$\"{{}}-]*{name}(?![\w.-])"
            rf"|(?:^|[\s;&|])[\"']?(?:\./|/tmp/|\$\w+/){name}(?![\w.-]))"
        ),
        re.MULTILINE,
    )
    found = used.search(text, saved.end())
    return found.end() if found else -1


def _runs_name(text: str, assigned: re.Match[str]) -> int:
    found = re.compile(EXECUTES + re.escape(assigned["name"]) + r"\b").search(text, assigned.end())
    return found.end() if found else -1


def _lifecycle(touched: Touched) -> Iterator[Finding]:
    old, new = (_scripts(side.content if side else None) for side in (touched.before, touched.new))
    for name, command in new.items():
        if LIFECYCLE.fullmatch(name) and old.get(name) != command:
            line = next((number for number, text in touched.added if f'"{name}"' in text), 0)
            yield _finding(
                touched,
                "operation.lifecycle-script",
                OperationKind.INSTALL_SCRIPTS,
                line,
                f"{name} {command}",
                f"Its script {name!r} runs on every machine that installs the package.",
                "Put it into a script that people start themselves.",
            )


def _scripts(content: bytes | None) -> dict[str, str]:
    try:
        told = json.loads(content or b"{}")
    except ValueError:
        return {}
    scripts = told.get("scripts") if isinstance(told, dict) else None
    return {str(name): json.dumps(command) for name, command in scripts.items()} if isinstance(scripts, dict) else {}


def _by_content(touched: Touched) -> Iterator[Finding]:
    text = text_of(touched.new.content or b"") if touched.new else ""
    for kind, pattern, what in CONTENT:
        if pattern.search(text[:200_000]):
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
        if not line.startswith("#") and HIDING.search(line) and not HIDDEN_ANYWAY.match(line):
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
    name = operation_name(rule, touched.shown, evidence) if kind else ""
    return Finding(rule=rule, path=touched.shown, line=line, problem=problem, remedy=remedy, operation=name, kind=kind)
