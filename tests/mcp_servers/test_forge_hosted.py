"""GitHub and GitLab alike: limits, failures, people, what CI says, and where a token may never be seen."""

import logging
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from contracts.ci import CiKind, CiReport, CiState
from contracts.errors import Conflict, CredentialRefused, ForgeUnavailable, InvalidInput, NotFound, RateLimited
from contracts.forge import PullRequest
from contracts.review import Permission, ThreadAnswer, Verdict
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.forges import Forges
from mcp_servers.repo.github.app import AppInstallation
from mcp_servers.repo.github.connection import Endpoint
from mcp_servers.repo.github.forge import GitHubForge
from mcp_servers.repo.gitlab.forge import GitLabForge
from mcp_servers.repo.local_forge import LocalForge
from tests.fakes.certificates import own_certificate
from tests.fakes.forge_places import (
    PRIVATE_KEY,
    REPOSITORY,
    GitHubPlace,
    GitLabPlace,
    LocalPlace,
    Workbench,
    github_place,
    gitlab_place,
)
from tests.fakes.forge_server import ForgeServer
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import FakeGitLab

PLACES = {"github": github_place, "gitlab": gitlab_place}
WRITES = "POST|PUT|PATCH"


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with PLACES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def bench(place: Any, tmp_path: Path) -> Workbench:
    return Workbench(tmp_path, place, place.forge.git_access)


@pytest.fixture
async def made(bench: Workbench) -> PullRequest:
    return await bench.publish(bench.commit("one\ntwo\n"))


def says(place: Any, made: PullRequest, author: str, body: str) -> None:
    if place.kind == "github":
        place.server.comment(REPOSITORY, made.number, author, body)
    else:
        place.server.note(place.project, made.number, author, body)


def failing_job(place: Any, sha: str, name: str, log: str) -> Any:
    if place.kind == "github":
        return place.server.run(REPOSITORY, sha, name, conclusion="failure", log=log)
    return place.server.job(place.project, sha, name, "failed", log=log)


# -- limits and failures -------------------------------------------------------------------------------------


async def test_a_limit_holds_the_time_to_wait_and_nothing_is_asked_meanwhile(place: Any, made: PullRequest):
    place.server.fail("GET", "pulls|merge_requests", 429, {"message": "slow down"}, Retry_After="37")
    with pytest.raises(RateLimited) as limited:
        await place.forge.get(made.id)
    assert limited.value.retry_after_seconds == 37 and limited.value.retryable and limited.value.infrastructure
    before = len(place.server.seen)
    for deed in (place.forge.get(made.id), place.forge.keep_comment(made.id, "k", "b")):
        with pytest.raises(RateLimited) as still:
            await deed
        assert 30 < still.value.retry_after_seconds <= 37
    assert len(place.server.seen) == before


async def test_a_read_whose_connection_is_cut_is_asked_again_at_once(place: Any, made: PullRequest):
    place.server.drop("GET", "pulls/|merge_requests/", times=2)
    assert (await place.forge.get(made.id)).number == made.number


async def test_a_write_whose_answer_is_lost_is_never_repeated_by_itself(place: Any, made: PullRequest):
    place.server.lose(WRITES, "comments|notes")
    with pytest.raises(ForgeUnavailable) as lost:
        await place.forge.keep_comment(made.id, "status", "Working.")
    assert lost.value.retryable and lost.value.infrastructure
    assert len(place.server.writes("comments|notes")) == 1
    await place.forge.keep_comment(made.id, "status", "Working.")
    assert len(place.server.writes("comments|notes")) == 1
    assert (await place.ending(made))["comments"] == ["Working."]


@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_forge_that_fails_is_unavailable_and_asked_later(place: Any, made: PullRequest, status: int):
    place.server.fail("GET", "pulls/|merge_requests/", status, None)
    with pytest.raises(ForgeUnavailable, match=str(status)):
        await place.forge.get(made.id)
    assert (await place.forge.get(made.id)).number == made.number


async def test_an_answer_that_is_no_json_is_the_forges_failure(place: Any, made: PullRequest):
    place.server.faults.clear()
    place.server.fail("GET", "pulls/|merge_requests/", 200, None)
    place.server.faults[0].told.body = b"<html>a proxy's page</html>"
    with pytest.raises(ForgeUnavailable, match="no JSON"):
        await place.forge.get(made.id)


