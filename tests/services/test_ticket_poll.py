"""A label that no webhook told about is found, and becomes the same task as if one had; who may not ask, asks for nothing."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from activities.capabilities import Capabilities
from activities.stores.database import open_database
from activities.stores.run_store import RunStore
from activities.stores.watch_store import WatchStore
from contracts.task import Task, TaskRequest, task_id
from mcp_servers.repo import asking
from services import mcp_wiring
from services.inbox.hints import Ignored, TicketHint
from services.inbox.intake import TicketIntake
from services.settings import IsolatedSettings
from services.tasks import OrchestratorUnavailable
from services.ticket_poll import TicketPoll
from services.ticket_rules import TicketRules
from tests.fakes.desk import held
from tests.fakes.forge_places import PRIVATE_KEY, GitHubPlace, github_place, gitlab_place

PLACES = {"github": github_place, "gitlab": gitlab_place}
RULES = TicketRules(label="patchwright", assignees=("robot",))
AT_ONCE = timedelta(0)


class Intake:
    """Makes tasks of tickets as the inbox does, in the run store alone."""

    def __init__(self, runs: RunStore, settings: IsolatedSettings) -> None:
        self.runs, self.intake = runs, TicketIntake(RULES, settings.forges)
        self.hints: list[TicketHint] = []
        self.away = False

    async def begin(self, hint: TicketHint) -> None:
        if self.away:
            raise OrchestratorUnavailable("Temporal did not answer.")
        self.hints.append(hint)
        request = self.intake.request(hint)
        assert not isinstance(request, Ignored), request
        assert request.source is not None
        name = task_id(request.source.system, request.source.key)
        await self.runs.accept(Task(id=name, request=request, created_at=datetime.now(UTC)), "", "")

    def asked(self) -> list[tuple[str, str]]:
        """Tickets and who asked, since it was looked last."""
        found, self.hints = [(hint.key, hint.requester) for hint in self.hints], []
        return found


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with PLACES[request.param](tmp_path) as made:
        made.server.permit(made.path, "robot", "write")
        yield made


@pytest.fixture
def settings(place: Any, tmp_path: Path) -> IsolatedSettings:
    told, secret = {"kind": place.kind, "api_url": place.server.url, "seconds_between_writes": 0}, tmp_path / "secret"
    secret.write_text(PRIVATE_KEY if isinstance(place, GitHubPlace) else place.server.token)
    credential = {"app_id": "7", "app_key_file": str(secret)} if place.kind == "github" else {"token_file": str(secret)}
    return IsolatedSettings.model_validate({"data_dir": tmp_path / "data", "forges": {place.host: told | credential}})


@pytest.fixture
async def runs(tmp_path: Path, place: Any) -> AsyncIterator[RunStore]:
    database = await open_database(f"sqlite:///{tmp_path}/run.db")
    made = RunStore(database)
    earlier = Task(id="pw-1", request=TaskRequest(repo=place.remote, title="Earlier"), created_at=datetime.now(UTC))
    await made.accept(earlier, "", "")
    yield made
    await database.close()


@pytest.fixture
def intake(runs: RunStore, settings: IsolatedSettings) -> Intake:
    return Intake(runs, settings)


@pytest.fixture
async def poll(place: Any, settings: IsolatedSettings, runs: RunStore, intake: Intake) -> AsyncIterator[TicketPoll]:
    async with held(Client(mcp_wiring.mcp_server("repo", settings, "http://localhost"))) as client:
        connected = Capabilities({"repo": client})
        await connected.survey()
        store = WatchStore(runs._database)
        yield TicketPoll(store, runs, connected, intake.begin, RULES, {place.host: place.kind}, AT_ONCE)


async def test_a_label_and_an_assignment_are_found_once_and_mere_tickets_are_not(place: Any, poll: TicketPoll, intake: Intake):
    people, repo = place.server, place.path
    plain, labelled, assigned = (people.open_issue(repo, "ada", title, "Please.\n- [ ] done") for title in "abc")
    assert await poll.poll() == 0
    people.label_issue(repo, labelled, "bob", "Patchwright" if place.kind == "github" else "patchwright")
    people.label_issue(repo, plain, "bob", "other")
    people.assign_issue(repo, assigned, "bob", "robot")
    assert await poll.poll() == 2
    first = next(hint for hint in intake.hints if hint.key == str(labelled))
    assert (first.title, first.description, first.repository.path) == ("b", "Please.\n- [ ] done", repo)  # type: ignore[union-attr]
    assert sorted(intake.asked()) == sorted([(str(labelled), "bob"), (str(assigned), "bob")])
    people.comment_issue(repo, labelled, "ada", "Well?")
    for _ in range(2):
        assert await poll.poll() == 0
    assert intake.asked() == []


async def test_what_an_outsider_opens_a_ticket_with_starts_nothing(place: Any, poll: TicketPoll, intake: Intake):
    number = place.server.open_issue(place.path, "eve", "Mine", labels=("patchwright",))
    assert await poll.poll() == 0
    place.server.unlabel_issue(place.path, number, "ada", "patchwright")
    place.server.label_issue(place.path, number, "ada", "patchwright")
    assert await poll.poll() == 1
    assert intake.asked() == [(str(number), "ada")]


async def test_a_closed_ticket_and_an_old_label_start_nothing(
    place: Any, poll: TicketPoll, intake: Intake, monkeypatch: pytest.MonkeyPatch
):
    closed, old = (place.server.open_issue(place.path, "ada", title) for title in "ab")
    for number in (closed, old):
        place.server.label_issue(place.path, number, "ada", "patchwright")
    place.server.close_issue(place.path, closed, "ada")
    monkeypatch.setattr(asking, "LATELY", timedelta(days=-1))
    assert await poll.poll() == 0
    monkeypatch.undo()
    place.server.comment_issue(place.path, old, "ada", "Hm.")
    assert await poll.poll() == 1 and intake.asked() == [(str(old), "ada")]


async def test_a_ticket_whose_task_could_not_be_started_is_tried_again(place: Any, poll: TicketPoll, intake: Intake):
    number = place.server.open_issue(place.path, "ada", "a")
    place.server.label_issue(place.path, number, "ada", "patchwright")
    intake.away = True
    assert await poll.poll() == 0
    intake.away = False
    assert await poll.poll() == 1 and intake.asked() == [(str(number), "ada")]


async def test_looking_costs_no_quota_while_nothing_changes(place: Any, poll: TicketPoll, intake: Intake):
    number = place.server.open_issue(place.path, "ada", "a")
    place.server.label_issue(place.path, number, "ada", "patchwright")
    await poll.poll()
    before = len(place.server.seen)
    for _ in range(3):
        await poll.poll()
    asked = place.server.seen[before:]
    assert len(asked) == 6 and {one.status for one in asked} == {304}


async def test_a_repository_that_cannot_be_seen_is_left_alone_for_a_while(place: Any, poll: TicketPoll, intake: Intake):
    place.server.fail("GET", "issues", 404, {"message": "Not Found"}, times=9)
    await poll.poll()
    before = len(place.server.seen)
    await poll.poll()
    assert len(place.server.seen) == before


async def test_confidential_tickets_start_nothing(place: Any, poll: TicketPoll, intake: Intake):
    if place.kind == "github":
        pytest.skip("GitHub has no confidential issues")
    number = place.server.open_issue(place.path, "ada", "a")
    place.project.issues[number].confidential = True
    place.server.label_issue(place.path, number, "ada", "patchwright")
    assert await poll.poll() == 0 and intake.asked() == []
