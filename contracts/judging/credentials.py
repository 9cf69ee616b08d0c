"""What looks like a credential in a text: one function that stands before every push, comment and prompt.

The formats that makers document are found wherever they stand, also packed or put together from parts. Values that only their
name makes a credential count where they look random. What is known to be an example counts nowhere.
"""

import base64
import binascii
import bisect
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from contracts.judging.credential_formats import FORMATS, Format
from contracts.judging.credential_places import PLACES
from contracts.judging.pieces import pieces
from contracts.judging.placeholders import COMMON_PASSWORDS, entropy, is_placeholder, looks_random, shuffled, weak_password
from contracts.judging.text_views import views

URL_PASSWORD = re.compile(
    r"\b(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{1,30})://(?P<user>[^\s:/@\"'`<>{}]{0,100}):(?P<secret>[^\s/@\"'`<>]{3,200})@"
    r"(?P<host>[^\s/:?#\"'`@]{1,200})"
)
SETTING_PASSWORD = re.compile(
    r"(?i)(?P<mark>[;?&]\s?|^|[\"'`\s])(?:password|pwd)\s{0,3}=\s{0,3}"
    r"(?P<secret>[^\s;\"'`&]{6,100})(?P<end>;?)"
)
ASSIGNMENT = re.compile(
    r"(?i)(?P<name>(?:api[_.-]?key|apikey|access[_.-]?key|secret|token|passw(?:or)?d"
    r"|passwd|pwd|passphrase|credential|auth[_.-]?key"
    r"|private[_.-]?key|signing[_.-]?key|encryption[_.-]?key|client[_.-]?key|master[_.-]?key"
    r"|service[_.-]?key|bearer|x-api-key|[_.-]pa(?:ss|t)\b|(?-i:[A-Z]_KEY\b))s?[\w.-]{0,20}?)"
    r"[\"'`]?\]?\)?\s{0,5}(?::\s{0,5}[A-Za-z_][\w\[\]. |]{0,30}=|:=|=>|={1,3}|:|,|\?\?|\|\|)\s{0,5}"
    r"(?:[\w.]{1,30}\()?(?P<quote>[\"'`]?)(?P<secret>[^\s\"'`,;(){}<>\[\]]{8,200})(?P<after>[^\n]?)"
)
FRAMEWORK_KEY = re.compile(r"(?i)secret_?key[\"']?\]?\s{0,3}[:=]\s{0,3}[\"'](?P<secret>[^\s\"'`\\]{32,100})[\"']")
"""What sessions are signed with: it holds any sign."""
BEFORE_WORD = re.compile(r"[\w.-]{0,40}")
"""What may stand before the word in a name, read backwards."""
NAMES = re.compile(r"key|secret|token|pass|pwd|credential|bearer|_pat\b", re.IGNORECASE)
NO_CREDENTIAL = re.compile(
    r"hash|sha|sha1|sha256|sha512|digest|checksum|etag|integrity|commit|revision|public|fingerprint|uuid|guid|"
    r"name|path|file|url|uri|endpoint|host|type|label|title|message|error|length|len|size|count|max|min|"
    r"limit|expiry|expires|expiration|ttl|header|field|column|prefix|suffix|pattern|regex|format|class|event|"
    r"tokenizer|tokenize|xpath|selector|placeholder|description|text|hint|help|scope|version|kind|index|"
    r"position|cache|sort|primary|foreign|keyword|arn|ref|alias|provider|issuer|idempotency"
)
"""Words of a name that say of what stands behind it that it is no credential; so does an ``id`` at its end."""
WORD_OF_NAME = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+\d*|\d+")
PLAIN_VALUE = re.compile(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_$][\w$]*)+|[A-Za-z][A-Za-z_-]*\d{0,2}|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+"
    r"|[a-z]+\d{0,3}(?:[_-](?:[a-z]+\d{0,3}|\d{1,3}))+"
    r"|\d+(?:\.\d+)*|(?i:sha\d{3})-.+"
    r"|(?i:https?|file|arn|urn|data|ssm|vault|secretsmanager|op):.*|(?:vault|secretsmanager|projects|secrets?)/.*|/.*|\.{1,2}/.*"
    r"|.*[/\\].*\.\w{1,5}|\$.*|%.*|@.*|#.*|&.*|!.*|~.*|:.*|-.*"
)
"""Names, numbers, paths and what refers to something: no values of their own."""
HASHES = re.compile(r"(?i)(?:sha(?:1|256|384|512)|md5)[-:=$ ]|integrity|checksum|digest|etag")
RELAXED = re.compile(
    r"(?i)(?:^|/)(?:tests?|testdata|__tests__|__mocks__|__snapshots__|specs?|fixtures?|mocks?"
    r"|examples?|samples?|docs?|e2e|cypress|stories)/"
    r"|(?:^|/)(?:test_|conftest)[^/]*$|[._-](?:test|spec|stories)\.\w+$|_test\.\w+$|\.(?:md"
    r"|rst|adoc|txt|snap|example|sample|template|dist|tmpl|po|pot)$"
)
"""Where people write values that are none: the names of values say less there."""
GENERATED = re.compile(
    r"(?i)(?:^|/)(?:package-lock\.json|npm-shrinkwrap\.json|yarn\.lock|pnpm-lock\.yaml|bun\.lock"
    r"|poetry\.lock|pdm\.lock|uv\.lock|pipfile\.lock|cargo\.lock"
    r"|go\.sum|gemfile\.lock|composer\.lock|pubspec\.lock|mix\.lock|packages\.lock\.json|flake\.lock"
    r"|requirements[^/]*\.(?:txt|lock)|[^/]*\.(?:svg|map))$"
)
COMMENT = re.compile(r"^\s*+(?:#|//|/?\*|--|;|<!--)")
KEY_HEAD = re.compile(r"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----")
PIECE, SHARED = 1 << 18, 20_000
"""Characters of a text that are searched at once, and those that the next piece has, too: nothing packed is longer."""
MOST = 500
"""Sightings in one text: whoever sees so many need not see more."""
MOST_VALUES = 200
"""Passwords out of addresses that are taken out wherever else they stand in the text."""