async def test_a_push_whose_answer_is_lost_is_found_done(place: Any, bench: Workbench, made: PullRequest):
    second = bench.commit("one\ntwo\nthree\n")
    place.server.lose("POST", "git-receive-pack")
    assert (await bench.publish(second)).head_commit == second
    assert (await place.ending(made))["branch"] == second


# -- people --------------------------------------------------------------------------------------------------


async def test_who_may_not_write_is_told_apart(place: Any, made: PullRequest):
    for author in ("bob", "eve", "stranger"):
        says(place, made, author, f"I am {author}.")
    told = {thread.messages[0].author: thread.messages[0].permission for thread in await place.forge.threads(made.id)}
    assert told == {"bob": Permission.WRITE, "eve": Permission.READ, "stranger": Permission.NONE}


async def test_a_mark_that_somebody_copied_is_theirs_and_is_left_alone(place: Any, made: PullRequest):
    await place.forge.keep_comment(made.id, "status", "Working.")
    ours = (await said_by_us(place, made))[0]
    says(place, made, "eve", ours.replace("Working.", "Hacked."))
    await place.forge.keep_comment(made.id, "status", "Done.")
    (thread,) = await place.forge.threads(made.id)
    assert (thread.messages[0].author, thread.messages[0].body, thread.messages[0].ours) == ("eve", "Hacked.", False)
    assert (await place.ending(made))["comments"] == ["Done."]


async def said_by_us(place: Any, made: PullRequest) -> list[str]:
    if place.kind == "github":
        return [one.body for one in place.repository.pulls[made.number].comments if one.author.endswith("[bot]")]
    return [note.body for one in place.project.merges[made.number].discussions for note in one.notes if "_bot_" in note.author]


async def test_our_own_comments_are_no_remarks(place: Any, made: PullRequest):
    await place.forge.keep_comment(made.id, "status", "Working.")
    assert await place.forge.threads(made.id) == []


async def test_a_comment_beside_the_lines_is_answered_once_and_counts_as_addressed(place: Any, made: PullRequest):
    says(place, made, "bob", "Please add a test.\n@ada what do you think?")
    (thread,) = await place.forge.threads(made.id)
    for _ in range(2):
        await place.forge.answer(made.id, [ThreadAnswer(thread_id=thread.id, body="Added.", commit=made.head_commit)])
    (thread,) = await place.forge.threads(made.id)
    assert thread.resolved and [message.ours for message in thread.messages] == [False, True]
    assert not any("@ada" in body for body in await said_by_us(place, made))


async def test_a_person_who_is_nobody_there_cannot_be_asked(place: Any, made: PullRequest):
    with pytest.raises(InvalidInput):
        await place.forge.ask_for_review(made.id, ["stranger"])


async def test_what_a_person_wrote_into_the_description_stays(place: Any, bench: Workbench, made: PullRequest):
    described = place.repository.pulls[1] if place.kind == "github" else place.project.merges[1]
    field = "body" if place.kind == "github" else "description"
    setattr(described, field, "Mind the gap.\r\n\r\n" + getattr(described, field).replace("\n", "\r\n") + "\r\nThanks!")
    await bench.publish(bench.commit("one\n2\n"), body="Otherwise now.")
    body = (await place.forge.get(made.id)).body
    assert "Mind the gap." in body and "Thanks!" in body and "Otherwise now." in body and "It says more now." not in body


async def test_a_pull_request_that_a_person_opened_for_our_branch_is_adopted(place: Any, bench: Workbench, made: PullRequest):
    found = place.repository.pulls[1] if place.kind == "github" else place.project.merges[1]
    found.author, found.title = "ada", "Mine"
    setattr(found, "body" if place.kind == "github" else "description", "I wanted it so.")
    again = await bench.publish(bench.commit("one\n3\n"))
    assert (again.id, again.author, again.task_id) == (made.id, "ada", "pw-1")
    assert "I wanted it so." in again.body and "It says more now." in again.body


async def test_all_pages_are_read(place: Any, made: PullRequest):
    for number in range(230):
        says(place, made, "bob", f"Remark {number}")
    assert len(await place.forge.threads(made.id)) == 230


async def test_a_forge_that_finds_out_only_when_asked_whether_it_merges_is_asked_again(place: Any, made: PullRequest):
    place.server.undecided = 2
    assert (await place.forge.get(made.id)).mergeable is True
    place.server.undecided = 9
    assert (await place.forge.get(made.id)).mergeable is None


