"""``token``, ``login`` and ``whoami`` against a service on a real port."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from contracts.errors import InvalidInput
from services.cli.app import app
from services.cli.service import Refused
from tests.fakes.service import TOKEN, Service
from tests.services.test_api_schema import address, service  # noqa: F401 - fixtures


@pytest.fixture
async def at(address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:  # noqa: F811
    monkeypatch.setenv("PATCHWRIGHT_DATA_DIR", str(tmp_path / "nobody"))
    monkeypatch.setenv("PATCHWRIGHT_URL", address)
    monkeypatch.setenv("PATCHWRIGHT_TOKEN", TOKEN)
    yield


async def said(*words: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, list(words))


async def test_a_token_is_made_listed_used_and_revoked(at: None, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    roles = ("-r", "submitter", "-r", "reviewer")
    made = await said("token", "create", "ada@example.com", *roles, "--repo", "/srv/*", "--days", "1", "--note", "laptop")
    assert made.exit_code == 0, made.output
    secret = made.stdout.strip().splitlines()[-1]
    assert secret.startswith("pwt_") and "shown this once" in made.stderr and secret not in made.stderr
    (listed,) = json.loads((await said("token", "list", "--json")).stdout)
    assert (listed["person"], listed["repositories"]) == ("ada@example.com", ["/srv/*"])
    assert listed["roles"] == ["submitter", "reviewer"]
    table = (await said("token", "list")).stdout
    assert listed["id"] in table and secret not in table and "never" in table
    monkeypatch.setenv("PATCHWRIGHT_TOKEN", secret)
    who = await said("whoami")
    assert "ada@example.com" in who.stdout and "reviewer, submitter" in who.stdout and "/srv/*" in who.stdout
    refused = await said("token", "list")
    assert isinstance(refused.exception, Refused) and "admin" in refused.exception.message
    monkeypatch.setenv("PATCHWRIGHT_TOKEN", TOKEN)
    assert listed["id"] in (await said("token", "revoke", listed["id"])).stdout
    monkeypatch.setenv("PATCHWRIGHT_TOKEN", secret)
    gone = await said("whoami")
    assert isinstance(gone.exception, Refused) and gone.exception.answered == 401
    assert "expired or revoked" in gone.exception.message and "PATCHWRIGHT_TOKEN" in gone.exception.message


async def test_everything_of_a_person_ends_at_once(at: None, service: Service) -> None:  # noqa: F811
    for _ in range(2):
        await said("token", "create", "bob", "--role", "submitter")
    assert "Ended 2 tokens and 0 sessions of bob" in (await said("token", "revoke", "--person", "bob")).stdout
    assert "no tokens" in (await said("token", "list")).stdout
    assert (await said("token", "list", "--all")).stdout.count("revoked") == 2


async def test_a_link_to_sign_in_with_is_printed(at: None, address: str) -> None:  # noqa: F811
    link = (await said("login")).stdout.strip()
    assert link.startswith(f"{address}/login#") and TOKEN not in link


@pytest.mark.parametrize("words", [("revoke",), ("revoke", "1", "--person", "bob"), ("revoke", "../tasks")])
async def test_what_makes_no_sense_is_told(at: None, words: tuple[str, ...]) -> None:
    assert isinstance((await said("token", *words)).exception, InvalidInput)
