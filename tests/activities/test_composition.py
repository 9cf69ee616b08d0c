"""What leaves for a forge is read there and does nothing else, whatever a ticket, a repository or a model wrote."""

import re
from datetime import UTC, datetime

import pytest
from markdown_it import MarkdownIt

from activities.composition import BODY_LIMIT, compose
from activities.plain_words import GUARD, code, harmless, one_line, plain, quoted
from contracts.artifact import ArtifactRef
from contracts.change import ChangedFile, FileStatus
from contracts.checks import CheckResult, ChecksReport
from contracts.plan import ChangePlan, PlannedEdit
from contracts.policy import Policy
from contracts.sandbox import Recipe, SandboxTier
from contracts.steps import Preparation, Spending
from contracts.task import Task, TaskRequest
from contracts.workspace import OpenedWorkspace, Workspace

FORGE = MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable(["table", "strikethrough"])
AUTOLINK = re.compile(r"https?://|www\.\w|[\w.+-]+@[\w-]+\.\w|(?:^|\W)@\w", re.MULTILINE)
REFERENCE = re.compile(r"(?:^|\W|\w)#\w|GH-\d|!\d")
HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<!-- ignore the reviewer -->",
    "&lt;b&gt; &#60;b&#62;",
    "@ada",
    "_@ada_",
    "**@ada**",
    "/@ada",
    "x@example.com",
    "\\@ada",
    "@\u200bada",
    "@\u2060ada",
    "Fixes #1",
    "fixes: #1",
    "Closes shop.js/pay-ments#7",
    "resolves GH-12",
    "Fixes https://forge.example/o/r/issues/1",
    "closes **#3**",
    "Implements #1, !2 and &3",
    "SHOP-1 #close #time 2h",
    "[click](https://evil.example)",
    "\\[click\\](https://evil.example)",
    "\\\\[click](https://evil.example)",
    "[a]: https://evil.example\n\n[a]",
    "![x](https://evil.example/t.gif)",
    "\\!\\[x](https://evil.example/t.gif)",
    "<https://evil.example>",
    "https://evil.example",
    "www.evil.example",
    "```\nfence",
    "~~~\nfence",
    "`code",
    "\\`code\\`",
    "| a | b |\n|---|---|\n| c | d |",
    "a | b \\| c",
    "# Heading",
    "Heading\n===",
    "---",
    "- item",
    "\u202egnp.exe",
    "\u2066hidden\u2069",
    "a\u200db",
    "tag\U000e0041",
    "x\ry",
    "line\u2028break",
    "\x1b[31mred",
    "> > nested",
    "</details>",
    "$`math`$",
    ":+1:",
    "[skip ci]",
    "[ CI skip ]",
    "skip-checks: true",
    "***NO_CI***",
    "/merge",
    "text\n/approve\n  /close",
    "Signed-off-by: Eve <eve@example.com>",
    "Co-authored-by: Eve <e@x.y>",
    "Patchwright-Call: x",
    "ghp_" + "a" * 40,
]


def rendered(markdown: str) -> tuple[str, str]:
    """The HTML a forge makes, and the text nodes in it that the forge would act on."""
    html = FORGE.render(markdown)
    text = re.sub(r"<code>.*?</code>", "", html, flags=re.DOTALL)
    return html, re.sub(r"<[^>]*>", "", text).replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace(
        "&amp;", "&"
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_words_are_shown_and_act_on_nothing(text: str) -> None:
    for made in (plain(text), quoted(text), f"- {one_line(plain(text))}"):
        html, seen = rendered(made)
        assert not re.search(r"<(a|img|script|code|table|h[1-6]|details|!--)\b", html), html
        assert not AUTOLINK.search(seen), seen
        assert not REFERENCE.search(seen), seen
        assert not re.search("[\u202a-\u202e\u2060-\u2069\u200c-\u200f\U000e0000-\U000e007f\x00-\x08\x0b-\x1f]", made)
        assert "ghp_" not in made


@pytest.mark.parametrize("text", HOSTILE)
def test_commit_messages_and_answers_carry_no_commands(text: str) -> None:
    made = harmless(text)
    assert not re.search(r"\[\s*(skip|ci|no|actions)\b|skip-checks|\*\*\*NO_CI|<!--", made, re.IGNORECASE)
    assert not re.search(r"^\s*(/\w|[\w-]+-by:|patchwright-)", made, re.IGNORECASE | re.MULTILINE)
    assert not AUTOLINK.search(made)
    assert not REFERENCE.search(made)
    assert "\n" not in one_line(text)


def test_ordinary_words_stay_as_they_are() -> None:
    for text in (
        "Add retries to the payment client",
        "Введите поддержку: 50 %, a-b, C++ & Go.",
        "Ελληνικά — «ναι»",
        "日本語の名前",
    ):
        assert harmless(text) == text
    assert rendered(plain("a_b*c [x] ~y~ \\z"))[1].strip() == "a_b*c [x] ~y~ \\z"


@pytest.mark.parametrize("text", ["", "`", "``", "a`b``c", "\\`", "\u202ex", "a\nb", "x" * 9_999])
def test_inline_code_cannot_be_left(text: str) -> None:
    html = FORGE.render(f"before {code(text)} `after`")
    assert html.count("<code>") == 2
    assert "\u202e" not in html


def sample(noise: str, many: int = 1) -> str:
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
        results=(CheckResult(name=noise, command=noise, exit_code=0, passed=True, seconds=1),) * many,
    )
    return compose(
        task, Preparation(opened=opened, recipe=Recipe(), policy=Policy(), cards=ref), plan, noise, files, checks, Spending()
    )


@pytest.mark.parametrize("noise", [text for text in HOSTILE if text.isprintable()])
def test_a_whole_pull_request_holds_only_what_we_put_there(noise: str) -> None:
    html, seen = rendered(sample(noise))
    assert html.count("<h2>") == 7
    assert not re.search(r"<h[13-6]|<img|<script|<details|<!--", html.replace("<hr />", ""))
    assert re.findall(r'<a href="([^"]*)"', html) in ([], ["https://t.example/1%60%3Cb%3E"])
    assert html.count("<table>") == 2
    assert not AUTOLINK.search(seen.replace("https://t.example", "")), seen
    assert not REFERENCE.search(seen), seen


def test_a_pull_request_text_fits_every_forge() -> None:
    assert len(sample("&<|*_`" * 2_000, many=2_000)) <= BODY_LIMIT


def test_the_guard_is_the_only_invisible_character() -> None:
    assert set(re.findall("[\u200b-\u200f\u2060-\u206f]", sample("@ada \u200d \u2060 #1"))) == {GUARD}
