"""Small faults in changed lines: which there are, in an order that a seed decides. Python, JavaScript, TypeScript, Go, Java."""

import hashlib
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass

from tree_sitter import Node, Parser

from contracts.change import FileStatus
from contracts.gates import is_code
from contracts.mutation import Mutant, MutantKind
from mcp_servers.code_search.languages import family_of, grammar, language_of
from mcp_servers.object_store import Mirror

LARGEST = 1 << 20
"""Bytes of a file that is mutated."""
DEEPEST = 400
"""Nodes above a node; deeper source exists to break parsers."""
HUNK = re.compile(r"^@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@", re.MULTILINE)
COMPARISONS = {
    "<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "==", "===": "!==", "!==": "===",
    "in": "not in", "not in": "in", "is": "is not", "is not": "is",
}  # fmt: skip
ARITHMETIC = {
    "+": "-", "-": "+", "*": "/", "/": "*", "//": "/", "%": "*", "**": "*", "&": "|", "|": "&", "<<": ">>", ">>": "<<",
    "+=": "-=", "-=": "+=", "*=": "/=", "/=": "*=",
}  # fmt: skip
BOOLEANS = {"and": "or", "or": "and", "&&": "||", "||": "&&"}
OPERATIONS = frozenset({
    "binary_operator", "comparison_operator", "boolean_operator", "augmented_assignment", "binary_expression",
    "augmented_assignment_expression", "assignment_statement",
})  # fmt: skip
CONSTANTS = {"True": "False", "False": "True", "true": "false", "false": "true"}
NOTHING = {"python": "None", "javascript": "undefined"}
"""What a function returns instead, where the language lets it return nothing."""
NEGATIONS = {"not_operator": "argument", "unary_expression": "argument"}
UNLIKELY = frozenset({"type", "type_annotation", "type_arguments", "type_parameters", "import_statement", "import_from_statement",
                      "decorator", "annotation", "enum_specifier", "generic_type"})  # fmt: skip
"""Below these a fault is none, or cannot be built."""


@dataclass(frozen=True)
class Placed:
    """A mutant and the whole content of its file."""

    mutant: Mutant
    content: bytes


def mutants_of(mirror: Mirror, base: str, commit: str, seed: str) -> list[Placed]:
    """Every mutant of the code that a change adds or changes, tests left out. The same seed gives the same order."""
    found: list[Placed] = []
    for file in mirror.changed_files(base, commit):
        entry = mirror.entry(commit, file.path)
        if file.status is FileStatus.DELETED or entry is None or not entry.is_file or not is_code(file.path):
            continue
        if mirror.size(entry.oid) <= LARGEST:
            lines = added_lines(mirror.diff(base, commit, file.path, 0))
            found += in_file(file.path, mirror.read(entry.oid), lines)
    return sorted(found, key=lambda one: hashlib.sha256(f"{seed}\0{one.mutant.id}".encode("utf-8", "surrogatepass")).digest())


def added_lines(diff: str) -> frozenset[int]:
    """The numbers of the lines that a diff without context adds or changes, in the new file."""
    spans = ((int(match[1]), int(match[2] or 1)) for match in HUNK.finditer(diff))
    return frozenset(line for start, many in spans for line in range(start, start + many))


def in_file(path: str, content: bytes, lines: Set[int]) -> list[Placed]:
    """The mutants of some lines of a file, from top to bottom; none where its language is not known."""
    language = language_of(path)
    spoken = grammar(language)
    if spoken is None or family_of(language) not in ("python", "javascript", "go", "java"):
        return []
    root = Parser(spoken[0]).parse(content).root_node
    placed: dict[str, Placed] = {}
    for node, kind, start, end, after in _faults(root, lines, language):
        before = content[start:end].decode("utf-8", "replace")
        line, column = node.start_point[0] + 1, start - content.rfind(b"\n", 0, start) - 1
        mutant = Mutant(path=path, line=line, column=column, kind=kind, before=before[:200], after=after)
        placed.setdefault(mutant.id, Placed(mutant, content[:start] + after.encode() + content[end:]))
    return list(placed.values())


def _faults(root: Node, lines: Set[int], language: str) -> Iterator[tuple[Node, MutantKind, int, int, str]]:
    """Each fault as the node, its kind, and the bytes that are replaced and by what."""
    waiting = [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        if node.type in UNLIKELY or depth > DEEPEST or not _touches(node, lines):
            continue
        waiting.extend((child, depth + 1) for child in reversed(node.children))
        if node.start_point[0] + 1 in lines and not node.has_error:
            yield from _faults_of(node, language)


def _touches(node: Node, lines: Set[int]) -> bool:
    first, last = node.start_point[0] + 1, node.end_point[0] + 1
    return any(line in lines for line in range(first, last + 1)) if last - first < len(lines) else any(
        first <= line <= last for line in lines
    )


def _faults_of(node: Node, language: str) -> Iterator[tuple[Node, MutantKind, int, int, str]]:
    text = (node.text or b"").decode("utf-8", "replace")
    start, end, parent = node.start_byte, node.end_byte, node.parent
    if parent is not None and parent.type in OPERATIONS and not _joins_text(parent):
        for kind, table in (
            (MutantKind.COMPARISON, COMPARISONS), (MutantKind.ARITHMETIC, ARITHMETIC), (MutantKind.BOOLEAN, BOOLEANS)
        ):  # fmt: skip
            if node.type == text and text in table:
                yield node, kind, start, end, table[text]
    if text in CONSTANTS and node.type in ("true", "false", text):
        yield node, MutantKind.CONSTANT, start, end, CONSTANTS[text]
    elif node.type in ("integer", "number", "int_literal", "decimal_integer_literal") and re.fullmatch(r"\d{1,15}", text):
        yield node, MutantKind.CONSTANT, start, end, str(int(text) + 1)
    elif node.type in NEGATIONS and text.startswith(("not ", "!")) and (inner := node.child_by_field_name(NEGATIONS[node.type])):
        yield node, MutantKind.BOOLEAN, start, inner.start_byte, ""
    elif node.type == "return_statement" and family_of(language) in NOTHING and language in ("python", "javascript"):
        value = node.named_children[0] if node.named_children else None
        nothing = NOTHING[family_of(language)]
        if value is not None and (value.text or b"").decode("utf-8", "replace") not in (nothing, "null"):
            yield node, MutantKind.RETURN, value.start_byte, value.end_byte, nothing


def _joins_text(operation: Node) -> bool:
    """Whether an operation puts texts together: subtracting them is an error everywhere, and says nothing of a test."""
    return any(child.type in ("string", "template_string", "interpreted_string_literal", "string_literal")
               for child in operation.named_children) and (operation.type not in ("comparison_operator", "boolean_operator")
               and not any(child.type in COMPARISONS or child.type in BOOLEANS for child in operation.children))  # fmt: skip
