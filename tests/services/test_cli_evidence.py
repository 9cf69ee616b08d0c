"""``waive`` and ``verify`` as people call them: processes of their own, with what they print and the code they leave with."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from activities.evidence.keys import SigningKeys
from activities.evidence.waivers import Waivers
from contracts.access import Role
from contracts.checks import CheckResult
from contracts.failure import Failure
from contracts.loosening import LOOSENED, Loosening, LooseningKind, Loosenings
from contracts.proof import UNREPORTED, ProofRound, TestProof
from contracts.redaction import NOTHING_HELD
from contracts.reported import Reported, ReportedError
from contracts.sandbox import SandboxTier
from contracts.task import Task
from services import wiring
from services.cli.app import main
from services.cli.screen import keep_quiet_about
from services.settings import CONFIG_VARIABLE, Settings, variable_of
from tests.fakes.desk import held
from tests.fakes.proven_change import ProvenChange, proven_change
from tests.fakes.service import PERSON, Service
from tests.services.test_cli import Done, cli, environment, service  # noqa: F401 - fixtures

COMMIT = "c" * 40
GONE = Loosening(kind=LooseningKind.REMOVED, path="tests/test_a.py", name="test_[red]a")
SKIPPED = Loosening(kind=LooseningKind.SKIPPED, path="tests/test_b.py", name="test_b")
WHY = ("--reason", "It is gone")
Cli = Callable[..., Coroutine[Any, Any, Done]]


# -- waive ---------------------------------------------------------------------------------------------------


async def judged(service: Service, task: Task, *found: Loosening) -> None:  # noqa: F811
    """The gates looked at the tests of a task's change."""
    seen = Loosenings(found=found, commit=COMMIT, commits=(COMMIT,)).model_dump_json().encode()
    await service.tasks.artifacts.put(task.id, "JudgeChange", seen, "application/json", LOOSENED)


async def handed_in(service: Service, person: str) -> Task:  # noqa: F811
    """A task of somebody's under a policy that wants another person's yes, with a test that is gone."""
    task = await service.accepted(requester=person, policy={"separate_approver": True})
    await judged(service, task, GONE)
    return task


def signed(tmp_path: Path, task: Task) -> list[tuple[str, str, set[str]]]:
    """Every waiver of the task that holds: who, why, for what."""
    held_ = Waivers(SigningKeys(tmp_path / "evidence")).in_force(task.id, [COMMIT])
    return [(one.person, one.reason, set(one.fingerprints)) for one in held_]


async def test_a_waiver_is_shown_and_signed_as_whom_the_token_stands_for(
    cli: Cli, service: Service, tmp_path: Path  # noqa: F811
) -> None:
    task = await handed_in(service, "bob")
    done = await cli("waive", task.id[:8], *WHY, "--yes", PATCHWRIGHT_TOKEN=await service.token("grace", Role.REVIEWER))
    assert done.code == 0, done.err
    assert "test_[red]a is gone" in done.out and f"at {COMMIT[:12]}" in done.out
    assert f"Signed as grace. Go on: ./patchwright resume {task.id}" in done.out
    assert signed(tmp_path, task) == [("grace", "It is gone", {GONE.fingerprint})]
    assert ("grace approves the waiver", True) in [
        (entry.told[:25], entry.allowed) for entry in await service.runs.audit.entries(task.id)
    ]


async def test_without_a_token_of_ones_own_the_service_s_own_person_signs(
    cli: Cli, service: Service, tmp_path: Path  # noqa: F811
) -> None:
    task = await handed_in(service, "bob")
    done = await cli("waive", task.id, *WHY, "--yes", "--json", LOGNAME="mallory", USER="mallory")
    assert [one["person"] for one in done.json["waivers"]] == [PERSON]
    assert [who for who, _, _ in signed(tmp_path, task)] == [PERSON]


def unlike_the_report() -> TestProof:
    """The new test fails on the base for another reason than reported, and an original one fails on the change."""

    def red(test: str) -> ProofRound:
        failed = Failure(test=test, error="TypeError", message="no")
        result = CheckResult(name="tests", command="t", exit_code=1, passed=False, seconds=1, failures=(failed,))
        return ProofRound(tree="1" * 40, image="i", tier=SandboxTier.CONTAINER, results=(result,))

    told = Reported(errors=(ReportedError(error="ValueError"),))
    return TestProof(commit=COMMIT, reported=told, on_base_with_tests=(red("test_new"),), with_original_tests=red("test_old"))


