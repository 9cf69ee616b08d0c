"""Secrets in every form that a program, a shell, a log or a model that obeys an attacker may give them."""

import base64
import binascii
import codecs
import html
import json
import quopri
import textwrap
import urllib.parse
from collections.abc import Callable

HELD = {
    "forge token": "ghp_9aZk2LmQ7rT4vX1bN8cW5dE3fG6hJ0yUsP1o",
    "provider key": "sk-proj-Tq8_vN2-xZ4kLw9RbY7mC1sD5fG3hJ6pA0eUiO",
    "database password": 'p@ss/w0rd+with="quotes"&<marks>\\9x',
    "webhook secret": "5f1d8a0c3b7e49d2a6c4f0e1b8d7936a",
    "vault token": "hvs.CAESIJ-éüß-Zk3Lm9Qr2Tv",
    "short": "Xk9#mQ2v",
}
KEY = "\n".join(["-----BEGIN PRIVATE KEY-----", *textwrap.wrap(base64.b64encode(bytes(range(7, 250))).decode(), 64),
                 "-----END PRIVATE KEY-----"])


def plain(secret: str) -> bytes:
    return secret.encode()


ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda s: s,
    "upper case": lambda s: plain(s).upper().decode(),
    "reversed": lambda s: s[::-1],
    "rot13": lambda s: codecs.encode(s, "rot13"),
    "base64": lambda s: base64.b64encode(plain(s)).decode(),
    "base64 at 1": lambda s: base64.b64encode(b"x" + plain(s)).decode(),
    "base64 at 2": lambda s: base64.b64encode(b"xy" + plain(s) + b"z").decode(),
    "base64 in a header": lambda s: base64.b64encode(b"user:" + plain(s)).decode(),
    "base64 with a line end": lambda s: base64.b64encode(plain(s) + b"\n").decode(),
    "base64url": lambda s: base64.urlsafe_b64encode(plain(s)).decode().rstrip("="),
    "base64url at 1": lambda s: base64.urlsafe_b64encode(b"a" + plain(s)).decode().rstrip("="),
    "base64 in lines": lambda s: "\n".join(textwrap.wrap(base64.b64encode(plain(s)).decode(), 7)),
    "base64 in a diff": lambda s: "".join(f"+{line}\n" for line in textwrap.wrap(base64.b64encode(plain(s)).decode(), 9)),
    "base64 twice": lambda s: base64.b64encode(base64.b64encode(plain(s))).decode(),
    "base64 of hex": lambda s: base64.b64encode(binascii.hexlify(plain(s))).decode(),
    "base64 reversed": lambda s: base64.b64encode(plain(s)).decode()[::-1],
    "base64 of reversed": lambda s: base64.b64encode(plain(s)[::-1]).decode(),
    "base64 of UTF-16": lambda s: base64.b64encode(s.encode("utf-16-le")).decode(),
    "base32": lambda s: base64.b32encode(plain(s)).decode(),
    "base32 at 3": lambda s: base64.b32encode(b"abc" + plain(s)).decode(),
    "base85": lambda s: base64.b85encode(plain(s)).decode(),
    "ascii85": lambda s: base64.a85encode(plain(s)).decode(),
    "hex": lambda s: plain(s).hex(),
    "HEX": lambda s: plain(s).hex().upper(),
    "hex with colons": lambda s: plain(s).hex(":"),
    "hex with blanks": lambda s: plain(s).hex(" "),
    "hex in lines": lambda s: "\n".join(textwrap.wrap(plain(s).hex(), 8)),
    "hex of reversed": lambda s: plain(s)[::-1].hex(),
    "hex of base64": lambda s: base64.b64encode(plain(s)).hex(),
    "hex of UTF-16": lambda s: s.encode("utf-16-le").hex(),
    "hex array": lambda s: ", ".join(f"0x{byte:02x}" for byte in plain(s)),
    "xxd -p": lambda s: binascii.hexlify(plain(s), " ", 2).decode(),
    "decimal array": lambda s: str(list(plain(s))),
    "binary": lambda s: " ".join(f"{byte:08b}" for byte in plain(s)),
    "URL": lambda s: urllib.parse.quote(s, safe=""),
    "URL with plus": urllib.parse.quote_plus,
    "URL, all": lambda s: "".join(f"%{byte:02x}" for byte in plain(s)),
    "URL, ALL": lambda s: "".join(f"%{byte:02X}" for byte in plain(s)),
    "URL, here and there": lambda s: "".join(f"%{ord(c):02x}" if c in s[::3] and c.isascii()
                                             else urllib.parse.quote(c, safe="") for c in s),
    "URL twice": lambda s: urllib.parse.quote(urllib.parse.quote(s, safe=""), safe=""),
    "URL twice, all": lambda s: "".join(f"%25{byte:02x}" for byte in plain(s)),
    "JSON": json.dumps,
    "JSON in JSON": lambda s: json.dumps(json.dumps({"a": s})),
    "JSON, all": lambda s: "".join(f"\\u{ord(c):04x}" for c in s),
    "JSON, ALL in JSON": lambda s: "".join(f"\\\\u{ord(c):04X}" for c in s),
    "JSON with slashes": lambda s: json.dumps(s).replace("/", "\\/"),
    "JSON of URL": lambda s: json.dumps({"next": f"/?key={urllib.parse.quote(s)}"}),
    "URL of JSON": lambda s: urllib.parse.quote(json.dumps({"key": s}, ensure_ascii=True)),
    "braces": lambda s: "".join(f"\\u{{{ord(c):x}}}" for c in s),
    "C": lambda s: "".join(f"\\x{byte:02x}" for byte in plain(s)),
    "octal": lambda s: "".join(f"\\{byte:03o}" for byte in plain(s)),
    "HTML": html.escape,
    "HTML, decimal": lambda s: "".join(f"&#{ord(c)};" for c in s),
    "HTML, hex": lambda s: "".join(f"&#x{ord(c):x};" for c in s),
    "HTML, padded": lambda s: "".join(f"&#{ord(c):07d};" for c in s),
    "HTML twice": lambda s: html.escape("".join(f"&#{ord(c)};" for c in s)),
    "quoted-printable": lambda s: quopri.encodestring(plain(s)).decode(),
    "quoted-printable, all": lambda s: "".join(f"={byte:02X}" for byte in plain(s)),
    "in two lines": lambda s: f"{s[: len(s) // 2]}\n{s[len(s) // 2 :]}",
    "in a diff": lambda s: f"+{s[:5]}\n+{s[5:]}",
    "in a removed line": lambda s: f"-    {s[:5]}\n-    {s[5:]}",
    "quoted in mail": lambda s: f"> {s[:6]}\n> > {s[6:]}",
    "in a comment": lambda s: f"# {s[:6]}\n# {s[6:]}",
    "with line numbers": lambda s: f"\n12\t{s[:6]}\n13\t{s[6:]}\n",
    "with line ends of Windows": lambda s: f"{s[:6]}\r\n{s[6:]}",
    "added strings": lambda s: f'"{s[:6]}" + "{s[6:]}"',
    "adjacent strings": lambda s: f"'{s[:6]}'\n    '{s[6:]}'",
    "shell continuation": lambda s: f"{s[:6]}\\\n{s[6:]}",
    "letter by letter": lambda s: " ".join(s),
    "letters in lines": lambda s: "\n".join(s),
    "letters with dashes": lambda s: "-".join(s),
    "array of letters": lambda s: json.dumps(list(s)),
    "zero-width": lambda s: "\u200b".join(s),
    "soft hyphens": lambda s: s[:4] + "\u00ad" + s[4:],
    "direction": lambda s: f"\u202e{s[:4]}\u202c{s[4:]}",
    "no-break": lambda s: s[:4] + "\u00a0" + s[4:],
    "colours": lambda s: f"{s[:4]}\x1b[31m{s[4:]}\x1b[0m",
    "Markdown": lambda s: f"**{s[:4]}**`{s[4:]}`",
    "HTML tags left out": lambda s: f"{s[:4]}__{s[4:]}",
    "dictionary": lambda s: str({"key": s}),
    "bytes": lambda s: repr(plain(s)),
    "environment": lambda s: f"TOKEN={s}\n",
    "in an address": lambda s: f"https://x:{s}@example.com/",
    "in a word": lambda s: f"abc{s}xyz",
}
PLACES: tuple[Callable[[str], str], ...] = (
    lambda form: form,
    lambda form: f"2026-11-21 ERROR could not connect: {form}; trying again\nTraceback (most recent call last):\n",
    lambda form: f"see ({form}), thanks",
)
