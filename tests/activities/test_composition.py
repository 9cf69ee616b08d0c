"""What leaves for a forge is read there and does nothing else, whatever a ticket, a repository or a model wrote."""

import re
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from activities.plain_words import GUARD, code, harmless, line, one_line, plain, quoted
from activities.pull_request.composition import BODY_LIMIT, compose
from activities.pull_request.hunks import hunks_of, reasons
from activities.readable_words import readable
from contracts.approval import RecordedAnswer, Subject, moment
from contracts.artifact import ArtifactRef
from contracts.change import ChangedFile, FileStatus
from contracts.checks import CheckResult, ChecksReport
from contracts.plan import ChangePlan, PlannedEdit
from contracts.policy import Policy
from contracts.sandbox import Recipe, SandboxTier
from contracts.steps import Preparation, Spending
from contracts.task import Task, TaskRequest
from contracts.workspace import OpenedWorkspace, Workspace
from tests.fakes.forge_reader import ACTION, ALLOWED, AUTOLINK, CLOSING, FORGE, SKIPS, assert_powerless, texts
from tests.fakes.hostile_words import HOSTILE, ORDINARY


def test_the_corpus_is_large() -> None:
    assert len(set(HOSTILE)) >= 230


@pytest.mark.parametrize("text", HOSTILE)
def test_words_are_shown_and_act_on_nothing(text: str) -> None:
    for made in (plain(text), quoted(plain(text)), line(text), f"- {line(text)}", f"see {code(text)}"):
        assert_powerless(made)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_models_markdown_is_written_anew_and_acts_on_nothing(text: str) -> None:
    around = ("{}", "Done:\n\n{}\n\nThat is all.", "- {}", "> {}", "**{}**", "x {} y")
    for given in (text + text, *(words.replace("{}", text) for words in around)):
        made = readable(given)
        assert_powerless(made)
        assert_powerless(quoted(made))
        assert readable("after\n\n" + made).startswith("after")


@pytest.mark.parametrize("text", HOSTILE)
def test_commit_messages_carry_no_commands(text: str) -> None:
    made = harmless(text)
    assert not SKIPS.search(made) and not ACTION.search(made) and not CLOSING.search(made) and "<!--" not in made
    assert not AUTOLINK.search(made) and not re.search(r"[#!]\w|GH-\d", made)
    assert "\n" not in one_line(text)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_words_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text
    for made in (plain(text), readable(text)):
        assert "".join(texts(made)).strip().replace(GUARD, "") == text


def test_brackets_tildes_and_underlines_are_seen() -> None:
    for made in (plain("a_b*c [x] ~y~ \\z"), readable("a_b\\*c [x] \\~y\\~ \\\\z")):
        assert "".join(texts(made)).strip().replace(GUARD, "") == "a_b*c [x] ~y~ \\z"


def test_good_markdown_of_a_model_stays_readable() -> None:
    said = """Renamed `charge` to **`charge_once`** in snake_case.

- first
- second
  1. nested
  2. *twice*

```python
def charge_once(key): ...
```

> as asked"""
    assert readable(said) == said.replace("**`charge_once`**", "**`charge_once`**")


def test_a_links_address_is_told_and_no_link() -> None:
    assert readable("See [the docs](https://docs.example/x).") == "See the docs (`https://docs.example/x`)."


