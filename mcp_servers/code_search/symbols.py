"""The definitions of a source text, read by tree-sitter; a text with errors gives what can be recognised."""

from dataclasses import dataclass
from functools import cache

from tree_sitter import Node, Parser, QueryCursor

from mcp_servers.code_search.languages import grammar

MAX_SYMBOLS = 20_000
_MAX_SIGNATURE = 200
_TYPES = frozenset({"class", "interface", "impl", "enum", "type"})
_DECLARATORS = frozenset({"pointer_declarator", "reference_declarator", "function_declarator", "parenthesized_declarator"})
_DECLARATIONS = frozenset({"function_definition", "declaration", "field_declaration", "template_declaration"})
_WRAPPERS = frozenset({"decorated_definition", "export_statement", "template_declaration"})
_RANK = {"constant": 0, "function": 1}
"""When two patterns match one name the higher kind wins; every other kind is 2."""
_BODY_NEEDED = frozenset({"class_specifier", "struct_specifier", "enum_specifier"})


@dataclass(frozen=True, slots=True)
class Symbol:
    """One definition. Lines count from 1, both ends included."""

    kind: str
    name: str
    start_line: int
    end_line: int
    signature: str
    """Its head on one line, at most 200 characters."""
    parent: int = -1
    """Position of the symbol it is in, in the same list; -1 at the top."""


def symbols_of(text: bytes, language: str) -> list[Symbol]:
    """Every definition in the order of the text, those that contain others before their content."""
    spoken = grammar(language)
    if spoken is None:
        return []
    matches = QueryCursor(spoken[1]).matches(_parser(language).parse(text).root_node)
    found: dict[tuple[int, int], tuple[Node, str, str]] = {}
    for _, captures in matches:
        kind, node = _definition(captures)
        names = captures.get("name")
        if node is None or not names or (name := names[0].text) is None:
            continue
        key = (names[0].start_byte, names[0].end_byte)
        if key not in found or _RANK.get(kind, 2) > _RANK.get(found[key][1], 2):
            found[key] = (node, kind, name.decode("utf-8", "replace"))
    return _nested(sorted(found.values(), key=lambda f: (f[0].start_byte, -f[0].end_byte))[:MAX_SYMBOLS], text)


@cache
def _parser_of(language: str) -> Parser:
    spoken = grammar(language)
    return Parser(spoken[0] if spoken else None)


def _parser(language: str) -> Parser:
    """A parser that no other thread uses at the same time: making one costs microseconds."""
    return Parser(_parser_of(language).language)


def _definition(captures: dict[str, list[Node]]) -> tuple[str, Node | None]:
    for capture, nodes in captures.items():
        if capture.startswith("definition."):
            node = _outermost(nodes[0])
            if nodes[0].type in _BODY_NEEDED and nodes[0].child_by_field_name("body") is None:
                return "", None
            return capture.removeprefix("definition."), node
    return "", None


def _outermost(node: Node) -> Node:
    """The node a reader would call the definition: with its body, its decorators and its export."""
    if node.type in _DECLARATORS:
        while node.parent is not None and node.parent.type in _DECLARATORS | _DECLARATIONS:
            node = node.parent
            if node.type == "template_declaration":
                break
    while node.parent is not None and node.parent.type in _WRAPPERS:
        node = node.parent
    return node


def _nested(found: list[tuple[Node, str, str]], text: bytes) -> list[Symbol]:
    symbols: list[Symbol] = []
    around: list[tuple[int, int]] = []
    for position, (node, kind, name) in enumerate(found):
        while around and node.start_byte >= around[-1][0]:
            around.pop()
        parent = around[-1][1] if around else -1
        symbols.append(Symbol(
            kind=_kind(kind, name, symbols[parent].kind if parent >= 0 else ""), name=name[:200], parent=parent,
            start_line=node.start_point.row + 1, end_line=_last_line(node), signature=_signature(node, text),
        ))
        around.append((node.end_byte, position))
    return symbols


def _last_line(node: Node) -> int:
    return max(node.start_point.row, node.end_point.row - (node.end_point.column == 0)) + 1


def _kind(kind: str, name: str, inside: str) -> str:
    if kind == "function" and inside in _TYPES:
        return "method"
    if kind == "constant" and not name.isupper():
        return "variable"
    return kind


def _signature(node: Node, text: bytes) -> str:
    """The definition's head: everything before its body, without decorators, on one line."""
    inner = node
    while inner.type in _WRAPPERS and (below := _wrapped(inner)) is not None:
        inner = below
    body = inner.child_by_field_name("body")
    if body is None and inner.type == "variable_declarator" and (value := inner.child_by_field_name("value")) is not None:
        body = value.child_by_field_name("body")
    start = inner.start_byte
    end = body.start_byte if body is not None else min(inner.end_byte, (text.find(b"\n", start) + 1 or len(text)))
    end = min([end, *(child.start_byte for child in inner.children if child.type == "comment")])
    head = " ".join(text[start:min(end, start + 4 * _MAX_SIGNATURE)].decode("utf-8", "replace").split())
    head = head.removesuffix("{").rstrip().removesuffix("=>").rstrip(" :=")
    return head if len(head) <= _MAX_SIGNATURE else head[: _MAX_SIGNATURE - 1] + "…"


def _wrapped(node: Node) -> Node | None:
    return node.child_by_field_name("definition") or node.child_by_field_name("declaration") or (
        node.named_children[-1] if node.type == "template_declaration" and node.named_children else None)
