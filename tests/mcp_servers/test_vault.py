"""Secrets in a vault: with a token of others or as an AppRole, kept alive, made anew, given back; each fault as what it is."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from contracts.errors import CredentialRefused, InvalidInput, PatchwrightError, RemoteUnavailable
from contracts.secret import SecretGrant, SecretHolder, VaultAccess
from mcp_servers.secrets.vault import VaultSource
from tests.fakes.vault import ROLE, SECRET_ID, Vault, vault

SECRET = "ghp_9aZk2LmQ7rT4vX1bN8cW5dE3fG6hJ0yUsP1o"
GRANT = SecretGrant(vault="kv/forges/github#token", holders=(SecretHolder(who="repo", purposes=("forge",)),))
LOGIN, RENEW, READ = "auth/approle/login", "auth/token/renew-self", "kv/data/forges/github"


def approle(served: Vault, folder: Path, **more: Any) -> VaultSource:
    (folder / "secret-id").write_text(f"{SECRET_ID}\n")
    access = VaultAccess(url=served.url, role_id=ROLE, secret_id_file=str(folder / "secret-id"), **more)
    return VaultSource(access, clock=lambda: served.now)


def with_token(served: Vault, folder: Path, token: str) -> VaultSource:
    (folder / "token").write_text(token)
    return VaultSource(VaultAccess(url=served.url, token_file=str(folder / "token")), clock=lambda: served.now)


async def test_an_approle_logs_in_once_and_renews_its_token_before_it_ends(tmp_path: Path) -> None:
    async with vault() as served:
        served.write("kv/forges/github", token=SECRET)
        source = approle(served, tmp_path)
        for served.now in (0, 100, 399, 401, 700, 801, 1_202):
            assert await source.read(GRANT) == SECRET
        assert (served.calls(LOGIN), served.calls(RENEW)) == (1, 3)


async def test_a_token_at_the_end_of_its_longest_life_is_replaced_by_a_new_login(tmp_path: Path) -> None:
    async with vault(longest=1_000) as served:
        served.write("kv/forges/github", token=SECRET)
        source = approle(served, tmp_path)
        for served.now in (0, 450, 900):
            assert await source.read(GRANT) == SECRET
        assert served.calls(LOGIN) == 2 and served.calls(READ) == 3


async def test_after_a_long_silence_or_a_revocation_it_logs_in_again(tmp_path: Path) -> None:
    async with vault() as served:
        served.write("kv/forges/github", token=SECRET)
        source = approle(served, tmp_path)
        await source.read(GRANT)
        served.now = 5_000
        assert await source.read(GRANT) == SECRET
        served.tokens.clear()
        assert await source.read(GRANT) == SECRET
        assert served.calls(LOGIN) == 3


async def test_a_new_version_counts_at_once_and_a_deleted_one_is_told(tmp_path: Path) -> None:
    async with vault() as served:
        source = approle(served, tmp_path)
        with pytest.raises(InvalidInput, match="nothing at kv/forges/github"):
            await source.read(GRANT)
        for value in (SECRET, SECRET[::-1]):
            served.write("kv/forges/github", token=value)
            assert await source.read(GRANT) == value
        served.kept["kv/forges/github"].append(None)
        with pytest.raises(InvalidInput, match="deleted"):
            await source.read(GRANT)


async def test_its_own_token_is_given_back_at_the_end_and_no_other(tmp_path: Path) -> None:
    async with vault() as served:
        served.write("kv/forges/github", token=SECRET)
        theirs = served.issue()
        for source in (approle(served, tmp_path), with_token(served, tmp_path, theirs)):
            await source.read(GRANT)
            await source.close()
        assert list(served.tokens) == [theirs]


async def test_a_token_of_others_is_renewed_and_a_replaced_one_counts_at_once(tmp_path: Path) -> None:
    async with vault() as served:
        served.write("kv/forges/github", token=SECRET)
        first, second = served.issue(ttl=100), served.issue(ttl=10_000)
        source = with_token(served, tmp_path, first)
        for served.now in (0, 70, 140):
            assert await source.read(GRANT) == SECRET
        assert served.calls(RENEW) == 2
        del served.tokens[first]
        (tmp_path / "token").write_text(second)
        assert await source.read(GRANT) == SECRET and served.calls(LOGIN) == 0


@pytest.mark.parametrize(("change", "failure", "told"), [
    (lambda served: setattr(served, "sealed", True), RemoteUnavailable, "sealed"),
    (lambda served: setattr(served, "secret_id", "another"), CredentialRefused, "secret id that is still valid"),
    (lambda served: served.forbidden.add("kv/forges/github"), CredentialRefused, "lacks the policy"),
    (lambda served: setattr(served, "url", "http://127.0.0.1:1"), RemoteUnavailable, "does not answer"),
    (lambda served: served.write("kv/forges/github", other="x"), InvalidInput, "has no 'token'"),
])
async def test_each_fault_is_told_as_what_it_is_and_says_nothing_secret(
    tmp_path: Path, change: Any, failure: type[PatchwrightError], told: str
) -> None:
    async with vault() as served:
        served.write("kv/forges/github", token=SECRET)
        change(served)
        with pytest.raises(failure, match=told) as failed:
            await approle(served, tmp_path).read(GRANT)
    assert not any(word in failed.value.message for word in (SECRET, SECRET_ID, "hvs."))


async def test_the_namespace_is_named_and_a_missing_login_file_says_which_it_is(tmp_path: Path) -> None:
    async with vault(namespace="team/a") as served:
        served.write("kv/forges/github", token=SECRET)
        assert await approle(served, tmp_path, namespace="team/a").read(GRANT) == SECRET
        source = approle(served, tmp_path, namespace="team/a")
        (tmp_path / "secret-id").unlink()
        with pytest.raises(InvalidInput, match=r"secret id is to be in .*No such file"):
            await source.read(GRANT)


@pytest.mark.parametrize("login", [{}, {"token_file": "a", "role_id": "b", "secret_id_file": "c"}, {"role_id": "b"},
                                   {"secret_id_file": "c"}])
def test_a_vault_is_given_one_way_to_log_in(login: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        VaultAccess(url="https://vault.example.com", **login)