PIECES = ("[", "*a", "`", "> ", "<!--", "- ", "a@", "fixes ", ":a", "[a](", "~~", "0", "\\", "&")
LONG = [piece * (4_000 // len(piece)) for piece in PIECES]


@pytest.mark.parametrize("text", LONG)
def test_long_texts_take_no_time(text: str) -> None:
    began = time.monotonic()
    assert_powerless(readable(text))
    assert_powerless(plain(text))
    assert time.monotonic() - began < 3


@pytest.mark.parametrize("text", ["", "`", "``", "a`b``c", "\\`", "\u202ex", "a\nb", "x" * 9_999])
def test_inline_code_cannot_be_left(text: str) -> None:
    html = FORGE.render(f"before {code(text)} `after`")
    assert html.count("<code>") == 2
    assert "\u202e" not in html


def sample(noise: str, many: int = 1, **more: Any) -> str:
    request = TaskRequest(
        repo="/r",
        title=f"T {noise}"[:300].strip(),
        ticket_url="https://t.example/1`<b>",
        constraints=(noise,) * 50,
        acceptance_criteria=(noise,) * 50,
    )
    task = Task(id="pw-1", request=request, created_at=datetime.now(UTC))
    opened = OpenedWorkspace(
        workspace=Workspace(mirror="m", name="pw-1"),
        base_branch="main",
        base_commit="b" * 40,
        default_branch="main",
        remote="/r",
        files=1,
    )
    ref = ArtifactRef(sha256="0" * 64, size=1)
    plan = ChangePlan(
        goal=noise,
        rationale=noise,
        risks=(noise,) * many,
        checks=(noise, ""),
        constraints=(noise,) * many,
        edits=tuple(PlannedEdit(path=f"{n}/{noise}", intent=noise) for n in range(many)),
    )
    files = [ChangedFile(path=f"{n}/{noise}"[:4_000], status=FileStatus.MODIFIED) for n in range(many)]
    checks = ChecksReport(
        commit="c" * 40,
        tree="t" * 40,
        tier=SandboxTier.CONTAINER,
        image=noise,
        note=noise,
        results=(CheckResult(name=noise, command=noise, exit_code=0, passed=True, seconds=1, log=ref),) * many,
    )
    preparation = Preparation(opened=opened, recipe=Recipe(), policy=Policy(), cards=ref)
    return compose(task, preparation, plan, noise, files, checks, Spending(), **more)


DIFF = """\
diff --git a/src/pay.py b/src/pay.py
index 1111111..2222222 100644
--- a/src/pay.py
+++ b/src/pay.py
@@ -10,2 +10,3 @@ def charge(amount):
 x
+retry()
 y
@@ -40 +41,2 @@ {noise}
 z
+audit()
"""


@pytest.mark.parametrize("noise", [text for text in HOSTILE if text.isprintable()])
def test_a_whole_pull_request_holds_only_what_we_put_there(noise: str) -> None:
    said = RecordedAnswer(
        subject=Subject.OPERATION, sha256="1" * 64, approved=True, person=noise, operation=noise, at=datetime.now(UTC)
    )
    made = sample(
        noise, diff=DIFF.replace("{noise}", noise), models=(noise,), page="https://pw.example/t/pw-1",
        approvals=(said,), operations=(f"{noise} {noise}",),
    )  # fmt: skip
    html = FORGE.render(made)
    assert html.count("<h2>") == 7 and html.count("<table>") == 3
    assert set(re.findall(r'<a href="([^"]*)"', html)) == {"https://pw.example/t/pw-1"}
    # No forge knows a picture by a number of minutes.
    ours = made.replace("(https://pw.example/t/pw-1)", "(x)").replace(moment(said.at), "then")
    assert_powerless(ours, ALLOWED | {"h2", "table", "thead", "tbody", "tr", "th", "td", "a"}, links=ours.count("](x)"))


def test_each_hunk_is_told_with_its_step_of_the_plan() -> None:
    plan = ChangePlan(
        goal="g",
        edits=(
            PlannedEdit(path="src/pay.py", functions=("Client.charge()",), intent="Try three times"),
            PlannedEdit(path="src/pay.py", functions=("refund",), intent="Refund once"),
        ),
        tests=("tests/test_pay.py::test_retry",),
    )
    other = "diff --git a/{0} b/{0}\nindex 1..2 100644\n--- a/{0}\n+++ b/{0}\n@@ -1 +1 @@\n-a\n+b\n"
    diff = DIFF.replace("{noise}", "class Audit:") + other.format("tests/test_pay.py") + other.format("setup.cfg")
    assert [(one.path, one.why, one.places) for one in reasons(hunks_of(diff), plan)] == [
        ("src/pay.py", "Try three times", ("10–12 in def charge(amount):",)),
        ("src/pay.py", "Try three times (beside what the plan names in this file)", ("41–42 in class Audit:",)),
        ("tests/test_pay.py", "a test that the plan names", ("1",)),
        ("setup.cfg", "not in the plan", ("1",)),
    ]


def test_each_operation_is_told_with_who_allowed_it_and_none_is_left_out() -> None:
    names = [f"operation.infrastructure:{number}/Dockerfile:0123456789" for number in range(50)]
    at = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
    said = [
        RecordedAnswer(subject=Subject.OPERATION, sha256="1" * 64, approved=True, person="@grace", operation=name, at=at)
        for name in names[1:]
    ]
    told = sample("plain", many=200, approvals=said, operations=names)
    assert f"Operation `{names[0]}`: approved with the plan." in told
    for name in names[1:]:
        assert f"Operation `{name}`: approved by `@grace` at 2031-05-06 07:08:09 UTC." in told


def test_a_pull_request_text_fits_every_forge() -> None:
    assert len(sample("&<|*_`" * 2_000, many=2_000)) <= BODY_LIMIT


def test_the_guard_is_the_only_invisible_character() -> None:
    assert set(re.findall("[\u200b-\u200f\u2060-\u206f]", sample("@ada \u200d \u2060 #1"))) == {GUARD}
