"""What only stands where a credential would: examples, blanks to fill in, words of a test, keys that everybody knows."""

import math
import re
from collections import Counter

WORDS = re.compile(
    r"example|sample|dummy|placeholder|change[-_]?me|replace[-_]?(?:me|with|this)|your[-_]"
    r"|yourtoken|insert[-_]|redacted|notreal|not[-_]a|"
    r"(?:^|[^a-z])fake|foo[-_]?bar|deadbeef|lorem|x{4,}|\*{3,}|\.{3}|…|<[^<>]*>|\$\{|\{\{|%\(|%s|\$\(|#\{|todo|"
    r"for[-_](?:tests?|dev|local)|testing|unit[-_]?test|test[-_](?:token|key|secret|pass)"
    r"|mock[-_]|my[-_]?(?:secret|token|key|pass)|"
    r"super[-_]?secret|hunter2|correct[-_]?horse|secret[-_](?:here|value)|never[-_]|invalid"
    r"|none|null|undefined|abc123|123abc",
    re.IGNORECASE,
)
SEQUENCES = ("0123456789", "1234567890", "abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba", "9876543210")
HEX_WORD = re.compile(r"[0-9a-f]+|[0-9A-F]+")
SMALL = re.compile(r"[a-z]+")
MOST = 300
"""Characters of a value that are looked at for a pattern in it: no credential needs more to look like one."""
RUN = 7
"""Letters in a row of a sequence."""
DOCUMENTED = frozenset(
    {
        "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
        "C2y6yDjf5/R+ob0N8A7Cgv30VRDJIWEHLM+4QDU5DE2nQ9nDuVTqobD4b8mGGyPMbIZnqyMsEcaGQy67XIw/Jw==",
        "sk_test_4eC39HqLyjWDarjtT1zdp7dc",
        "sk_test_BQokikJOvBiI2HlWgH4olfQ2",
        "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe",
        "QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
        "dXNlcm5hbWU6cGFzc3dvcmQ=",
        "dXNlcjpwYXNzd29yZA==",
    }
)
"""Keys that the makers' documentation and emulators show to everybody."""
JWT_EXAMPLES = (
    "SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c",
    "TJVA95OrM7E2cBab30RMHrHDcEfxjoYZgeFONFh7HgQ",
    "XbPfbIHMI6arZ3Y922BhjWgQzWXcXNrz0ogtVhfEd2o",
    "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
)
"""Signatures of the tokens that jwt.io and RFC 7519 show."""
COMMON_PASSWORDS = re.compile(
    r"(?:pass(?:word|wd)?|passwort|secret|root|admin|guest|user|postgres|mysql|mongo|redis"
    r"|rabbitmq|test|dev|local|docker|demo|public|"
    r"pw|pwd|token|key|foo|bar|baz|app|db|database|sa|changeit|letmein|qwerty|hunter|django"
    r"|rails|laravel|symfony|minio|airflow|wordpress|"
    r"pytest|ci|build|runner|api|web|x|\*|strong|your|the|some|my|is|a)+[-_!@.]{0,3}\d{0,4}!?",
    re.IGNORECASE,
)


def is_placeholder(value: str) -> bool:
    """Whether a value cannot be a credential of anybody."""
    if value in DOCUMENTED or any(signature in value for signature in JWT_EXAMPLES):
        return True
    value = value[:MOST]
    if WORDS.search(value):
        return True
    core = re.sub(r"[^A-Za-z0-9]", "", max(value.split("_"), key=len) if value.count("_") in (1, 2) else value)
    return (
        len(core) < 6
        or len(set(core)) <= 5
        or (len(set(core)) < len(core) * 0.16 and len(core) < 60)
        or _repeats(core)
        or _counts(core)
    )


def looks_random(value: str) -> bool:
    """Whether a value is too mixed for a word of any language or a name in code."""
    letters, digits = sum(map(str.isalpha, value)), sum(map(str.isdigit, value))
    if shuffled(value):
        return True
    if len(value) < 10 or not letters or digits < 2:
        return False
    if len(value) >= 20 and HEX_WORD.fullmatch(value):
        return digits >= 4 and letters >= 3 and len(set(value)) >= 9
    return entropy(value) >= (3.0 if len(value) < 20 else 3.3)


def shuffled(value: str) -> bool:
    """Whether small letters stand between capital ones as in no name of any language: few at a time."""
    small = SMALL.findall(value)
    capital = sum(map(str.isupper, value))
    letters = capital + sum(map(len, small))
    return (
        len(value) >= 16
        and len(small) >= 4
        and sum(map(len, small)) < 2.7 * len(small)
        and capital >= 0.25 * letters
        and len(set(value)) >= 10
    )


def weak_password(value: str) -> bool:
    """Whether everybody would guess it: what people write for a database on their own machine."""
    return len(value) < 4 or COMMON_PASSWORDS.fullmatch(value) is not None or (is_placeholder(value) and len(value) < 12)


def entropy(value: str) -> float:
    """Shannon's entropy, in bits for each character."""
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values()) if value else 0.0


def _repeats(core: str) -> bool:
    """Whether a short piece over and over makes it."""
    return any(
        core[:size] * (len(core) // size + 1) >= core and core in core[:size] * (len(core) // size + 1)
        for size in range(1, max(2, len(core) // 2))
        if len(core) >= 2 * size
    )


def _counts(core: str) -> bool:
    """Whether most of it counts up or down."""
    low = core.lower()
    runs = sum(1 for at in range(len(low) - 3) if any(low[at : at + 4] in sequence for sequence in SEQUENCES))
    return any(low[at : at + RUN] in sequence for sequence in SEQUENCES for at in range(len(low) - RUN + 1)) and runs * 4 >= len(
        low
    )
