"""No form of a held secret passes, and no ordinary text is taken for one."""

import json
import logging
import random
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.redaction import NOTHING_HELD, RedactingFormatter, Redactor
from tests.fakes.tallies import Tally
from tests.security.secret_corpus import ENCODINGS, HELD, KEY, PLACES

ROOT = Path(__file__).parents[2]
REDACTOR = Redactor.of(HELD | {"app key": KEY})
CASES = [(kind, name) for kind in ENCODINGS for name in HELD]


def test_no_form_of_a_held_secret_passes(tally: Callable[[str], Tally]) -> None:
    count = tally("secrets in encodings")
    for kind, name in CASES:
        for place in PLACES:
            text = place(ENCODINGS[kind](HELD[name]))
            clean = REDACTOR.redact(text)
            missed = name not in REDACTOR.finds(text) or REDACTOR.finds(clean) or ENCODINGS[kind](HELD[name]) in clean
            count.case(f"{name} as {kind}: {text!r}", "it passed" if missed else "")
    count.settle(at_least=1_400)
    assert len(CASES) >= 300


@pytest.mark.parametrize("kind", ["plain", "base64", "base64 at 2", "URL", "JSON, all", "in a diff", "hex"])
def test_what_stands_around_a_secret_stays(kind: str) -> None:
    clean = REDACTOR.redact(f"before {ENCODINGS[kind](HELD['forge token'])} after")
    assert clean.startswith("before ") and clean.endswith(" after")
    assert "[redacted: forge token]" in clean


def test_each_line_of_a_key_is_a_secret() -> None:
    for line in KEY.splitlines()[1:-2]:
        assert REDACTOR.finds(f"x {line} y") == ("app key",)
    assert not any(line in REDACTOR.redact(KEY) for line in KEY.splitlines()[1:-1])


def test_ordinary_text_raises_no_alarm() -> None:
    seeded = random.Random(7)
    held = {f"secret {n}": seeded.choice([secrets.token_urlsafe, secrets.token_hex])(24) for n in range(6)}
    redactor = Redactor.of(held | HELD)
    files = [path for room in ("contracts", "services", "docs", "agents") for path in sorted((ROOT / room).rglob("*.*"))
             if path.suffix in (".py", ".md")]
    alarms = {str(path): found for path in files if (found := redactor.finds(path.read_text()))}
    sys.stderr.write(f"\nordinary texts: {len(files)} files, {len(alarms)} alarms\n")
    assert not alarms and len(files) > 100


def test_a_clean_text_stays_the_very_same_object() -> None:
    text, value = "nothing here", {"a": ["b", 1, None, ("c",)]}
    assert REDACTOR.redact(text) is text and REDACTOR.redact_value(value) is value
    assert not NOTHING_HELD and NOTHING_HELD.redact(HELD["forge token"]) == HELD["forge token"]


def test_values_are_cleaned_keys_included_and_stay_what_they_are() -> None:
    secret = HELD["webhook secret"]
    clean = REDACTOR.redact_value({secret: [f"a {secret}", 3, (secret,)], "b": {"c": secret.encode()}})
    assert secret not in repr(clean)
    assert clean["b"]["c"] == b"[redacted: webhook secret]"
    assert clean["[redacted: webhook secret]"][1:] == [3, ("[redacted: webhook secret]",)]


def test_bytes_that_are_no_text_stay_what_they_are() -> None:
    content = bytes(range(256)) + HELD["forge token"].encode() + b"\xff\xfe\x00"
    assert REDACTOR.redact_bytes(content) == bytes(range(256)) + b"[redacted: forge token]" + b"\xff\xfe\x00"


def test_json_stays_json() -> None:
    written = json.dumps({"token": HELD["database password"], "n": 1})
    assert json.loads(REDACTOR.redact(written)) == {"token": "[redacted: database password]", "n": 1}


def test_what_is_too_short_to_be_a_secret_is_left_alone() -> None:
    assert not Redactor.of({"pin": "1234567"})


def test_a_log_says_no_secret_in_message_arguments_or_traceback() -> None:
    formatter = RedactingFormatter(logging.Formatter("%(message)s"), REDACTOR)
    try:
        raise ValueError(f"refused {HELD['forge token']}")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, __file__, 1, "with %s", (HELD["provider key"],), sys.exc_info())
    written = formatter.format(record)
    assert "with [redacted: provider key]" in written and "refused [redacted: forge token]" in written