@pytest.mark.parametrize("name", ["bob", "BOB"])
async def test_whoever_handed_it_in_cannot_waive_its_tests(
    cli: Cli, service: Service, tmp_path: Path, name: str  # noqa: F811
) -> None:
    task = await handed_in(service, "bob")
    done = await cli("waive", task.id, *WHY, "--yes", PATCHWRIGHT_TOKEN=await service.token(name, Role.ADMIN))
    assert done.code == 1 and "another person" in done.err and "review.separate_approver" in done.err
    assert signed(tmp_path, task) == []
    (entry,) = await service.runs.audit.entries(task.id)
    assert not entry.allowed and entry.rule == "review.separate_approver" and "waiver" in entry.told


async def test_an_operator_s_token_signs_nothing(cli: Cli, service: Service, tmp_path: Path) -> None:  # noqa: F811
    task = await handed_in(service, "bob")
    done = await cli("waive", task.id, *WHY, "--yes", PATCHWRIGHT_TOKEN=await service.token("olga", Role.OPERATOR))
    assert done.code == 1 and "reviewer" in done.err and signed(tmp_path, task) == []


async def test_nothing_is_signed_unasked(cli: Cli, service: Service, tmp_path: Path) -> None:  # noqa: F811
    task = await handed_in(service, "bob")
    done = await cli("waive", task.id, *WHY, stdin="y\n")
    assert done.code == 1 and "Nothing was signed" in done.err and "--yes" in done.err
    assert "test_[red]a is gone" in done.out and signed(tmp_path, task) == []


async def test_originals_and_another_failure_are_signed_for_where_one_says_so(
    cli: Cli, service: Service, tmp_path: Path  # noqa: F811
) -> None:
    task = await service.accepted()
    await judged(service, task)
    proof = unlike_the_report()
    content = proof.model_dump_json().encode()
    await service.tasks.artifacts.put(task.id, "RunCI", content, "application/json", "proof-1.json")
    assert (await cli("waive", task.id, *WHY, "--yes")).code == 1
    assert (await cli("waive", task.id, *WHY, "--yes", "--originals")).code == 0
    assert (await cli("waive", task.id, *WHY, "--yes", "--signature")).code == 0
    assert [names for _, _, names in signed(tmp_path, task)] == [{proof.broken[0].fingerprint}, {UNREPORTED}]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("waive", "pw-0123456789ab", *WHY, "--yes"), 1, "no task"),
        (("waive", "pw-3f", *WHY, "--yes"), 1, "No task's id begins with 'pw-3f'"),
        (("waive", "TASK", *WHY, "--yes"), 1, "found nothing in"),
        (("waive", "TASK", "--reason", "  "), 2, "say why: --reason"),
        (("waive", "TASK"), 2, "--reason"),
        (("waive", "TASK", *WHY, "--days", "900"), 2, "--days"),
    ],
)
async def test_what_cannot_be_signed_is_told(
    cli: Cli, service: Service, words: tuple[str, ...], code: int, told: str  # noqa: F811
) -> None:
    task = await service.accepted()
    done = await cli(*(task.id if word == "TASK" else word for word in words))
    assert done.code == code and told in done.err and "Traceback" not in done.err, done.err


async def test_a_waiver_needs_the_service(cli: Cli, tmp_path: Path) -> None:  # noqa: F811
    done = await cli("waive", "pw-0123456789ab", *WHY, "--yes")
    assert done.code == 1 and done.err.startswith("patchwright: Nothing answers at") and "./patchwright up" in done.err
    assert not (tmp_path / "data").exists()


async def test_what_the_gates_found_after_a_person_looked_is_not_signed_for(service: Service, tmp_path: Path) -> None:  # noqa: F811
    task = await handed_in(service, "bob")
    async with service.client() as http:
        read = (await http.get(f"/tasks/{task.id}/waivers", params={"originals": False, "signature": False})).json()["found"]
        await judged(service, task, GONE, SKIPPED)
        wanted = {"reason": "It is gone", "fingerprints": [one["fingerprint"] for one in read]}
        refused = await http.post(f"/tasks/{task.id}/waivers", json=wanted)
        assert refused.status_code == 409 and "look at it again" in refused.json()["detail"]
        assert signed(tmp_path, task) == []
        wanted["fingerprints"] += [SKIPPED.fingerprint]
        assert (await http.post(f"/tasks/{task.id}/waivers", json=wanted)).status_code == 201


# -- verify --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def honest(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[ProvenChange, str]]:
    """A pull request with evidence, in a data folder whose service does not run."""
    async with held(proven_change(tmp_path_factory.mktemp("honest"))) as change:
        outcome, _ = await change.check()
        yield change, (await change.publish(outcome.report)).pull_request_id


