"""Secrets of the list, as the roles use them: lent by who asks, replaced without a restart, written down, and nobody else's."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from contracts.errors import CapabilityUnavailable, GuardrailTripped, InvalidInput, PatchwrightError
from contracts.mcp_access import McpServerAccess, SecretPlace
from contracts.secret import Lease, Purpose
from mcp_servers.secrets.audit import entries
from services import mcp_wiring, secret_uses, wiring
from services.held_secrets import redactor
from services.lent_secrets import LentSecrets
from services.secret_uses import LEDGER, REPO
from services.serving import address_of, listening, serving
from services.settings import IsolatedSettings, Settings
from tests.fakes.ledger import MODEL, running_ledger
from tests.fakes.provider import Asked, Says, provider
from tests.fakes.vault import ROLE, SECRET_ID, vault

OLD, NEW = "glpat-9aZk2LmQ7rT4vX1bN8cW", "glpat-5dE3fG6hJ0yUsP1oK4iR"
TOKENS = {REPO: "repo-token-0123456789", LEDGER: "ledger-token-0123456789"}


def written(file: Path, secret: str) -> str:
    file.write_text(secret + "\n")
    file.chmod(0o600)
    return str(file)


def lending(folder: Path, file: Path, **more: Any) -> Settings:
    """Settings with one secret for each of two roles, both in one file."""
    secrets: Any = {
        "forge/gitlab": {"file": str(file), "holders": [{"who": "repo", "purposes": ["forge"], "seconds": 60}]},
        "model": {"file": str(file), "holders": [{"who": "ledger", "purposes": ["model"], "seconds": 60}]},
    }
    return IsolatedSettings(data_dir=folder, secrets=secrets, **more)


def forge(**more: str) -> dict[str, Any]:
    return {"gitlab.example": {"kind": "gitlab", "token_secret": "forge/gitlab", **more}}


# -- in one process ------------------------------------------------------------------------------------------


def test_a_role_is_lent_what_its_settings_name_and_it_is_written_down(tmp_path: Path) -> None:
    settings = lending(tmp_path, Path(written(tmp_path / "kept", OLD)), forges=forge())
    keys = mcp_wiring.keyring(settings, REPO)
    assert keys.forge_token("gitlab.example") == OLD == keys.forge_token("gitlab.example")
    [line] = entries(settings.secrets_audit_file)
    assert (line.who, line.name, line.purpose, line.verdict) == ("repo", "forge/gitlab", "forge", "handed out")
    assert OLD not in settings.secrets_audit_file.read_text()


def test_a_lent_secret_is_known_to_the_processes_redactor_at_once(tmp_path: Path) -> None:
    settings = lending(tmp_path, Path(written(tmp_path / "kept", OLD)), forges=forge())
    known = redactor(settings)
    assert known.redact(OLD) == OLD
    mcp_wiring.keyring(settings, REPO).forge_token("gitlab.example")
    assert known.redact(f"x {OLD} y") == "x [redacted: forge/gitlab] y"


def test_a_replaced_secret_counts_as_soon_as_the_old_one_is_refused_and_both_are_taken_out(tmp_path: Path) -> None:
    file = tmp_path / "kept"
    settings = lending(tmp_path, Path(written(file, OLD)), forges=forge())
    keys = mcp_wiring.keyring(settings, REPO)
    keys.forge_token("gitlab.example")
    written(file, NEW)
    assert keys.forge_token("gitlab.example") == OLD
    assert keys.forge_token_again("gitlab.example") and keys.forge_token("gitlab.example") == NEW
    assert not any(secret in redactor(settings).redact(f"{OLD} and {NEW}") for secret in (OLD, NEW))


def test_another_role_is_refused_and_that_is_written_down(tmp_path: Path) -> None:
    settings = lending(tmp_path, Path(written(tmp_path / "kept", OLD)), forges=forge())
    with pytest.raises(GuardrailTripped, match="not on the list"):
        mcp_wiring.keyring(settings, LEDGER).forge_token("gitlab.example")
    [line] = entries(settings.secrets_audit_file)
    assert (line.who, line.verdict) == ("ledger", "refused")


async def test_from_within_a_loop_it_is_lent_as_well(tmp_path: Path) -> None:
    settings = lending(tmp_path, Path(written(tmp_path / "kept", OLD)), forges=forge())
    assert mcp_wiring.keyring(settings, REPO).forge_token("gitlab.example") == OLD


# -- leases --------------------------------------------------------------------------------------------------


class Lender:
    """Lends another value each time, for ten seconds."""

    def __init__(self) -> None:
        self.asked, self.now = 0, 0.0

    def __call__(self, name: str, purpose: Purpose) -> Lease:
        self.asked += 1
        until = datetime.now(UTC)
        return Lease(id="l", name=name, purpose=purpose, value=SecretStr(f"value {self.asked}"), seconds=10, expires_at=until)


async def test_a_lease_is_kept_until_it_ends_and_asked_for_once_however_many_need_it() -> None:
    lender = Lender()
    lent = LentSecrets(lender, clock=lambda: lender.now)
    values = await asyncio.gather(*(asyncio.to_thread(lent.value, "a", Purpose.FORGE) for _ in range(20)))
    assert set(values) == {"value 1"}
    for lender.now, value in ((9.9, "value 1"), (10, "value 2"), (19.9, "value 2"), (20, "value 3")):
        assert lent.value("a", Purpose.FORGE) == value
    assert lent.value("a", Purpose.PROXY) == "value 4"


def test_after_a_failure_nothing_of_the_ended_lease_is_left() -> None:
    lender = Lender()
    lent = LentSecrets(lambda *asked: lender(*asked) if lender.asked == 0 else _refuse(), clock=lambda: lender.now)
    lent.value("a", Purpose.FORGE)
    lender.now = 10
    for _ in range(2):
        with pytest.raises(GuardrailTripped):
            lent.value("a", Purpose.FORGE)
    assert "value 1" not in repr(vars(lent))


def _refuse() -> Lease:
    raise GuardrailTripped("no")


# -- a process of its own ------------------------------------------------------------------------------------


@asynccontextmanager
async def lender_of(settings: Settings) -> AsyncIterator[str]:
    """The role mcp-secrets on a free port; its address."""
    told = settings.model_copy(update={"secret_tokens": {who: SecretStr(token) for who, token in TOKENS.items()}})
    with listening("127.0.0.1", 0, "") as door:
        async with mcp_wiring.secrets_server(told) as app, serving(app, door):
            yield f"{address_of('127.0.0.1', door)}/mcp"


def holder(folder: Path, url: str, token: str, **more: Any) -> Settings:
    """The settings of a role that has no list, and a token of its own."""
    return IsolatedSettings(data_dir=folder, mcp_urls={"secrets": url}, secret_token=SecretStr(token), **more)


async def test_over_http_a_holder_is_whose_token_he_sends_and_cannot_name_himself(tmp_path: Path) -> None:
    settings = lending(tmp_path / "lender", Path(written(tmp_path / "kept", OLD)))
    async with lender_of(settings) as url:
        mine = holder(tmp_path / "repo", url, TOKENS[REPO], forges=forge())
        assert await asyncio.to_thread(mcp_wiring.keyring(mine, REPO).forge_token, "gitlab.example") == OLD
        pretending = holder(tmp_path / "ledger", url, TOKENS[LEDGER], forges=forge())
        with pytest.raises(GuardrailTripped, match="ledger is not on the list"):
            await asyncio.to_thread(mcp_wiring.keyring(pretending, REPO).forge_token, "gitlab.example")
        stranger = holder(tmp_path / "stranger", url, "somebody-else-0123456789", forges=forge())
        with pytest.raises(CapabilityUnavailable, match="401") as refused:
            await asyncio.to_thread(mcp_wiring.keyring(stranger, REPO).forge_token, "gitlab.example")
    assert OLD not in refused.value.message
    lines = entries(settings.secrets_audit_file)
    assert [(line.who, line.verdict) for line in lines] == [("repo", "handed out"), ("ledger", "refused")]
    assert redactor(mine).finds(OLD) and not redactor(stranger).finds(OLD)


async def test_what_lies_in_a_vault_is_lent_and_its_new_version_too(tmp_path: Path) -> None:
    written(tmp_path / "secret-id", SECRET_ID)
    async with vault() as kept:
        kept.write("kv/forges", gitlab=OLD)
        secrets: Any = {"forge/gitlab": {"vault": "kv/forges#gitlab", "holders": [{"who": "repo", "purposes": ["forge"]}]}}
        access: Any = {"url": kept.url, "role_id": ROLE, "secret_id_file": str(tmp_path / "secret-id")}
        settings = IsolatedSettings(data_dir=tmp_path / "lender", secrets=secrets, vault=access)
        async with lender_of(settings) as url:
            keys = mcp_wiring.keyring(holder(tmp_path / "repo", url, TOKENS[REPO], forges=forge()), REPO)
            assert await asyncio.to_thread(keys.forge_token, "gitlab.example") == OLD
            kept.write("kv/forges", gitlab=NEW)
            keys.forge_token_again("gitlab.example")
            assert await asyncio.to_thread(keys.forge_token, "gitlab.example") == NEW
        assert not kept.tokens, "the AppRole's token is given back"


# -- the ledger ----------------------------------------------------------------------------------------------


async def test_the_ledger_is_lent_a_providers_key_and_takes_the_next_one_when_it_is_refused(tmp_path: Path) -> None:
    key, counts = tmp_path / "key", OLD

    def judged(asked: Asked) -> Says:
        return Says() if asked.headers["authorization"] == f"Bearer {counts}" else Says(401, {"error": {"message": "bad key"}})

    async with provider(judged) as upstream:
        list_ = {"model": {"file": written(key, OLD), "holders": [{"who": "ledger", "purposes": ["model"]}]}}
        providers = {"default": {"base_url": upstream.base_url, "api_key_secret": "model"}}
        async with running_ledger(tmp_path / "data", upstream.base_url, secrets=list_, providers=providers) as asking:
            assert (await asking.ask("one")).status_code == 200
            counts = NEW
            written(key, NEW)
            assert (await asking.ask("two")).status_code == 200
            written(key, OLD)
            assert (await asking.ask("three")).status_code == 200
            counts = "another one altogether"
            assert (await asking.ask("four")).status_code == 401
    sent = [asked.headers["authorization"].removeprefix("Bearer ") for asked in upstream.calls]
    assert sent == [OLD, OLD, NEW, NEW, NEW, OLD] and MODEL
    assert {line.verdict for line in entries(tmp_path / "data" / "secrets" / "hand-outs.jsonl")} == {"handed out"}


async def test_a_key_that_cannot_be_had_is_told_to_whoever_asks_the_model(tmp_path: Path) -> None:
    async with provider() as upstream:
        list_ = {"model": {"file": str(tmp_path / "none"), "holders": [{"who": "ledger", "purposes": ["model"]}]}}
        providers = {"default": {"base_url": upstream.base_url, "api_key_secret": "model"}}
        more = {"secrets": list_, "providers": providers, "model_retries": 0}
        async with running_ledger(tmp_path / "data", upstream.base_url, **more) as asking:
            answer = await asking.ask("one")
    assert answer.status_code == 502 and "cannot be read" in answer.text and not upstream.calls


# -- what is refused before anything runs --------------------------------------------------------------------


@pytest.mark.parametrize(("change", "told"), [
    ({"forges": forge(token_secret="other")}, "not on the list; there are forge/gitlab, model"),
    ({"forges": forge(token_secret="model")}, '{"who": "repo", "purposes": ["forge"]}'),
    ({"providers": {"p": {"base_url": "http://localhost", "api_key_secret": "forge/gitlab"}}}, '{"who": "ledger"'),
    ({"webhooks": {"gitlab": {"secrets": [{"secret": "none"}]}}}, "a webhook secret of gitlab"),
])
def test_a_setting_that_would_be_refused_is_told_at_the_start(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as wrong:
        secret_uses.check(lending(tmp_path, tmp_path / "kept", **change))
    assert told in wrong.value.message


@pytest.mark.parametrize("tokens", [{}, {"repo": ""}, {"sandbox": "0123456789abcdef"}, {"repo": "short"}])
async def test_a_lender_before_whom_nobody_can_prove_himself_does_not_start(tmp_path: Path, tokens: dict[str, str]) -> None:
    settings = IsolatedSettings(data_dir=tmp_path, secret_tokens={who: SecretStr(token) for who, token in tokens.items()})
    with pytest.raises(InvalidInput):
        async with mcp_wiring.secrets_server(settings):
            pass


def test_nothing_of_the_list_goes_into_a_sandbox() -> None:
    with pytest.raises(ValidationError, match="never goes into a sandbox"):
        given = {"KEY": SecretPlace(secret="a")}
        McpServerAccess(transport="stdio", command=("x",), folder="/x", tools=("t",), environment=given)
    assert McpServerAccess(transport="http", url="https://x.example/mcp", tools=("t",), auth=SecretPlace(secret="a")).auth


async def test_no_activity_and_so_no_agent_can_ask_for_a_secret(tmp_path: Path) -> None:
    settings = lending(tmp_path, tmp_path / "kept", documentation_hosts=["docs.example.com"])
    assert mcp_wiring.SECRETS not in mcp_wiring.served(settings)
    async with mcp_wiring.capabilities(settings, "http://localhost") as connected:
        assert not [name for name in connected.names if "secret" in name]
        with pytest.raises(PatchwrightError):
            connected.tool("lend_secret")
    assert not any("lend_secret" in card.tools or "list_secrets" in card.tools for card in wiring.agent_cards())
