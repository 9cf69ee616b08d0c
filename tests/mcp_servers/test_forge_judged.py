"""What we say to GitHub, and what our fake of it answers, held to GitHub's own descriptions by a third party."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from graphql import build_schema, parse, validate

from contracts.ci import CiCheck, CiKind
from contracts.errors import NotFound
from contracts.forge import ShownCheck, ShownCheckState
from contracts.ticket_search import TicketSearch
from contracts.watching import Watch
from mcp_servers.repo.github.app import PersonalToken
from mcp_servers.repo.github.documents import DOCUMENTS
from mcp_servers.repo.github.words import check_run, is_bot, login, pull_request
from mcp_servers.repo.hosted import HostedRepository
from tests.fakes.forge_places import REPOSITORY, GitHubPlace, Workbench, github_place
from tests.fakes.github import Grant
from tests.fakes.node import package
from tests.fakes.prism import judged
from tests.mcp_servers.test_forge_conformance import story

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitHubPlace]:
    folder = tmp_path_factory.mktemp("judged")
    with github_place(folder) as made, judged(made.server, folder / "prism"):
        yield made


async def test_the_whole_story_breaks_no_rule_of_githubs_description(place: GitHubPlace, tmp_path: Path):
    bench = Workbench(tmp_path, place, place.forge.git_access)
    made, expected = await story(place, bench)
    assert await place.ending(made) == expected
    validated = [one for one in place.server.seen if place.server.is_validated(one)]
    assert len(validated) > 20
    assert not broken(place), "\n".join(broken(place))
    await reads_of_ci(place, bench, made.id, made.number)
    await with_a_personal_token(place, made.id, expected["branch"])
    assert not broken(place), "\n".join(broken(place))
    spoken = {f"{one.method} {re.sub(r'[0-9a-f]{40}|[0-9]+', 'N', one.path)}" for one in place.server.seen}
    assert len(spoken) >= 24, sorted(spoken)


def broken(place: GitHubPlace) -> list[str]:
    """Each rule that was broken, once."""
    return sorted(
        {
            message
            for told in place.server.violations
            for message in re.findall(r'"message":"((?:[^"\\\\]|\\\\.)*)"', told) or [told]
        }
    )


async def reads_of_ci(place: GitHubPlace, bench: Workbench, pull_request_id: str, number: int) -> None:
    place.repository.required, head = ["build"], place.repository.sha("patchwright/more")
    job = place.server.run(REPOSITORY, head, "build", conclusion="failure", log="boom\n")
    note = {
        "path": "a.txt",
        "start_line": 1,
        "end_line": 1,
        "start_column": None,
        "end_column": None,
        "title": None,
        "annotation_level": "failure",
        "message": "no",
        "raw_details": None,
        "blob_href": "b",
    }
    place.server.run(REPOSITORY, head, "lint", conclusion="failure", app="linter", notes=[note])
    place.server.status(REPOSITORY, head, "old-ci", "success")
    place.server.comment(REPOSITORY, number, "eve", "Nice.")
    told = await place.forge.ci(pull_request_id)
    assert {check.name for check in told.checks} == {"build", "lint", "old-ci"}
    for check in told.checks[:2]:
        assert (await place.forge.job_log(pull_request_id, check)).text
    with pytest.raises(NotFound):
        await place.forge.job_log(pull_request_id, CiCheck(id="1", name="x", kind=CiKind.STATUS, state=told.state))
    await place.forge.rerun(pull_request_id, next(check for check in told.checks if check.id == str(job.id)))
    workflow = "on: {workflow_dispatch: }\njobs: {late: {runs-on: x, steps: []}}\n"
    place.repository.write("main", "ada", {".github/workflows/ci.yml": workflow}, "CI")
    place.repository.write("patchwright/more", "ada", {".github/workflows/ci.yml": workflow}, "CI")
    for _ in range(2):
        await place.forge.trigger(pull_request_id, "late")
    assert len(place.repository.dispatched) == 1
    assert len(await place.forge.threads(pull_request_id)) == 3 and await place.forge.reviews(pull_request_id)
    await place.forge.close(pull_request_id)


async def with_a_personal_token(place: GitHubPlace, pull_request_id: str, commit: str) -> None:
    rights = {"metadata": "read", "statuses": "write", "pull_requests": "write", "issues": "write", "checks": "read"}
    place.server.tokens["github_pat_x"] = Grant("keeper", rights)
    forge = place.forge_with(PersonalToken(lambda: "github_pat_x"))
    await forge.show_check(pull_request_id, ShownCheck(commit=commit, state=ShownCheckState.PASSED, title="ok"))
    await forge.keep_comment(pull_request_id, "status", "Hello.")
    assert [one.context for one in place.repository.statuses][-1] == "Patchwright"


async def test_looking_again_and_looking_for_tickets_break_no_rule(place: GitHubPlace, tmp_path: Path):
    bench = Workbench(tmp_path, place, place.forge.git_access)
    made = await bench.publish(bench.commit("look\n"), head_branch="patchwright/looked-at")
    place.server.violations.clear()
    place.server.review(REPOSITORY, made.number, "ada", "CHANGES_REQUESTED", "Hm.", (("a.txt", 1, "Why?"),))
    place.server.comment(REPOSITORY, made.number, "ada", "And this?")
    place.server.run(REPOSITORY, made.head_commit, "build", conclusion="failure")
    place.server.status(REPOSITORY, made.head_commit, "old-ci", "success")
    (look,) = await place.forge.look([Watch(pull_request_id=made.id)])
    assert look.changed and not look.problem and len(look.watch.seen) == 8
    number = place.server.open_issue(REPOSITORY, "ada", "Ticket")
    place.server.label_issue(REPOSITORY, number, "bob", "patchwright")
    place.server.assign_issue(REPOSITORY, number, "bob", "ada")
    wanted = TicketSearch(system="github", host=place.host, repository=REPOSITORY, label="patchwright", assignees=("ada",))
    assert [one.number for one in (await place.forge.search_tickets(wanted)).tickets] == [number]
    assert (await place.forge.asked_ticket(wanted, number)).requester == "bob"
    assert not broken(place), "\n".join(broken(place))


async def test_the_judge_sees_a_rule_that_is_broken(place: GitHubPlace):
    place.server.violations.clear()
    url, body = f"{place.server.url}/repos/{REPOSITORY}/check-runs", {"title": "no name, no commit"}
    with pytest.raises(requests.RequestException):
        requests.post(url, json=body, headers={"Authorization": "Bearer x"}, timeout=20).raise_for_status()
    assert "required property" in "".join(place.server.violations)
    place.server.violations.clear()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_graphql_document_is_valid_by_githubs_schema(name: str, schema):
    assert validate(schema, parse(DOCUMENTS[name])) == []


def test_the_schema_would_find_a_field_that_github_does_not_have(schema):
    wrong = DOCUMENTS["threads"].replace("isResolved", "isSolved")
    assert "isSolved" in validate(schema, parse(wrong))[0].message


@pytest.fixture(scope="module")
def schema():
    return build_schema((package("@octokit/graphql-schema") / "schema.graphql").read_text(), assume_valid=True)


def test_real_payloads_are_read_as_pull_requests_checks_and_people():
    events = json.loads((package("@octokit/webhooks-examples") / "api.github.com" / "index.json").read_text())
    examples = {event["name"]: event["examples"] for event in events}
    pulls = [one for name in ("pull_request", "pull_request_review") for one in examples[name] if "pull_request" in one]
    assert len(pulls) > 20
    for told in pulls:
        place = HostedRepository("github.com", told["repository"]["full_name"])
        read = pull_request(told["pull_request"], "r", place)
        assert read.number == told["pull_request"]["number"] and read.head_commit == told["pull_request"]["head"]["sha"]
    runs = [check_run(one["check_run"], set()) for one in examples["check_run"]]
    assert runs and all(run.name and run.id for run in runs)
    people = {login(one["sender"]): is_bot(one["sender"]) for name in examples for one in examples[name] if one.get("sender")}
    assert people["Codertocat"] is False and people["octocoders-linter[bot]"] is True
