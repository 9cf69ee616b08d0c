"""Models that do it wrong, and endpoints that are not quite OpenAI's: each ends well, or halts with a reason."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.foreign_model import Habits, Part, Says, answers, call, calls, mended, plan
from tests.fakes.foreign_service import ForeignService, foreign_service, in_a_task_of_its_own, patch, untouched
from tests.fakes.stack import remote

pytestmark = pytest.mark.slow
DONE = Says(text="Did what the ticket says.")
PLAN = plan("README.md")
WRITE = call("write_file", path="README.md", content="# new\n")
FILES: dict[str, str | bytes] = {
    "a.py": "def f():\n    return 1\n\n\ndef g():\n    return 1\n",
    "README.md": "# r\n",
    "tests/test_a.py": "from a import f\n\n\ndef test_f():\n    assert f() == 1\n",
}


@pytest.fixture(scope="module")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ForeignService]:
    async with in_a_task_of_its_own(tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest.mark.parametrize(
    ("planner", "told"),
    [
        ([plan("../x", "README.md")], "'../x'"),
        ([plan("/etc/passwd")], "absolute"),
        ([plan(".GIT/hooks/x")], "git's own folder"),
        ([plan()], "`edits` is empty"),
        ([Says(text="a poem")], "not JSON"),
        ([answers([1, 2])], "not a JSON object"),
        ([answers({"goal": "g", "edits": ["README.md"]})], "`edits.0`"),
        ([Says()], "no answer that can be used"),
        ([Says(body={"output": []})], "no answer that can be used"),
        ([Says(refusal="I can't.")], "refused to act as the planner"),
        ([Says(status=401, body={"error": {"message": "bad key"}})], "OPENAI_API_KEY"),
        ([Says(body={"error": {"message": "gone"}})], "gone"),
        ([call("transfer_to_retriever")], "all its 40 turns"),
    ],
)
async def test_a_plan_that_never_comes_halts_with_the_reason(
    service: ForeignService, tmp_path: Path, planner: list[Says], told: str
) -> None:
    repo = remote(tmp_path, FILES)
    played = await service.play(f"plan: {told}", repo, Part(planner))
    assert played.state == "halted", played.reason
    assert told in played.reason, played.reason
    assert untouched(repo)


@pytest.mark.parametrize(
    "planner",
    [
        [Says(text=f"Here is my plan {{so to speak}}:\n```json\n{PLAN.text}\n```\nCheers {{you}}")],
        [Says(text=f"Sure! {PLAN.text} Done {{x}}")],
        [
            answers(
                {
                    "goal": "g",
                    "edits": [{"path": "./README.md", "functions": None, "intent": None}],
                    "tests": None,
                    "risks": None,
                    "ticket": None,
                }
            )
        ],
        [answers({"goal": "g", "edits": [{"path": "README.md", "more": 1}, {"path": "README.md"}], "extra": {}})],
        [Says(text="no"), Says(text="{}"), PLAN],
        [
            Says(status=500),
            Says(status=429),
            Says(body="<html>busy</html>"),
            Says(body={"error": {"code": 502, "message": "upstream"}}),
            PLAN,
        ],
    ],
    ids=["fenced", "in words", "nulls", "more fields", "third try", "storm"],
)
async def test_a_plan_that_can_be_understood_is_taken(
    service: ForeignService, tmp_path: Path, planner: list[Says], request: pytest.FixtureRequest
) -> None:
    played = await service.play(request.node.callspec.id, remote(tmp_path, FILES), Part(planner, [WRITE, DONE]))
    assert played.state == "awaiting_review", played.reason
    assert played.changed() == {"M README.md"}


@pytest.mark.parametrize(
    ("coder", "more", "told"),
    [
        ([Says()], {}, "change is empty"),
        ([WRITE, Says(refusal="I can't.")], {}, "refused to act as the coder"),
        ([WRITE, call("transfer_to_critic")], {"critic": [Says(refusal="No.")]}, "refused to act as the critic"),
        ([WRITE, Says(status=400, body={"error": {"message": "context length exceeded"}})], {}, "context length exceeded"),
        ([call("transfer_to_critic")], {}, "all its 120 turns"),
        (
            [
                call("apply_patch", patch=patch("*** Delete File: tests/test_a.py")),
                call("write_file", path="a.py", content="X = 9\n"),
                DONE,
            ],
            {},
            "no test did",
        ),
    ],
)
async def test_a_change_that_never_comes_halts_and_proposes_nothing(
    service: ForeignService, tmp_path: Path, coder: list[Says], more: dict, told: str
) -> None:
    repo = remote(tmp_path, FILES)
    played = await service.play(f"edit: {told}", repo, Part([PLAN], coder, **more), policy={"max_fix_rounds": 0})
    assert played.state == "halted", played.reason
    assert told in played.reason, played.reason
    assert untouched(repo)
    assert played.shown["pull_request"] is None


async def test_wrong_calls_come_back_with_words_a_model_can_act_on_and_the_task_goes_on(
    service: ForeignService, tmp_path: Path
) -> None:
    wrong = [
        ("frobnicate", {}),
        ("read_file", "{not json"),
        ("read_file", "[1]"),
        ("read_file", {}),
        ("read_file", {"path": 3}),
        ("read_file", {"path": "README.md", "start_line": "abc"}),
        ("read_file", '{"path": "a\\ud800b"}'),
        ("list_files", {"limit": -5}),
        ("read_file", {"path": "README.md", "start_line": 99}),
        ("write_file", {"path": "x", "content": "y"}),
    ]
    patches = [
        patch("*** Update File: a.py", "@@", "-    return 1", "+    return 2"),
        patch("*** Update File: a.py", "@@", "-nope", "+x"),
        patch("*** Add File: ../../x", "+x"),
        patch("*** Add File: .patchwright.yaml", "+x"),
        "",
        "*** Begin Patch\n*** Update File: a.py\n",
    ]
    paths = ["", "README.md/x", "../x", "/abs", "a/" * 2_000 + "x"]
    played = await service.play(
        "wrong calls",
        remote(tmp_path, FILES),
        Part(
            [calls(*wrong), PLAN],
            [
                calls(*(("apply_patch", {"patch": text}) for text in patches)),
                calls(*(("write_file", {"path": path, "content": "x"}) for path in paths)),
                calls(
                    ("run_command", {"command": ""}),
                    ("run_command", {"command": "sleep 60", "timeout_seconds": 1}),
                    ("run_checks", {"names": ["nope"]}),
                ),
                WRITE,
                DONE,
            ],
        ),
    )
    assert played.state == "awaiting_review", played.reason
    assert played.changed() == {"M README.md"}
    for told in (
        ("no tool named 'frobnicate'",),
        ("no tool named 'write_file'",),
        ("not a JSON object",),
        ("`path`: field required",),
        ("`start_line`:", "integer"),
        ("fits 2 places",),
        ("does not fit",),
        ("no change may touch it",),
        ("cut off",),
        ("folders deep",),
        ("`command`:",),
        ("exit code 124",),
        ("no check named 'nope'",),
    ):
        assert "errors.pydantic.dev" not in played.output(*told)


async def test_commands_that_flood_fork_linger_and_wipe_cost_nothing_but_their_time(
    service: ForeignService, tmp_path: Path
) -> None:
    played = await service.play(
        "bad commands",
        remote(tmp_path, FILES),
        Part(
            [PLAN],
            [
                call("run_command", command="yes | head -c 300000000; echo end of flood"),
                call("run_command", command="bash -c ':(){ :|:& };:'; sleep 1"),
                call("run_command", command="(sleep 500 &) ; sleep 300 & echo started"),
                call("run_command", command="rm -rf ./* && git status; ls -A"),
                call(
                    "run_command",
                    command="ln -s /etc/passwd p; mkfifo f; dd if=/dev/zero of=big bs=1M count=40 2>/dev/null; echo alive",
                ),
                call("run_command", command="exit 3"),
                DONE,
            ],
        ),
        policy={"max_fix_rounds": 0},
        seconds=120,
    )
    for told in (
        ("end of flood", "left out"),
        ("fork: retry",),
        ("started",),
        ("not a git repository", "every file is back"),
        ("alive", "absolute path", "regular file"),
        ("exit code 3",),
    ):
        played.output(*told)
    assert played.state == "halted"
    assert "change is empty" in played.reason


async def test_a_run_of_many_turns_goes_on_from_slice_to_slice(service: ForeignService, tmp_path: Path) -> None:
    turns = [call("write_file", path="README.md", content=f"# {n}\n") for n in range(70)]
    played = await service.play("many turns", remote(tmp_path, FILES), Part([PLAN], [*turns, DONE]))
    assert played.file("README.md") == b"# 69\n"
    assert len(played.outputs) == 70, "each edit was made once"


EDITS = Part(
    [calls(("list_files", {}), ("read_file", {"path": "a.py"})), PLAN],
    [
        calls(
            ("write_file", {"path": "README.md", "content": "# new\n"}),
            ("write_file", {"path": "NEW.md", "content": "# new\n"}),
            ("run_command", {"command": "cat NEW.md"}),
        ),
        call("write_file", path="THIRD.md", content="3\n"),
        call("transfer_to_critic"),
        DONE,
    ],
    fixer=[call("write_file", path="FOUR.md", content="4\n"), mended("Added four.")],
)
PLAIN_CHAT = frozenset({"model", "messages", "tools"})


@pytest.mark.parametrize(
    "habits",
    [
        Habits(usage=False, reasoning=True, call_id="call_1"),
        Habits(responses=False, usage=False, call_id=""),
        Habits(strict=False),
        Habits(responses=False, only_fields=PLAIN_CHAT),
        Habits(only_fields=frozenset({"model", "input", "instructions", "tools"})),
    ],
    ids=["no usage, one call id for all", "chat, no usage, empty call ids", "no schemas", "chat, few fields", "few fields"],
)
async def test_endpoints_that_differ_from_openais_serve_a_whole_task(tmp_path: Path, habits: Habits) -> None:
    async with foreign_service(tmp_path / "data", habits) as service:
        played = await service.play("differ", remote(tmp_path, FILES), EDITS, review=True)
        assert played.changed() == {"M README.md", "A NEW.md", "A THIRD.md", "A FOUR.md"}
        assert played.shown["spending"]["model_calls"] == len({str(body) for _, _, body in service.model.asked})
        if not habits.strict or habits.only_fields:
            assert "of this schema" in service.model.heard("differ", "planner"), "what the wire cannot carry is told in words"