# -- CI ------------------------------------------------------------------------------------------------------


async def test_a_failed_job_is_read_with_its_log_and_run_again(place: Any, made: PullRequest):
    job = failing_job(place, made.head_commit, "build", "compiling\nerror: no such file\n")
    told = await place.forge.ci(made.id)
    assert (told.state, told.commit, [check.name for check in told.checks]) == (CiState.FAILED, made.head_commit, ["build"])
    (check,) = told.checks
    assert (await place.forge.job_log(made.id, check)).text == "compiling\nerror: no such file\n"
    for _ in range(2):
        await place.forge.rerun(made.id, check)
    told = await place.forge.ci(made.id)
    assert (told.state, [one.id for one in told.checks] == [check.id]) == (CiState.PENDING, False)
    assert (job.reruns if place.kind == "github" else job.retries) == 1


async def test_only_the_end_of_a_long_log_is_fetched(place: Any, made: PullRequest):
    failing_job(place, made.head_commit, "build", "x" * (5 << 20) + "\nthe reason\n")
    (check,) = (await place.forge.ci(made.id)).checks
    log = await place.forge.job_log(made.id, check)
    assert log.cut and log.text.endswith("the reason\n") and len(log.text) == 4 << 20


async def test_a_status_of_another_system_counts_and_has_no_log(place: Any, made: PullRequest):
    if place.kind == "github":
        place.server.status(REPOSITORY, made.head_commit, "old-ci", "failure", url="https://ci.example/1")
    else:
        place.server.external(place.project, made.head_commit, "old-ci", "failed")
    told = await place.forge.ci(made.id)
    assert told.state is CiState.FAILED and told.checks[0].kind is CiKind.STATUS
    with pytest.raises(NotFound, match=r"https://ci\.example/1"):
        await place.forge.job_log(made.id, told.checks[0])
    with pytest.raises(Conflict):
        await place.forge.rerun(made.id, told.checks[0])


# -- what may be seen ----------------------------------------------------------------------------------------


