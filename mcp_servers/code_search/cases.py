"""The tests in a file by structure: names, what they assert, and whether they are skipped. Python, JavaScript, Go, Java."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tree_sitter import Node, Parser

from mcp_servers.code_search.languages import family_of, grammar, language_of

DEEPEST = 400
"""Nodes above a node; deeper source exists to break parsers."""
PYTHON_ASSERTS = re.compile(r"(\w+\.)*(assert\w*|raises|warns|fail)$")
PYTHON_SKIPS = re.compile(r"(\w+\.)*(skip\w*|xfail|SkipTest|importorskip)$")
JS_TESTS = re.compile(r"(?P<x>x)?(it|test|describe|context|suite|specify)(?P<marks>(\.\w+)*)$|f(it|describe)$")
JS_SKIPS = re.compile(r"\.(skip|todo|only|fails|failing|skipIf)\b")
JS_ASSERTS = re.compile(r"(expect|assert|should|t)\b")
GO_ASSERTS = re.compile(r"(t|b|f|s)\.(Error|Fatal|Fail)\w*$|(require|assert|is|qt)\.\w+$")
GO_SKIPS = re.compile(r"(t|b|f|s)\.Skip\w*$")
JAVA_ASSERTS = re.compile(r"(assert\w*|verify\w*|fail|expect\w*|then\w*)$")
JAVA_SKIPS = re.compile(r"@(Disabled|Ignore)\b")
JAVA_TESTS = re.compile(r"@(\w+\.)*(Test|ParameterizedTest|RepeatedTest|TestFactory|Property)\b")
VACUOUS = re.compile(
    r"assert\s+(True|1|not\s+False|not\s+None)\b\s*$|assert\s.*\bor\s+(True|1)\s*$"
    r"|(self\.)?assert(True|Equals?|_)?\(\s*(?P<a>True|true|1|\d+)\s*(,\s*(?P=a)\s*)?\)"
    r"|expect\(\s*(?P<b>true|1|\d+|null|undefined)\s*\)\.(toBe|toEqual|to\.equal)\(\s*(?P=b)\s*\)|expect\(true\)\.toBeTruthy\(\)"
)
NEVER = ("False", "false", "0", "None", "null", "undefined", '""', "''")
"""Conditions that do not hold."""
BLOCKS = ("block", "statement_block")
CATCHES_ALL = re.compile(
    r"except\s*:|except\b.*\b(?:AssertionError|Exception|BaseException)\b|catch\b(?!\s*\(\s*\w+Exception\b)", re.DOTALL
)
"""How a clause begins that catches a failed assert."""
REPEATS = re.compile(r"parametrize|subTest|\.each\b|@ParameterizedTest|t\.Run\(|\bfor\b")
"""One assert in such a test stands for many."""


@dataclass
class Case:
    """One test."""

    asserts: Counter[str] = field(default_factory=Counter)
    skipped: bool = False
    repeats: bool = False


def cases_of(path: str, content: bytes) -> dict[str, Case] | None:
    """The tests of a file by their full names; None where no structure is known for its language."""
    language = language_of(path)
    reader, spoken = READERS.get(family_of(language)), grammar(language)
    if reader is None or spoken is None:
        return None
    found: dict[str, Case] = {}
    reader(Parser(spoken[0]).parse(content).root_node, "", False, found)
    return found


def _text(node: Node | None) -> str:
    return (node.text or b"").decode("utf-8", "replace") if node is not None else ""


def _below(node: Node, dead: bool = False) -> Iterator[Node]:
    """A node and all below it, without recursion; with ``dead`` without what never runs, or may fail unnoticed."""
    waiting = [(node, 0)]
    while waiting:
        one, depth = waiting.pop()
        yield one
        if depth < DEEPEST:
            waiting.extend((child, depth + 1) for child in reversed(_alive(one) if dead else one.named_children))


def _alive(node: Node) -> list[Node]:
    """What of the children of a node runs, and fails where it fails."""
    children = node.named_children
    if node.type == "if_statement" and _text(node.child_by_field_name("condition")).strip("()") in NEVER:
        taken = node.child_by_field_name("consequence")
        return [child for child in children if child != taken]
    if node.type == "try_statement" and any(map(_swallows, children)):
        return [child for child in children if child.type not in BLOCKS]
    ended = next((number for number, child in enumerate(children, 1) if child.type == "return_statement"), len(children))
    return children[:ended]


def _swallows(clause: Node) -> bool:
    """Whether it is a clause that catches a failed assert and does nothing about it."""
    if clause.type not in ("except_clause", "catch_clause"):
        return False
    body = next((child for child in reversed(clause.named_children) if child.type in BLOCKS), None)
    head = _text(clause).removesuffix(_text(body))
    idle = body is None or all(child.type in ("pass_statement", "comment", "line_comment") for child in body.named_children)
    return idle and CATCHES_ALL.match(head) is not None


def _case(body: Node, asserts: Callable[[Node], str], skips: Callable[[Node], bool], skipped: bool, head: str = "") -> Case:
    case = Case(skipped=skipped, repeats=bool(REPEATS.search(head + _text(body))))
    for node in _below(body, dead=True):
        if (told := " ".join(asserts(node).split())) and not VACUOUS.match(told):
            case.asserts[told] += 1
        case.skipped = case.skipped or skips(node)
    return case


def _keep(found: dict[str, Case], name: str, case: Case) -> None:
    """Two tests of one name count as one that asserts what both do."""
    if (before := found.get(name)) is not None:
        before.asserts += case.asserts
        before.skipped = before.skipped or case.skipped
    else:
        found[name] = case


def _python(node: Node, within: str, skipped: bool, found: dict[str, Case]) -> None:
    skipped = skipped or any(_python_module_skip(child) for child in node.named_children)
    for child in node.named_children:
        inner, head = child, ""
        if child.type == "decorated_definition":
            inner = child.child_by_field_name("definition") or child
            head = " ".join(_text(d) for d in child.named_children if d.type == "decorator")
        marked = skipped or re.search(r"\b(skip\w*|xfail|expectedFailure)\b", head) is not None
        name = _text(inner.child_by_field_name("name"))
        body = inner.child_by_field_name("body")
        if inner.type == "class_definition" and body is not None:
            _python(body, f"{within}{name}.", marked, found)
        elif inner.type == "function_definition" and name.startswith("test") and body is not None:
            _keep(found, within + name, _case(body, _python_assert, _python_skip, marked, head))


def _python_module_skip(node: Node) -> bool:
    return node.type == "expression_statement" and re.match(r"pytestmark\s*=.*\b(skip|xfail)", _text(node), re.S) is not None


def _python_assert(node: Node) -> str:
    if node.type == "assert_statement":
        return _text(node)
    called = _text(node.child_by_field_name("function")) if node.type == "call" else ""
    return _text(node) if called and PYTHON_ASSERTS.match(called) else ""


def _python_skip(node: Node) -> bool:
    return node.type == "call" and PYTHON_SKIPS.match(_text(node.child_by_field_name("function"))) is not None


def _javascript(node: Node, within: str, skipped: bool, found: dict[str, Case]) -> None:
    waiting = [(node, within, skipped, 0)]
    while waiting:
        one, group, marked, depth = waiting.pop()
        called = _text(one.child_by_field_name("function")) if one.type == "call_expression" else ""
        match, arguments = JS_TESTS.match(called.split("(")[0]), one.child_by_field_name("arguments")
        if match and arguments is not None and arguments.named_children:
            name = f"{group}{_text(arguments.named_children[0]).strip(chr(34) + chr(39) + '`')}"
            marked = marked or bool(match["x"]) or called.startswith("f") or bool(JS_SKIPS.search(called))
            if re.match(r"[xf]?(describe|context|suite)\b", called):
                group = f"{name} > "
            else:
                _keep(found, name, _case(arguments, _javascript_assert, _javascript_skip, marked, called))
                continue
        if depth < DEEPEST:
            waiting.extend((child, group, marked, depth + 1) for child in reversed(one.named_children))


def _javascript_assert(node: Node) -> str:
    """A whole chain, ``expect(a).toBe(b)``, counts once: its inner call is no assert of its own."""
    if node.type != "call_expression" or not JS_ASSERTS.match(_text(node)):
        return ""
    return "" if node.parent is not None and node.parent.type == "member_expression" else _text(node)


def _javascript_skip(node: Node) -> bool:
    return node.type == "call_expression" and _text(node.child_by_field_name("function")) in ("this.skip", "t.skip", "ctx.skip")


def _go(node: Node, within: str, skipped: bool, found: dict[str, Case]) -> None:
    for child in node.named_children:
        name, body = _text(child.child_by_field_name("name")), child.child_by_field_name("body")
        if child.type in ("function_declaration", "method_declaration") and re.match(r"(Test|Fuzz|Example)", name) and body:
            asserts = _called("call_expression", "function", GO_ASSERTS)
            _keep(found, name, _case(body, asserts, _skips("function", GO_SKIPS), False))


def _java(node: Node, within: str, skipped: bool, found: dict[str, Case]) -> None:
    for child in node.named_children:
        marks = " ".join(_text(part) for part in child.named_children if part.type == "modifiers")
        name, body = _text(child.child_by_field_name("name")), child.child_by_field_name("body")
        marked = skipped or JAVA_SKIPS.search(marks) is not None
        if child.type == "class_declaration" and body is not None:
            _java(body, f"{within}{name}.", marked, found)
        elif child.type == "method_declaration" and JAVA_TESTS.search(marks) and body is not None:
            asserts = _called("method_invocation", "name", JAVA_ASSERTS)
            _keep(found, within + name, _case(body, asserts, lambda _: False, marked, marks))


def _called(kind: str, part: str, pattern: re.Pattern[str]) -> Callable[[Node], str]:
    return lambda node: _text(node) if node.type == kind and pattern.match(_text(node.child_by_field_name(part))) else ""


def _skips(part: str, pattern: re.Pattern[str]) -> Callable[[Node], bool]:
    return lambda node: pattern.match(_text(node.child_by_field_name(part)) or "-") is not None


READERS: dict[str, Callable[[Node, str, bool, dict[str, Case]], None]] = {
    "python": _python,
    "javascript": _javascript,
    "go": _go,
    "java": _java,
}
