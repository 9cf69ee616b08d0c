"""Text that a stranger wrote and a person or a model is about to read: shown as it is, and looked at for what it should not say.

What is found is a reason for a person to look, never a wall: the walls are the lock, the allow-list and the sandbox.
"""

import re
import unicodedata

_UNSEEN = ("Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp")
"""Categories of characters that show nothing, or change how others are shown: controls, bidirectional marks, tags."""
_BLANK = re.compile("[\u115f\u1160\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")
"""Fillers and variation selectors: of other categories, and as invisible."""
_PLAIN = "\n\t"
_GAP = r"\b.{0,40}\b"
_TOLD = re.IGNORECASE | re.DOTALL
_COMMANDS = {
    "tells the model to forget what it was told": re.compile(
        rf"\b(ignore|disregard|forget|override){_GAP}(previous|prior|above|earlier|other|all){_GAP}"
        r"(instruction|prompt|rule|message|polic)", _TOLD,
    ),
    "asks for something to be kept from people": re.compile(
        rf"\b(do not|don't|never|without){_GAP}(tell|mention|inform|reveal|notify|show|telling){_GAP}"
        r"(user|people|person|anyone|human)", _TOLD,
    ),
    "imitates the system's own words": re.compile(
        r"<\s*/?\s*(important|system|instructions?|assistant|admin)\b|\[/?(INST|SYSTEM)\]|<\|im_(start|end)\|>", _TOLD,
    ),
    "orders other tools about": re.compile(
        rf"\b(before|after|whenever|instead of){_GAP}(using|calling|call|use|running|run){_GAP}"
        rf"(any|every|other|this|another){_GAP}tool", _TOLD,
    ),
    "speaks of credentials": re.compile(
        r"\.ssh\b|id_rsa|\.env\b|\.netrc|/etc/(passwd|shadow)|private key|api[_ -]?key|access[_ -]?token|bearer token"
        r"|credentials?\b|password", _TOLD,
    ),
}  # fmt: skip


def visible(text: str) -> str:
    """The text with every character that cannot be seen written out, e.g. ``\\u{200b}``; line breaks and tabs stay."""
    return "".join(c if _seen(c) else f"\\u{{{ord(c):x}}}" for c in text)


def suspicions(text: str) -> tuple[str, ...]:
    """What a person should know about a description before it is pinned, one phrase each."""
    found = () if all(map(_seen, text)) else ("holds characters that cannot be seen",)
    seen = "".join(c for c in unicodedata.normalize("NFKC", text) if _seen(c))
    return (*found, *(what for what, pattern in _COMMANDS.items() if pattern.search(seen)))


def _seen(character: str) -> bool:
    return character in _PLAIN or (unicodedata.category(character) not in _UNSEEN and not _BLANK.match(character))
