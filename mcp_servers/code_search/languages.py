"""Which grammar reads which file, and what counts as a definition in it."""

import importlib
import re
from dataclasses import dataclass
from functools import cache

from tree_sitter import Language, Query

PLAIN = "text"
"""The language of everything without a grammar."""

_SUFFIXES = {
    "python": "py pyi pyw",
    "javascript": "js mjs cjs jsx",
    "typescript": "ts mts cts",
    "tsx": "tsx",
    "go": "go",
    "rust": "rs",
    "java": "java",
    "c": "c h",
    "cpp": "cc cpp cxx c++ hh hpp hxx h++ ipp",
    "ruby": "rb rake gemspec ru",
    "php": "php phtml",
    "csharp": "cs csx",
}
_BY_SUFFIX = {suffix: language for language, suffixes in _SUFFIXES.items() for suffix in suffixes.split()}
_BY_NAME = {"rakefile": "ruby", "gemfile": "ruby", "wscript": "python", "sconstruct": "python"}
_FAMILIES = {"typescript": "javascript", "tsx": "javascript", "cpp": "c"}


@dataclass(frozen=True)
class _Grammar:
    package: str
    function: str = "language"
    tags: tuple[str, ...] = ()
    """Packages whose bundled tags query is used; none where a grammar bundles none that fits."""
    extra: str = ""
    """Definitions the bundled query leaves out."""


_JAVASCRIPT = """
(field_definition property: (property_identifier) @name value: [(arrow_function) (function_expression)]) @definition.method
(program (lexical_declaration (variable_declarator name: (identifier) @name) @definition.constant))
(export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @name) @definition.constant))
"""
_TYPESCRIPT = """
(public_field_definition name: (property_identifier) @name value: [(arrow_function) (function_expression)]) @definition.method
(enum_declaration name: (identifier) @name) @definition.enum
(type_alias_declaration name: (type_identifier) @name) @definition.type
(internal_module name: (identifier) @name) @definition.module
(program (lexical_declaration (variable_declarator name: (identifier) @name) @definition.constant))
(export_statement declaration: (lexical_declaration (variable_declarator name: (identifier) @name) @definition.constant))
"""
_CPP = """
(function_declarator declarator: (qualified_identifier name: (qualified_identifier name: (identifier) @name)))
  @definition.method
(function_declarator declarator: (destructor_name) @name) @definition.method
(namespace_definition name: (namespace_identifier) @name) @definition.module
(preproc_def name: (identifier) @name) @definition.macro
(preproc_function_def name: (identifier) @name) @definition.macro
"""
_GRAMMARS = {
    "python": _Grammar("tree_sitter_python", tags=("tree_sitter_python",)),
    "javascript": _Grammar("tree_sitter_javascript", tags=("tree_sitter_javascript",), extra=_JAVASCRIPT),
    "typescript": _Grammar("tree_sitter_typescript", "language_typescript", ("tree_sitter_javascript", "tree_sitter_typescript"),
                           _TYPESCRIPT),
    "tsx": _Grammar("tree_sitter_typescript", "language_tsx", ("tree_sitter_javascript", "tree_sitter_typescript"), _TYPESCRIPT),
    "go": _Grammar("tree_sitter_go", tags=("tree_sitter_go",), extra="""
        (source_file (const_declaration (const_spec name: (identifier) @name) @definition.constant))
        (source_file (var_declaration (var_spec name: (identifier) @name) @definition.constant))
    """),
    "rust": _Grammar("tree_sitter_rust", tags=("tree_sitter_rust",), extra="""
        (impl_item type: (type_identifier) @name) @definition.impl
        (impl_item type: (generic_type type: (type_identifier) @name)) @definition.impl
        (const_item name: (identifier) @name) @definition.constant
        (static_item name: (identifier) @name) @definition.constant
        (function_signature_item name: (identifier) @name) @definition.method
    """),
    "java": _Grammar("tree_sitter_java", tags=("tree_sitter_java",), extra="""
        (enum_declaration name: (identifier) @name) @definition.enum
        (record_declaration name: (identifier) @name) @definition.class
        (annotation_type_declaration name: (identifier) @name) @definition.interface
        (constructor_declaration name: (identifier) @name) @definition.method
    """),
    "c": _Grammar("tree_sitter_c", tags=("tree_sitter_c",), extra="""
        (preproc_def name: (identifier) @name) @definition.macro
        (preproc_function_def name: (identifier) @name) @definition.macro
    """),
    "cpp": _Grammar("tree_sitter_cpp", tags=("tree_sitter_cpp",), extra=_CPP),
    "ruby": _Grammar("tree_sitter_ruby", tags=("tree_sitter_ruby",), extra="""
        (assignment left: (constant) @name) @definition.constant
    """),
    "php": _Grammar("tree_sitter_php", "language_php", ("tree_sitter_php",), extra="""
        (enum_declaration name: (name) @name) @definition.enum
        (const_declaration (const_element (name) @name) @definition.constant)
    """),
    "csharp": _Grammar("tree_sitter_c_sharp", extra="""
        (namespace_declaration name: (_) @name) @definition.module
        (class_declaration name: (identifier) @name) @definition.class
        (record_declaration name: (identifier) @name) @definition.class
        (struct_declaration name: (identifier) @name) @definition.class
        (interface_declaration name: (identifier) @name) @definition.interface
        (enum_declaration name: (identifier) @name) @definition.enum
        (delegate_declaration name: (identifier) @name) @definition.type
        (method_declaration name: (identifier) @name) @definition.method
        (constructor_declaration name: (identifier) @name) @definition.method
        (property_declaration name: (identifier) @name) @definition.property
    """),
}


