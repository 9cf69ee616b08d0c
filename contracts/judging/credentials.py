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
from contracts.judging.placeholders import COMMON_PASSWORDS, entropy, is_placeholder, looks_random, weak_password
from contracts.judging.text_views import views

URL_PASSWORD = re.compile(
    r"\b(?P<scheme>[A-Za-z][A-Za-z0-9+.-]{1,30})://(?P<user>[^\s:/@\"'`<>{}]{0,100}):(?P<secret>[^\s/@\"'`<>]{3,200})@"
    r"(?P<host>[^\s/:?#\"'`@]{1,200})"
)
SETTING_PASSWORD = re.compile(r"(?i)(?:;|^|[\"'`?&\s])(?:password|pwd)\s*=\s*(?P<secret>[^\s;\"'`&]{6,100})(?=;)")
ASSIGNMENT = re.compile(
    r"(?i)(?P<name>[\w.-]{0,40}?(?:api[_.-]?key|apikey|access[_.-]?key|secret|token|passw(?:or)?d"
    r"|passwd|pwd|passphrase|credential|auth[_.-]?key"
    r"|private[_.-]?key|signing[_.-]?key|encryption[_.-]?key|client[_.-]?key|master[_.-]?key"
    r"|service[_.-]?key|bearer|x-api-key)s?[\w.-]{0,20}?)"
    r"[\"'`]?\]?\)?\s{0,5}(?::\s*[A-Za-z_][\w\[\]. |]{0,30}=|:=|=>|={1,3}|:|,|\?\?|\|\|)\s{0,5}"
    r"(?:[\w.]{1,30}\()?(?P<quote>[\"'`]?)(?P<secret>[^\s\"'`,;(){}<>\[\]]{8,200})(?P<after>[^\n]?)"
)
NAMES = re.compile(r"key|secret|token|passw|pwd|passphrase|credential|bearer", re.IGNORECASE)
NO_CREDENTIAL = re.compile(
    r"(?i)(?:hash|sha\d*|digest|checksum|etag|integrity|commit|revision|public|fingerprint"
    r"|_?id$|uuid|name|path|file|url|uri|endpoint|host|type|label"
    r"|title|message|error|length|size|count|max|min|limit|expir|ttl|header|field|column|prefix"
    r"|suffix|pattern|regex|format|class|event|tokeniz|csrf_?name"
    r"|xpath|selector|placeholder|description|text|hint|help|scope|version|kind|index|position"
    r"|cache[_.-]?key|sort[_.-]?key|primary|foreign|keyword)"
)
PLAIN_VALUE = re.compile(
    r"(?i)[a-z_][\w]*(?:\.[\w$]+)+|[a-z][a-z_-]*|[A-Z][A-Z0-9_]*|\d+(?:\.\d+)*|sha\d{3}-.+"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{20,30}"
    r"|(?:https?|file|arn|urn|data|ssm|vault|secretsmanager|projects|op):?/?.*|/.*|\.{1,2}/.*"
    r"|.*[/\\].*\.\w{1,5}|\$.*|%.*|@.*|#.*|&.*|!.*|~.*|:.*|-.*"
)
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
KEY_HEAD = re.compile(r"-----BEGIN[ A-Z0-9_-]{0,100}PRIVATE KEY(?: BLOCK)?-----")
MAX_LINE = 100_000
"""Characters of a line that are searched; a longer one is reported by its kind of file."""


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
    for view in views(text):
        exact = view is text
        for what, value, at, certain in _found(view, path, sure):
            place = at if exact else text.find(value[:12]) if value[:12] in text else 0
            line = bisect.bisect_right(ends, max(place, 0)) + 1
            found.setdefault((line, value[:40]), Sighting(what, line, value[:4] + "…", certain))
    return sorted(found.values(), key=lambda sighting: sighting.line)


def without_credentials(text: str, by: str = "") -> str:
    """The text with ``by``, else ``[redacted: KIND]``, in place of every credential whose form alone tells.

    For what leaves unread: here an example may well go, too.
    """
    low = text.lower()
    for form in FORMATS:
        if not form.contextual and form.signs and any(sign in low for sign in form.signs):
            group = "secret" if "secret" in form.pattern.groupindex else 0
            text = form.pattern.sub(partial(_redacted, group=group, by=by or f"[redacted: {form.what}]"), text)
    for what, value, _, _ in list(_in_urls(text)):
        text = text.replace(value, by or f"[redacted: {what}]")
    return KEY_HEAD.sub(by or "[redacted: private key]", text)


def _redacted(found: re.Match[str], group: str | int, by: str) -> str:
    start, end = found.start(group) - found.start(), found.end(group) - found.start()
    return found[0][:start] + by + found[0][end:]


def _found(text: str, path: str, sure: bool) -> Iterator[tuple[str, str, int, bool]]:
    low = text.lower()
    for form in FORMATS:
        if not form.signs or any(sign in low for sign in form.signs):
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
            not weak_password(value)
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
        if done - start <= MAX_LINE:
            yield start, text[start:done]


def _assigned_in(line: str, path: str, relaxed: bool) -> Iterator[tuple[str, int]]:
    for found in ASSIGNMENT.finditer(line):
        name, value = found["name"], found["secret"]
        if NO_CREDENTIAL.search(name) or found["after"] == "(" or PLAIN_VALUE.fullmatch(value) or is_placeholder(value):
            continue
        if not found["quote"] and not _bare_value(path):
            continue
        if COMMON_PASSWORDS.fullmatch(value) or not _telling(value, relaxed, "pass" in name.lower() or "pwd" in name.lower()):
            continue
        yield value, found.start("secret")


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
        return len(value) >= 8 and any(map(str.isdigit, value)) and any(map(str.isalpha, value)) and entropy(value) >= 2.9
    return len(value) >= 16 and looks_random(value)


def _is_jwt(value: str) -> bool:
    """Whether its head is the JSON object that names an algorithm."""
    head = value.split(".")[0]
    try:
        told = json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)))
    except (ValueError, binascii.Error):
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
    "password on a command line": lambda value: not weak_password(value) and not is_placeholder(value),
}
"""What a value must be beside its form."""
