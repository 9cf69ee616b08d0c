"""The organisation's policy from a file: validated, explained, tested, and read again without a restart."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from contracts.deciding import ROLE_TOOLS, decide
from contracts.deeds import PathWrite
from contracts.errors import InvalidInput
from contracts.policy import Policy
from services.api.policy import policy_routes
from services.api.problems import Problems
from services.cli.app import app
from services.policies import OrganisationPolicy, read_policy
from services.web.rendering import error_page
from services.wiring import agent_cards

Command = Callable[..., Result]
SOUND = "paths: {allowed: ['src/**']}\nbudgets: {max_model_calls: 900}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(SOUND)
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    monkeypatch.setenv("PATCHWRIGHT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def command(*words: object) -> Result:
        return CliRunner().invoke(app, ["policy", *map(str, words)])

    return command


def test_validate_says_the_digest_or_the_key_to_mend(run: Command, file: Path) -> None:
    assert read_policy(file).sha256 in run("validate", file).output
    file.write_text("budgets: {max_model_cals: 3}\n")
    refused = run("validate", file)
    assert isinstance(refused.exception, InvalidInput)
    assert "unknown key 'max_model_cals'" in refused.exception.message


def test_a_key_that_stands_twice_is_refused(file: Path) -> None:
    file.write_text("paths: {allowed: ['src/**']}\npaths: {allowed: ['**']}\n")
    with pytest.raises(InvalidInput, match=r"line 2.*stands twice"):
        read_policy(file)


def test_explain_names_the_rule_and_the_layer_that_refuses(run: Command, file: Path, tmp_path: Path) -> None:
    (tmp_path / ".patchwright.yaml").write_text("checks: []\npolicy:\n  paths: {denied: ['src/private/**']}\n")
    refused = run("explain", "write", "src/private/key.py", "--policy", file)
    assert refused.exit_code == 1
    assert "refused by paths.denied" in refused.output
    assert "organisation: allowed" in refused.output and "repository (.patchwright.yaml): refused" in refused.output
    assert run("explain", "write", "src/a.py", "--policy", file).exit_code == 0


def test_the_merged_policy_is_shown_by_section(run: Command, file: Path) -> None:
    assert "max_model_calls: 900" in run("explain", "--policy", file).output


def test_expected_verdicts_are_held_against_the_policy(run: Command, file: Path, tmp_path: Path) -> None:
    cases = tmp_path / "deeds.yaml"
    cases.write_text(
        "deeds:\n"
        "  - {deed: write, path: src/a.py, expect: allowed}\n"
        "  - {deed: tool, role: planner, tool: write_file, expect: refused, rule: code.role_tools}\n"
    )
    assert "2 of 2 deeds" in run("test", cases, "--policy", file).output
    cases.write_text("deeds:\n  - {deed: write, path: docs/a.md, expect: allowed}\n")
    wrong = run("test", cases, "--policy", file)
    assert wrong.exit_code == 1 and "is refused by paths.allowed, not allowed" in " ".join(wrong.output.split())


def test_the_file_is_narrowed_by_the_setting(file: Path) -> None:
    policy = OrganisationPolicy(file, Policy(max_model_calls=1_000, max_fix_rounds=1)).current
    assert (policy.max_model_calls, policy.max_fix_rounds) == (900, 1)


async def test_a_hangup_reads_the_file_again_and_keeps_what_is_sound(file: Path) -> None:
    policy = OrganisationPolicy(file, Policy())
    with policy.reloaded_by_signal():
        file.write_text("paths: {allowed: ['docs/**']}\n")
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
        assert decide(policy.current, PathWrite(path="docs/a.md")).allowed
        before = policy.current
        file.write_text("paths: [")
        os.kill(os.getpid(), signal.SIGHUP)
        await asyncio.sleep(0.05)
        assert policy.current is before


async def test_the_file_is_read_again_over_http_and_a_bad_one_changes_nothing(file: Path) -> None:
    policy = OrganisationPolicy(file, Policy())
    door = FastAPI()
    door.include_router(policy_routes(policy))
    Problems(door, error_page)
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app=door), base_url="http://door") as http:
        assert (await http.get("/policy")).json()["policy"]["budgets"]["max_model_calls"] == 900
        file.write_text("budgets: {max_model_calls: 7}\n")
        assert (await http.post("/policy/reload")).json()["sha256"] == policy.current.sha256 == Policy(max_model_calls=7).sha256
        file.write_text("budgets: {max_model_calls: none}\n")
        refused = await http.post("/policy/reload")
        assert (refused.status_code, policy.current.max_model_calls) == (422, 7)
        assert "budgets.max_model_calls" in refused.json()["detail"]


def test_every_card_of_ours_stays_within_its_role() -> None:
    for card in agent_cards():
        assert set(card.tools) <= ROLE_TOOLS[card.name], card.name