@pytest.fixture
def verify(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]  # noqa: F811
) -> Iterator[Cli]:
    """The same door as a process has, in this one: what ``verify`` imports takes seconds."""
    monkeypatch.chdir(tmp_path)
    for name in [CONFIG_VARIABLE, *map(variable_of, Settings.model_fields)]:
        monkeypatch.delenv(name, raising=False)

    async def run(*words: str, **variables: str) -> Done:
        monkeypatch.setattr("sys.argv", ["patchwright", "verify", *words])
        for name, value in {**environment, **variables}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as left:
            await asyncio.to_thread(main)
        shown = capsys.readouterr()
        return Done(int(left.value.code or 0), shown.out, shown.err)

    yield run
    keep_quiet_about(NOTHING_HELD)


@pytest.fixture
def at_home(honest: tuple[ProvenChange, str]) -> dict[str, str]:
    """The machine of the service that signed."""
    return {"PATCHWRIGHT_DATA_DIR": str(honest[0].settings.data_dir)}


@pytest.fixture
async def file(honest: tuple[ProvenChange, str], tmp_path: Path) -> Path:
    """Its evidence, as it hangs on the pull request."""
    made = tmp_path / "evidence.json"
    made.write_text((await honest[0].evidence()).model_dump_json(by_alias=True))
    return made


@pytest.mark.slow
async def test_an_honest_pull_request_is_run_again_and_holds(
    cli: Cli, honest: tuple[ProvenChange, str], at_home: dict[str, str]  # noqa: F811
) -> None:
    done = await cli("verify", honest[1], **at_home)
    assert done.code == 0, done.out + done.err
    assert "holds check-green/tests" in done.out and "Every claim holds (signatures, logs and a second run)." in done.out


async def test_its_file_holds_anywhere_with_the_public_keys_alone(
    verify: Cli, honest: tuple[ProvenChange, str], file: Path, tmp_path: Path
) -> None:
    keys = wiring.signing_keys(honest[0].settings).folder / "keys.json"
    done = await verify(str(file), "--no-run", "--keys", str(keys))
    assert done.code == 0 and "nothing was run again" in done.out, done.out + done.err
    unknown = await verify(str(file), "--no-run")
    assert unknown.code == 1 and "The evidence does not hold" in unknown.out and "key" in unknown.out
    assert not (tmp_path / "data").exists() and "Traceback" not in unknown.err


async def test_what_nobody_signed_does_not_hold(verify: Cli, file: Path, at_home: dict[str, str]) -> None:
    told = json.loads(file.read_text())
    for envelope in told["envelopes"]:
        envelope["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()
    file.write_text(json.dumps(told))
    done = await verify(str(file), "--json", **at_home)
    assert done.code == 1 and done.json["holds"] is False
    assert any("signature does not fit" in problem for problem in done.json["problems"])


async def test_evidence_without_any_signature_does_not_hold(verify: Cli, file: Path, at_home: dict[str, str]) -> None:
    told = json.loads(file.read_text())
    for envelope in told["envelopes"]:
        envelope["signatures"] = []
    file.write_text(json.dumps(told))
    done = await verify(str(file), **at_home)
    assert done.code == 1 and "0 signatures instead of one" in done.out and "The evidence does not hold" in done.out
    assert "Traceback" not in done.err


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"hello", "no evidence of ours"), (b"{}", "envelopes"), (b"", "no evidence of ours"), (b"\xff\x00", "no evidence of ours")],
)
async def test_a_file_that_is_no_evidence_is_named_so(verify: Cli, tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / "notes.txt").write_bytes(content)
    done = await verify("notes.txt")
    assert done.code == 2 and told in done.err and "Traceback" not in done.err, done.err


async def test_what_is_neither_file_nor_pull_request_is_told_with_what_to_do(verify: Cli, tmp_path: Path) -> None:
    for named in ("local-3f2a-1", "no-such-file.json", "github~github.com~octo~hello~12"):
        done = await verify(named)
        assert done.code == 1 and repr(named) in done.err and "evidence.json --keys" in done.err, done.err
    folder = await verify(str(tmp_path))
    assert folder.code == 2 and "Is a directory" in folder.err


async def test_keys_that_are_none_are_named(verify: Cli, file: Path, tmp_path: Path) -> None:
    missing = await verify(str(file), "--keys", "keys.json")
    assert missing.code == 2 and "keys.json" in missing.err and "No such file" in missing.err
    (tmp_path / "keys.json").write_text("[]")
    wrong = await verify(str(file), "--keys", "keys.json")
    assert wrong.code == 2 and "no public keys" in wrong.err