@dataclass(frozen=True)
class Sighting:
    """One place where a text holds what looks like a credential. It does not hold the credential."""

    what: str
    line: int
    """Number of the line, from 1."""
    begins: str
    """A few characters of it, for whoever looks for it."""
    sure: bool = True
    """Whether its form alone tells; otherwise its name and its look do."""


def credentials_in(text: str, path: str = "", sure: bool = False) -> list[Sighting]:
    """Every place of a text that holds what looks like a credential, in order.

    ``path``: of the file the text is from, as tests and lock files hold values that are none; ``sure``: only what its form tells.
    """
    ends = [at.end() for at in re.finditer("\n", text)]
    found: dict[tuple[int, str], Sighting] = {}
    for what, value, place, certain in _seen_in_all(text, path, sure):
        line = bisect.bisect_right(ends, place) + 1
        found.setdefault((line, value[:40]), Sighting(what, line, value[:4] + "…", certain))
        if len(found) >= MOST:
            break
    return sorted(found.values(), key=lambda sighting: sighting.line)


def _seen_in_all(text: str, path: str, sure: bool) -> Iterator[tuple[str, str, int, bool]]:
    """What any view of the text holds, with where in the whole text."""
    for start, piece in pieces(text, PIECE, SHARED):
        for what, value, place, certain in _seen(piece, path, sure):
            yield what, value, start + place, certain


def _seen(text: str, path: str, sure: bool) -> Iterator[tuple[str, str, int, bool]]:
    """What any view of a piece of text holds: its kind, its value, where in the piece, and whether its form alone tells."""
    for view in views(text):
        for what, value, at, certain in _found(view, path, sure):
            yield what, value, at if view is text else max(text.find(value[:12]), 0), certain


