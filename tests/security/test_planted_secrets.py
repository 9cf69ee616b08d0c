"""What we hold goes out in no form and no place; what looks like anybody's credential is found where people leave it."""

from collections.abc import Callable

from contracts.judging.credentials import credentials_in, without_credentials
from contracts.judging.difference import FILE, Difference, Side, Touched
from contracts.judging.judgement import judge
from contracts.policy import Policy
from contracts.redaction import Redactor
from tests.fakes.tallies import Tally
from tests.security.known_formats import FORMATS, named, planted
from tests.security.secret_corpus import ENCODINGS, HELD

POLICY = Policy()
REDACTOR = Redactor.of(HELD)
FOUND_AT_LEAST = 0.97


def of_file(path: str, content: bytes) -> Difference:
    return Difference((Touched(path.encode("utf-8", "surrogateescape"), None, Side(FILE, "3" * 40, content, len(content))),))


def held_places(text: str) -> dict[str, Difference]:
    data = text.encode("utf-8", "surrogatepass")
    return {
        "a line": of_file("src/a.py", b"x = 1\n# " + data + b"\n"),
        "a picture": of_file("assets/a.png", b"\x89PNG\r\n\x1a\n\0\0" + data + b"\0\0"),
        "two bytes a letter": of_file("a.txt", ("see " + text).encode("utf-16", "surrogatepass")),
        "a message": Difference((), messages=(f"Mend it\n\n{text}\n",)),
        "a name": of_file("docs/" + text.replace("/", "_").replace("\n", "")[:200] + ".md", b"x\n"),
    }


def test_nothing_that_we_hold_goes_out(tally: Callable[[str], Tally]) -> None:
    counted = tally("held secrets in changes")
    for encoding, encode in ENCODINGS.items():
        for name, secret in HELD.items():
            for place, difference in held_places(encode(secret)).items():
                if place == "a name" and len(encode(secret)) > 200:
                    continue
                judged = judge(difference, POLICY, REDACTOR)
                told = [finding for finding in judged.findings if finding.rule == "secret.held" or place == "a name"]
                leaked = any(secret in finding.sentence for finding in judged.findings)
                counted.case(f"{encoding} of {name} in {place}", "" if told and not leaked else "passed")
    counted.settle(at_least=1_400)


def test_credentials_of_well_known_kinds_are_found() -> None:
    missed, tried = [], 0
    for where, path, content in (*planted(), *named()):
        tried += 1
        found = [finding for finding in judge(of_file(path, content), POLICY).findings if finding.rule.startswith("secret.")]
        if not found:
            missed.append(where)
        assert not any(content.decode("utf-8", "replace")[12:40] in finding.sentence for finding in found)
    print(f"planted credentials: {tried - len(missed)} of {tried} found; missed: {missed[:30]}")
    assert tried >= 1_500 and len(missed) <= tried * (1 - FOUND_AT_LEAST), missed


def test_text_that_goes_out_holds_no_credential(tally: Callable[[str], Tally]) -> None:
    counted = tally("credentials in comments")
    for kind, make in FORMATS.items():
        secret = make()
        clean = without_credentials(f"It works with {secret} now.")
        counted.case(kind, "" if clean.startswith("It works with") and clean.endswith("now.") and secret not in clean else clean)
    counted.settle(at_least=60)


def test_a_sighting_says_where_and_does_not_repeat_the_credential() -> None:
    secret = FORMATS["GitHub classic"]()
    (sighting,) = credentials_in(f"one\ntwo\ntoken = '{secret}'\n")
    assert sighting.line == 3 and sighting.what == "GitHub token" and secret not in sighting.begins