async def test_a_token_is_in_no_log_no_url_no_command_line_and_no_file(
    place: Any, bench: Workbench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    commands: list[str] = []
    started = subprocess.Popen.__init__

    def watched(self: Any, args: Any, *more: Any, **options: Any) -> None:
        commands.append(" ".join(map(str, args)))
        started(self, args, *more, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", watched)
    with caplog.at_level(logging.DEBUG):
        made = await bench.publish(bench.commit("one\n"))
        await place.forge.keep_comment(made.id, "status", "Working.")
        place.server.fail("GET", "pulls/|merge_requests/", 401, {"message": "Bad credentials"}, times=9)
        with pytest.raises(CredentialRefused) as refused:
            await place.forge.get(made.id)
    tokens = list(place.server.tokens) if place.kind == "github" else [place.server.token]
    assert tokens and any("push" in command for command in commands)
    files = b"".join(path.read_bytes() for path in (tmp_path / "mirrors").rglob("*") if path.is_file())
    for token in tokens:
        for seen in (caplog.text, " ".join(commands), refused.value.message, " ".join(one.path for one in place.server.seen)):
            assert token not in seen
        assert token.encode() not in files
    assert "BEGIN RSA" not in caplog.text


async def test_the_token_goes_to_its_host_alone(place: Any):
    assert place.forge.git_access("https://elsewhere.example/makers/thing.git") == {}
    assert place.forge.git_access("/srv/git/thing.git") == {}
    assert place.forge.git_access(place.remote.replace("http:", "https:")) == {}
    told = place.forge.git_access(place.remote)
    keys = [value for name, value in told.items() if name.startswith("GIT_CONFIG_KEY")]
    assert all(key.startswith(f"http.{place.server.url}/.") for key in keys)
    assert "false" in [told[name.replace("KEY", "VALUE")] for name, key in told.items() if key.endswith("followRedirects")]


async def test_asking_again_costs_no_quota_while_nothing_changed(place: Any, made: PullRequest):
    says(place, made, "bob", "Hm.")

    async def poll() -> tuple[PullRequest, CiReport]:
        return await place.forge.get(made.id), await place.forge.ci(made.id)

    first = await poll()
    spent = place.forge.spent()
    assert [await poll() for _ in range(5)] == [first] * 5
    assert place.forge.spent() == spent
    failing_job(place, made.head_commit, "build", "no")
    assert (await poll())[1].state is CiState.FAILED


# -- a server of one's own -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", PLACES)
async def test_a_host_with_its_own_certificates_is_spoken_to_over_api_and_git(kind: str, tmp_path: Path):
    server, trusted = own_certificate(tmp_path)
    fake = FakeGitHub(tmp_path / "srv") if kind == "github" else FakeGitLab(tmp_path / "srv")
    with ForgeServer(fake, server):
        place: Any = GitHubPlace(tmp_path, fake) if isinstance(fake, FakeGitHub) else GitLabPlace(tmp_path, fake)
        with pytest.raises(ForgeUnavailable):
            await place.forge.find(place.remote, "x")
        if isinstance(fake, FakeGitHub):
            endpoint = Endpoint(fake.url, str(trusted))
            credential = AppInstallation(endpoint, "7", lambda: PRIVATE_KEY)
            place.forge = GitHubForge(place.host, endpoint, credential, 0, fake.url)
        else:
            place.forge = GitLabForge(place.host, fake.url, lambda: fake.token, verify=str(trusted), seconds_between_writes=0)
        bench = Workbench(tmp_path, place, place.forge.git_access)
        made = await bench.publish(bench.commit("one\n"))
        assert (await place.forge.get(made.id)).head_commit == made.head_commit


# -- together ------------------------------------------------------------------------------------------------


async def test_the_host_of_a_repository_decides_which_forge_is_meant(tmp_path: Path):
    with ExitStack() as stack:
        github = stack.enter_context(github_place(tmp_path / "a"))
        gitlab = stack.enter_context(gitlab_place(tmp_path / "b"))
        local = LocalPlace(tmp_path / "c")
        mirrors = Mirrors(tmp_path / "c" / "mirrors")
        every = Forges(LocalForge(tmp_path / "c" / "f.sqlite", mirrors), {github.host: github.forge, gitlab.host: gitlab.forge})
        ids = []
        for place in (github, gitlab, local):
            place.forge = every
            bench = Workbench(tmp_path / f"bench-{place.kind}" if place is not local else tmp_path / "c", place, every.git_access)
            opened = await bench.publish(bench.commit("one\n"))
            ids.append(opened.id)
            assert (await every.get(opened.id)).head_commit == opened.head_commit
            await every.keep_comment(opened.id, "status", "Hello.")
        assert [name.partition("~")[0].partition("-")[0] for name in ids] == ["github", "gitlab", "local"]
        with pytest.raises(NotFound, match=r"no forge is configured for other\.example"):
            await every.get("github~other.example~a~b~1")


async def test_writes_keep_their_distance(tmp_path: Path):
    with github_place(tmp_path) as place:
        bench = Workbench(tmp_path, place, place.forge.git_access)
        made = await bench.publish(bench.commit("one\n"))
        slow = GitHubForge(place.host, place.endpoint, place.forge.credential, 0.3, place.server.url)
        began = time.monotonic()
        for key in "abc":
            await slow.keep_comment(made.id, key, "x")
        assert time.monotonic() - began >= 0.6


async def test_a_verdict_that_was_dismissed_or_taken_back_does_not_count(place: Any, made: PullRequest):
    await place.review(made, Verdict.APPROVE, "")
    assert len(await place.forge.reviews(made.id)) == 1
    if place.kind == "github":
        place.repository.pulls[1].reviews[0].state = "DISMISSED"
    else:
        place.project.merges[1].approvers.clear()
    assert await place.forge.reviews(made.id) == []


async def test_a_title_that_people_gave_stays_and_one_that_we_gave_is_brought_up_to_date(place: Any, bench: Workbench):
    made = await bench.publish(bench.commit("one\n"))
    told = place.repository.pulls[made.number] if place.kind == "github" else place.project.merges[made.number]
    told.title = "Draft: Theirs" if place.kind == "gitlab" else "Theirs"
    assert (await bench.publish(bench.commit("one\ntwo\n"), body="Twice.")).title == "Theirs"
    assert (await place.forge.mark_ready(made.id)).title == "Theirs"
    told.title = "Say more"
    assert (await bench.publish(bench.commit("one\ntwo\n3\n"), title="Say even more")).title == "Say even more"