def without_credentials(text: str, by: str = "") -> str:
    """The text with ``by``, else ``[redacted: KIND]``, in place of every credential whose form alone tells.

    For what leaves unread: here an example may well go, too.
    """
    for form in _likely(text):
        if not form.contextual:
            group = "secret" if "secret" in form.pattern.groupindex else 0
            text = form.pattern.sub(partial(_redacted, group=group, by=by or f"[redacted: {form.what}]"), text)
    values = sorted(dict.fromkeys(value for _, value, _, _ in (*_in_urls(text), *_in_settings(text))), key=len, reverse=True)
    if values:
        # At once: what stands in for one of them must not be searched for the next.
        anywhere = re.compile("|".join(map(re.escape, values[:MOST_VALUES])))
        text = anywhere.sub(lambda _: by or "[redacted: password]", text)
    if len(values) > MOST_VALUES:
        text = URL_PASSWORD.sub(partial(_redacted, group="secret", by=by or "[redacted: password]"), text)
    return KEY_HEAD.sub(by or "[redacted: private key]", text)


def _redacted(found: re.Match[str], group: str | int, by: str) -> str:
    start, end = found.start(group) - found.start(), found.end(group) - found.start()
    return found[0][:start] + by + found[0][end:]


def _likely(text: str) -> Iterator[Format]:
    """The formats of which a text has a sign."""
    low = text.lower()
    return (form for form in (*FORMATS, *PLACES) if not form.signs or any(sign in low for sign in form.signs))


def _found(text: str, path: str, sure: bool) -> Iterator[tuple[str, str, int, bool]]:
    for form in _likely(text):
        yield from _of_format(form, text, path, sure)
    yield from _in_urls(text)
    if sure or GENERATED.search(path):
        return
    yield from _in_settings(text)
    yield from _assigned(text, path)


def _of_format(form: Format, text: str, path: str, sure: bool) -> Iterator[tuple[str, str, int, bool]]:
    if form.contextual and (sure or GENERATED.search(path)):
        return
    for found in form.pattern.finditer(text):
        group = "secret" if "secret" in form.pattern.groupindex else 0
        value = found[group]
        if is_placeholder(value) or (form.contextual and not looks_random(value)):
            continue
        if (check := CHECKS.get(form.what)) and not check(value):
            continue
        yield form.what, value, found.start(group), not form.contextual


def _in_urls(text: str) -> Iterator[tuple[str, str, int, bool]]:
    for found in URL_PASSWORD.finditer(text):
        value, host = found["secret"], found["host"].lower()
        if (
            weak_password(value)
            or value == found["user"]
            or (re.search(r"[{}$<>%]\w|\$|\{", value) and not re.search(r"%[0-9A-Fa-f]{2}", value))
        ):
            continue
        if _of_documentation(host) and not looks_random(value):
            continue
        yield "password in a URL", value, found.start("secret"), True


def _of_documentation(host: str) -> bool:
    return (
        re.search(
            r"(?:^|\.)(?:example(?:\.\w+)?|invalid|test|localhost|local|localdomain)$|^(?:127\.|0\.0\.0\.0"
            r"|\[?::1|[a-z_-]+$)",
            host,
        )
        is not None
    )


def _in_settings(text: str) -> Iterator[tuple[str, str, int, bool]]:
    for found in SETTING_PASSWORD.finditer(text):
        value = found["secret"]
        if (
            (found["end"] or found["mark"].strip("\"'`\t\n "))
            and not weak_password(value)
            and not is_placeholder(value)
            and re.search(r"\d", value)
            and not re.search(r"[{}$<>()]", value)
        ):
            yield "password in a connection string", value, found.start("secret"), False


def _assigned(text: str, path: str) -> Iterator[tuple[str, str, int, bool]]:
    relaxed = RELAXED.search(path) is not None
    for start, line in _named_lines(text):
        for value in _assigned_in(line, path, relaxed):
            yield "credential by its name", value[0], start + value[1], False