def language_of(path: str) -> str:
    """The language a path's name stands for; ``PLAIN`` when none is known."""
    name = path.rpartition("/")[2].lower()
    return _BY_SUFFIX.get(name.rpartition(".")[2]) or _BY_NAME.get(name, PLAIN)


def family_of(language: str) -> str:
    """Languages of one family refer to each other's definitions."""
    return _FAMILIES.get(language, language)


@cache
def grammar(language: str) -> tuple[Language, Query] | None:
    """The grammar of a language and the query that finds its definitions; None for plain text."""
    spoken = _GRAMMARS.get(language)
    if spoken is None:
        return None
    loaded = Language(getattr(importlib.import_module(spoken.package), spoken.function)())
    patterns = [spoken.extra]
    for package in spoken.tags:
        patterns += _definitions(_bundled_tags(package))
    return loaded, Query(loaded, "\n".join(patterns))


def _bundled_tags(package: str) -> str:
    return getattr(importlib.import_module(package), "TAGS_QUERY", None) or ""


def _definitions(tags: str) -> list[str]:
    """The patterns of a tags query that define something, without the comments they would collect."""
    found = [pattern for pattern in _top_level(tags) if "@definition." in pattern and "(alias" not in pattern]
    found = [re.sub(r"\(comment\)\*\s*@doc\s*\.\s*", "", pattern) for pattern in found]
    return [re.sub(r"\(#(?:strip|select-adjacent|set-adjacent)![^)]*\)", "", pattern) for pattern in found]


def _top_level(query: str) -> list[str]:
    """The patterns of a query, each with the captures that follow its closing bracket."""
    bare = re.sub(r"(?m)^\s*;.*$", "", query)
    patterns, depth, start, quoted, escaped = [], 0, 0, False, False
    for position, character in enumerate(bare):
        if quoted:
            quoted = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            quoted = True
        elif character in "([":
            if depth == 0 and bare[start:position].strip():
                patterns.append(bare[start:position])
                start = position
            depth += 1
        elif character in ")]":
            depth -= 1
    return [*patterns, bare[start:]]
