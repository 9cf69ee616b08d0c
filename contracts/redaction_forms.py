"""What a held secret looks like: itself, its telling lines, and each in all the forms it may be written in."""

import base64
import codecs
import json
from collections.abc import Iterator
from html import escape
from urllib.parse import quote, quote_plus

from contracts.redaction_views import reduced

SHORTEST = 8
"""Characters of a secret; a shorter one would be found in ordinary text, and can be guessed anyway."""
SHORTEST_FORM = 7
"""Bytes of a form once it is reduced, when it has letters and digits."""
SHORTEST_PACKED, SHORTEST_WORD = 8, 16
"""The same when it has letters alone: packed by an encoding, and as it is."""
SHORTEST_LINE = 20
"""Characters of a line of a secret of several lines, such as a key in PEM, that counts as a secret by itself."""


def parts(secret: str) -> Iterator[str]:
    """A secret, and each line of it that says much by itself."""
    secret = secret.strip()
    if len(secret) >= SHORTEST:
        yield secret
    lines = secret.splitlines()
    if len(lines) > 1:
        yield from (line.strip() for line in lines if len(line.strip()) >= SHORTEST_LINE and not line.startswith("-----"))


def forms(secret: str) -> Iterator[tuple[bytes, bool]]:
    """What a secret looks like, encoded in each of the usual ways, and whether its edges share characters with neighbours."""
    plain = secret.encode("utf-8", "surrogatepass")
    wide = secret.encode("utf-16-le", "surrogatepass")
    yield plain, False
    yield plain[::-1], False
    yield secret[::-1].encode("utf-8", "surrogatepass"), False
    yield codecs.encode(secret, "rot13").encode("utf-8", "surrogatepass"), False
    for content in (plain, plain[::-1], wide):
        yield content.hex().encode(), False
        yield from ((form, True) for form in _base64(content))
    yield " ".join(str(byte) for byte in plain).encode(), False
    yield " ".join(f"{byte:08b}" for byte in plain).encode(), False
    yield from ((form, True) for form in _base32(plain))
    yield base64.b85encode(plain), False
    yield base64.a85encode(plain), False
    once = base64.b64encode(plain).rstrip(b"=")
    yield once[::-1], False
    for twice in (once, plain.hex().encode(), base64.urlsafe_b64encode(plain).rstrip(b"=")):
        yield from ((form, True) for form in _base64(twice))
        yield twice.hex().encode(), False


def ordinary(secret: str) -> Iterator[str]:
    """How a secret of few or plain letters is written in a URL, in JSON and in HTML; its other forms are long enough."""
    if not telling(reduced(secret.encode("utf-8", "surrogatepass"))):
        yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret), json.dumps(secret)[1:-1], escape(secret))


def _base64(content: bytes) -> Iterator[bytes]:
    """The characters of base64 that depend on the content alone, at each of the three offsets it may have in a longer text."""
    for offset in range(3):
        packed = base64.b64encode(b"\0" * offset + content)
        yield packed[-(-8 * offset // 6) : 8 * (offset + len(content)) // 6]


def _base32(content: bytes) -> Iterator[bytes]:
    """As ``_base64``, at the five offsets of base32."""
    for offset in range(5):
        packed = base64.b32encode(b"\0" * offset + content)
        yield packed[-(-8 * offset // 5) : 8 * (offset + len(content)) // 5]


def telling(small: bytes, packed: bool = False) -> bool:
    """Whether a reduced form is long and mixed enough that ordinary text does not hold it by chance."""
    mixed = any(48 <= byte <= 57 for byte in small) and not small.isdigit()
    # What an encoding made of letters alone is no word of any language.
    return len(small) >= (SHORTEST_FORM if mixed else SHORTEST_PACKED if packed else SHORTEST_WORD)