def _named_lines(text: str) -> Iterator[tuple[int, str]]:
    """The lines in which something could be named like a credential, with where they begin. The pattern itself is slow."""
    done = -1
    for found in NAMES.finditer(text):
        if found.start() < done:
            continue
        start, end = text.rfind("\n", 0, found.start()) + 1, text.find("\n", found.end())
        done = end if end >= 0 else len(text)
        yield start, text[start:done]


def _assigned_in(line: str, path: str, relaxed: bool) -> Iterator[tuple[str, int]]:
    for found in FRAMEWORK_KEY.finditer(line):
        if not is_placeholder(found["secret"]) and _telling(found["secret"], relaxed, False):
            yield found["secret"], found.start("secret")
    comment = COMMENT.match(line) is not None
    for found in ASSIGNMENT.finditer(line):
        name, value = _whole_name(line, found), found["secret"]
        if _names_no_credential(name) or found["after"] == "(" or _plain(value) or is_placeholder(value):
            continue
        if not found["quote"] and not _bare_value(path) and not (comment and looks_random(value)):
            continue
        if COMMON_PASSWORDS.fullmatch(value) or not _telling(value, relaxed, re.search("(?i)pass|pwd", name) is not None):
            continue
        yield value, found.start("secret")


def _plain(value: str) -> bool:
    """Whether it is a name, a number or a path, and no letters thrown together."""
    return PLAIN_VALUE.fullmatch(value) is not None and not shuffled(value)


def _names_no_credential(name: str) -> bool:
    """Whether a name speaks of a credential without being one: its hash, its length, its file."""
    words = [word.lower() for word in WORD_OF_NAME.findall(name)]
    return words[-1:] == ["id"] or any(map(NO_CREDENTIAL.fullmatch, words))


def _whole_name(line: str, found: re.Match[str]) -> str:
    """The name with what stands before the word that tells. To look for that first would take forty times as long."""
    before = BEFORE_WORD.match(line[max(0, found.start() - 40) : found.start()][::-1])
    return (before[0][::-1] if before else "") + found["name"]


def _bare_value(path: str) -> bool:
    """Whether values stand without quotes in such a file."""
    return (
        re.search(
            r"(?i)(?:^|/)\.?env[^/]*$|\.(?:env|ya?ml|properties|ini|cfg|conf|toml|sh|bash|envrc|tfvars"
            r"|dockerfile|service)$|(?:^|/)dockerfile",
            path,
        )
        is not None
    )


def _telling(value: str, relaxed: bool, password: bool) -> bool:
    if relaxed:
        mixed = any(map(str.isupper, value)) and any(map(str.islower, value))
        return len(value) >= 24 and mixed and looks_random(value) and entropy(value) >= 4.2 and "-" not in value.strip("-")
    if password:
        mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
        return shuffled(value) or (len(value) >= 8 and mixed and entropy(value) >= 2.9)
    return len(value) >= 16 and looks_random(value)


def _is_jwt(value: str) -> bool:
    """Whether its head is the JSON object that names an algorithm."""
    head = value.split(".")[0]
    try:
        told = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error, RecursionError):
        return False
    return isinstance(told, dict) and ("alg" in told or "typ" in told or "enc" in told)


def _is_login(value: str) -> bool:
    """Whether it is ``user:password`` in base64, with a password that is one."""
    try:
        plain = base64.b64decode(value + "=" * (-len(value) % 4)).decode("utf-8")
    except (ValueError, binascii.Error):
        return False
    user, colon, password = plain.partition(":")
    return bool(colon) and plain.isprintable() and len(password) >= 6 and password != user and not weak_password(password)


CHECKS = {
    "JSON web token": _is_jwt,
    "basic authentication": _is_login,
    "bearer token": looks_random,
    "npm token": lambda v: entropy(v) > 3,
    "Discord token": looks_random,
    "OpenAI key": looks_random,
    "X bearer token": looks_random,
    "AWS secret key": looks_random,
    "Mollie key": looks_random,
    "ElevenLabs key": looks_random,
    "login of Docker": _is_login,
    "token in a header": looks_random,
    "password on a command line": lambda value: not weak_password(value) and not is_placeholder(value),
}
"""What a value must be beside its form."""
