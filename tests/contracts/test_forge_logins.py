"""Whose login a forge's login may be: rather once too often than once too seldom."""

import pytest

from contracts.forge_logins import login_forms, logins_of


@pytest.mark.parametrize(
    ("name", "login"),
    [
        ("ada", "ADA"),
        ("@ada", "ada"),
        ("ada", "@ada"),
        ("ada@example.com", "ada"),
        (" Ada.Lovelace@Example.com ", "ada-lovelace"),
        ("ada+shop@example.com", "ada"),
        ("583231+octocat@users.noreply.github.com", "Octocat"),
        ("12-tanuki@users.noreply.gitlab.example.com", "tanuki"),
        ("oidc:https://id.example.com#ada", "ada"),
        ("Ada Lovelace", "ada.lovelace"),
        ("ada@example.com", "ada_example"),
    ],
)
def test_a_login_that_may_be_somebodys_is_found(name: str, login: str) -> None:
    assert set(login_forms(login)) & set(logins_of([name]))


@pytest.mark.parametrize(
    ("name", "login"),
    [
        ("ada@example.com", "grace"),
        ("ada@example.com", "example"),
        ("ada@example.com", "adah"),
        ("583231+octocat@users.noreply.github.com", "583231"),
        ("oidc:https://id.example.com#1815", "id"),
        ("", "ada"),
        ("ada", ""),
        ("---", "___"),
    ],
)
def test_others_are_others(name: str, login: str) -> None:
    assert not set(login_forms(login)) & set(logins_of([name]))
