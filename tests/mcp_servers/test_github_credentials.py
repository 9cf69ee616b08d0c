"""GitHub's credentials: a token for one repository with what we need there, renewed in time, or a personal one."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.errors import CredentialRefused, NotFound, RateLimited
from contracts.forge import ShownCheck, ShownCheckState
from mcp_servers.repo.github.app import PERMISSIONS, AppInstallation, PersonalToken
from tests.fakes.forge_places import PRIVATE_KEY, REPOSITORY, GitHubPlace, Workbench, app_key, github_place
from tests.fakes.github import Grant
from tests.mcp_servers.test_forge_conformance import story


@pytest.fixture
def place(tmp_path: Path) -> Iterator[GitHubPlace]:
    with github_place(tmp_path) as made:
        yield made


@pytest.fixture
def bench(place: GitHubPlace, tmp_path: Path) -> Workbench:
    return Workbench(tmp_path, place, place.forge.git_access)


async def test_one_token_for_one_repository_with_nothing_but_what_we_need(place: GitHubPlace, bench: Workbench):
    place.server.add_repository("makers/other")
    made, _ = await story(place, bench)
    (token,) = place.server.made_tokens
    assert token["repositories"] == ["thing"]
    assert token["permissions"] == {name: needed.level for name, needed in PERMISSIONS.items()}
    assert all(needed.reason for needed in PERMISSIONS.values())
    with pytest.raises(CredentialRefused):
        place.server.installed = False
        await place.forge.find(f"{place.server.url}/makers/other.git", "x")
    assert (await place.forge.get(made.id)).number == made.number


@pytest.mark.parametrize("lacking", ["contents", "pull_requests", "checks", "statuses", "actions", "issues"])
async def test_an_app_without_a_permission_is_told_which_to_grant(lacking: str, place: GitHubPlace, bench: Workbench):
    del place.server.app_permissions[lacking]
    with pytest.raises(CredentialRefused, match=f"{lacking}: "):
        await place.forge.find(place.remote, "x")


async def test_a_token_is_renewed_before_it_ends(place: GitHubPlace, bench: Workbench):
    now = time.time()
    credential = AppInstallation(place.endpoint, "7", lambda: PRIVATE_KEY, clock=lambda: now)
    forge = place.forge_with(credential)
    await forge.find(place.remote, "x")
    now += 3200
    await forge.find(place.remote, "x")
    assert len(place.server.made_tokens) == 1
    now += 200
    await forge.find(place.remote, "x")
    assert len(place.server.made_tokens) == 2


async def test_a_token_that_was_withdrawn_early_is_replaced_once(place: GitHubPlace):
    await place.forge.find(place.remote, "x")
    place.server.tokens.clear()
    await place.forge.find(place.remote, "x")
    assert len(place.server.made_tokens) == 2
    place.server.fail("GET", "pulls", 401, {"message": "Bad credentials"}, times=99)
    with pytest.raises(CredentialRefused, match="Bad credentials"):
        await place.forge.find(place.remote, "x")
    assert len(place.server.made_tokens) == 3


async def test_a_key_that_is_none_or_another_apps_is_said(place: GitHubPlace):
    for key, told in (("no key", "PEM"), (app_key()[0], "refused the credential")):
        forge = place.forge_with(AppInstallation(place.endpoint, "7", lambda key=key: key))
        with pytest.raises(CredentialRefused, match=told):
            await forge.find(place.remote, "x")


async def test_an_app_that_is_not_installed_there_says_so(place: GitHubPlace):
    place.server.installed = False
    with pytest.raises(CredentialRefused, match=f"not installed for {REPOSITORY}"):
        await place.forge.find(place.remote, "x")


async def test_a_personal_token_shows_a_status_where_an_app_shows_a_check_run(place: GitHubPlace, tmp_path: Path):
    rights = {
        "metadata": "read",
        "contents": "write",
        "pull_requests": "write",
        "issues": "write",
        "checks": "read",
        "statuses": "write",
        "actions": "write",
    }
    place.server.tokens["github_pat_1"] = Grant("ada", rights)
    kept = {"token": "github_pat_1"}
    place.forge = place.forge_with(PersonalToken(lambda: kept["token"]))
    bench = Workbench(tmp_path, place, place.forge.git_access)
    made = await bench.publish(bench.commit("one\n"))
    for state in (ShownCheckState.RUNNING, ShownCheckState.PASSED, ShownCheckState.PASSED):
        await place.forge.show_check(made.id, ShownCheck(commit=made.head_commit, state=state, title=state.value))
    assert [(one.context, one.state) for one in place.repository.statuses] == [
        ("Patchwright", "pending"),
        ("Patchwright", "success"),
    ]
    assert not place.repository.runs
    # The token's owner is a person who also writes: their own words are remarks, ours are not.
    place.server.comment(REPOSITORY, made.number, "ada", "Please add a test.")
    await place.forge.keep_comment(made.id, "status", "Working.")
    assert [thread.messages[0].body for thread in await place.forge.threads(made.id)] == ["Please add a test."]
    place.server.tokens["github_pat_2"] = place.server.tokens.pop("github_pat_1")
    kept["token"] = "github_pat_2"
    assert (await place.forge.get(made.id)).number == made.number


async def test_each_of_githubs_limits_says_how_long(place: GitHubPlace):
    reset = str(int(time.time()) + 120)
    secondary = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."}
    for status, body, headers, wait in (
        (
            403,
            {"message": "API rate limit exceeded for installation ID 99."},
            {"X_RateLimit_Remaining": "0", "X_RateLimit_Reset": reset},
            (115, 122),
        ),
        (403, secondary, {}, (60, 60)),
        (403, secondary, {"Retry_After": "17"}, (17, 17)),
        (429, {"message": "Too many"}, {}, (60, 60)),
    ):
        forge = place.forge_with(AppInstallation(place.endpoint, "7", lambda: PRIVATE_KEY))
        place.server.fail("GET", "pulls", status, body, **headers)
        with pytest.raises(RateLimited) as limited:
            await forge.find(place.remote, "x")
        assert wait[0] <= limited.value.retry_after_seconds <= wait[1]


async def test_a_refusal_is_no_limit_and_names_the_permission(place: GitHubPlace):
    place.server.fail(
        "GET",
        "pulls",
        403,
        {"message": "Resource not accessible by integration"},
        X_Accepted_GitHub_Permissions="pull_requests=read",
    )
    with pytest.raises(CredentialRefused, match="pull_requests=read"):
        await place.forge.find(place.remote, "x")


async def test_required_checks_of_rules_and_protection_are_known_and_missed(place: GitHubPlace, bench: Workbench):
    place.repository.required, place.repository.protected = ["build"], ["lint"]
    made = await bench.publish(bench.commit("one\n"))
    place.server.run(REPOSITORY, made.head_commit, "docs", conclusion="skipped")
    place.server.run(REPOSITORY, made.head_commit, "build", conclusion="success")
    told = await place.forge.ci(made.id)
    assert {check.name: check.required for check in told.checks} == {"docs": False, "build": True}
    assert (told.missing, told.state.value) == (("lint",), "pending")
    place.server.run(REPOSITORY, made.head_commit, "lint", conclusion="neutral")
    assert (await place.forge.ci(made.id)).state.value == "passed"


async def test_the_address_of_a_log_gets_no_token(place: GitHubPlace, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    place.server.run(REPOSITORY, made.head_commit, "build", conclusion="failure", log="no\n")
    (check,) = (await place.forge.ci(made.id)).checks
    await place.forge.job_log(made.id, check)
    (fetched,) = [one for one in place.server.seen if one.path.startswith("/_logs/")]
    assert "authorization" not in fetched.headers


async def test_a_pull_request_of_another_host_is_not_ours(place: GitHubPlace):
    for strange in ("github~github.com~makers~thing~1", f"gitlab~{place.host}~makers~thing~1"):
        with pytest.raises(NotFound):
            await place.forge.get(strange)
