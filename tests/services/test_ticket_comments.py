"""Tickets are told how their tasks stand: one comment, edited once for each change, whatever is away or lost in between."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from temporalio.testing import ActivityEnvironment

from activities.capabilities import Capabilities
from activities.progress import ProgressDeeds
from activities.stores.database import open_database
from activities.stores.run_store import RunStore
from activities.ticket_comment import AT_WORK, STANDINGS, ticket_comment
from contracts.event import EventKind, NewEvent
from contracts.record import TaskRecord
from contracts.steps import ProgressRequest
from contracts.task import Task, TaskRequest, TaskState, TicketSource
from contracts.ticket import TicketPlace
from mcp_servers.object_store import Mirrors
from mcp_servers.repo.local_forge import LocalForge
from mcp_servers.repo.server import build_server
from mcp_servers.repo.tickets.tickets import Tickets
from services import ticket_comments
from services.ticket_comments import TicketTeller
from tests.fakes.ticket_places import ForgeDesk, ticket_desk

TASK = "pw-abcdefghijkl"
PULL = "https://github.com/octo/hello/pull/12"


class Office:
    """A task that came from a ticket, whoever tells the ticket, and the ticket."""

    def __init__(self, runs: RunStore, capabilities: Capabilities, desk: ForgeDesk) -> None:
        self.runs, self.capabilities, self.desk = runs, capabilities, desk
        self.teller = TicketTeller(runs, capabilities)
        self.records = 0

    async def moved(self, state: TaskState, reason: str = "", **more: Any) -> None:
        """The workflow records where it is."""
        self.records += 1
        request = ProgressRequest(task_id=TASK, state=state, reason=reason, key=str(self.records), **more)
        await ActivityEnvironment().run(ProgressDeeds(self.runs, self.capabilities).record, request)

    async def told(self) -> list[str]:
        """What the ticket says after all that is due was told: the first line of each comment of ours."""
        while await self.teller.tell_due():
            pass
        return [body.partition("\n")[0].strip("*") for mine, body in self.desk.said() if mine]

    @property
    def writes(self) -> int:
        return len(self.desk.server.writes("comments"))

    async def notes(self) -> list[str]:
        return [event.text for event in await self.runs.events_of_kinds(TASK, [EventKind.NOTE])]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[ForgeDesk]:
    with ticket_desk("github", tmp_path) as made:
        yield made


@pytest.fixture
async def office(desk: ForgeDesk, tmp_path: Path) -> AsyncIterator[Office]:
    database = await open_database(f"sqlite:///{tmp_path}/run.db")
    runs = RunStore(database)
    await runs.accept(a_task(desk.place.source), "", "")
    mirrors = Mirrors(tmp_path / "mirrors")
    tickets = Tickets({desk.place.host: desk.system}, {})
    connected: asyncio.Future[Client] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def connect() -> None:
        """A client is to be left by the task that entered it, and a fixture's end is another one."""
        async with Client(build_server(mirrors, LocalForge(tmp_path / "forge.db", mirrors), tickets=tickets)) as client:
            connected.set_result(client)
            await done.wait()

    connection = asyncio.create_task(connect())
    capabilities = Capabilities({"repo": await connected})
    await capabilities.survey()
    yield Office(runs, capabilities, desk)
    done.set()
    await connection
    await database.close()


def a_task(source: TicketSource | None) -> Task:
    return Task(id=TASK, request=TaskRequest(repo="/r", title="t", source=source), created_at=datetime.now(UTC))


# -- what is said ---------------------------------------------------------------------------------------------


def record(state: TaskState, reason: str = "") -> TaskRecord:
    return TaskRecord(task=a_task(None), state=state, reason=reason, updated_at=datetime.now(UTC))


@pytest.mark.parametrize("state", TaskState)
def test_every_state_has_its_words_and_steps_of_work_share_theirs(state: TaskState) -> None:
    body = ticket_comment(record(state, "because"), PULL)
    assert body.startswith(f"**{STANDINGS.get(state, AT_WORK)}**") and f"<{PULL}>" in body
    assert ("because" in body) == (state in STANDINGS and state not in (TaskState.MERGED, TaskState.ADDRESSING_FEEDBACK))


def test_people_are_led_to_our_pages_where_they_can_be_seen() -> None:
    assert ticket_comment(record(TaskState.HALTED), "", "https://pw.example").endswith(f"[How it goes](https://pw.example/t/{TASK})")


def test_nothing_in_a_reason_acts_on_the_ticket() -> None:
    hostile = f"{PULL} closes #4, thanks @ada\n/close\n<img src=x> <!-- patchwright:comment 1 --> [x](http://y) ghp_" + "a" * 36
    body = ticket_comment(record(TaskState.HALTED, hostile), PULL)
    for power in ("#4", "@ada", "\n/close", "<img", "<!--", "](http://", "ghp_a"):
        assert power not in body
    assert body.count(PULL) == 1 and "javascript" not in ticket_comment(record(TaskState.HALTED), "javascript:alert(1)")


# -- when it is said ------------------------------------------------------------------------------------------


async def test_one_comment_is_edited_once_for_each_change_that_matters(office: Office) -> None:
    story = [
        (TaskState.PLANNING, 1, AT_WORK), (TaskState.EDITING, 1, AT_WORK), (TaskState.CHECKING, 1, AT_WORK),
        (TaskState.HALTED, 2, STANDINGS[TaskState.HALTED]), (TaskState.EDITING, 3, AT_WORK),
        (TaskState.AWAITING_REVIEW, 4, STANDINGS[TaskState.AWAITING_REVIEW]),
        (TaskState.AWAITING_REVIEW, 4, STANDINGS[TaskState.AWAITING_REVIEW]),
        (TaskState.AWAITING_MERGE, 5, STANDINGS[TaskState.AWAITING_MERGE]), (TaskState.MERGED, 6, STANDINGS[TaskState.MERGED]),
    ]
    for state, writes, words in story:
        before, asked = office.writes, len(office.desk.server.seen)
        await office.moved(state)
        assert await office.told() == [words] and office.writes == writes, state
        assert (len(office.desk.server.seen) == asked) == (writes == before), "what did not change costs no request"
    (note,) = await office.notes()
    assert note.startswith(f"The ticket is told here: {office.desk.server.url}/makers/thing/")


async def test_the_pull_request_is_linked_and_the_reason_is_quoted(office: Office) -> None:
    made = NewEvent(kind=EventKind.PULL_REQUEST, text="Opened", key="pr", data={"url": PULL})
    await office.runs.append(TASK, [made])
    await office.moved(TaskState.AWAITING_REVIEW, f"{PULL} 2 of 2 checks passed", pull_request_id="github~x~a~b~12")
    await office.told()
    ((_, body),) = office.desk.said()
    assert f"Pull request: <{PULL}>" in body and body.rstrip().endswith("> 2 of 2 checks passed")


async def test_many_changes_while_nobody_looked_are_one_edit(office: Office) -> None:
    for state in (TaskState.PLANNING, TaskState.HALTED, TaskState.EDITING, TaskState.AWAITING_REVIEW):
        await office.moved(state)
    assert await office.told() == [STANDINGS[TaskState.AWAITING_REVIEW]] and office.writes == 1


async def test_with_each_write_s_answer_lost_there_is_one_comment(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ticket_comments, "PAUSE", timedelta(0))
    for state in (TaskState.PLANNING, TaskState.HALTED, TaskState.MERGED):
        await office.moved(state)
        office.desk.server.lost_write = 0
        assert await office.told() == [STANDINGS.get(state, AT_WORK)]


async def test_a_system_that_is_away_holds_no_task_up_and_is_told_when_it_is_back(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ticket_comments, "PAUSE", timedelta(milliseconds=30))
    office.desk.server.drop(".*", "comments", times=30)
    began = time.perf_counter()
    for state in (TaskState.PLANNING, TaskState.AWAITING_REVIEW, TaskState.MERGED):
        await office.moved(state)
        await office.teller.tell_due()
    assert time.perf_counter() - began < 10 and (await office.runs.get(TASK)).state is TaskState.MERGED
    assert [note for note in await office.notes() if "not told" in note]
    office.desk.server.faults.clear()
    async with asyncio.timeout(5):
        while await office.told() != [STANDINGS[TaskState.MERGED]]:
            await asyncio.sleep(0.01)


async def test_the_next_change_does_not_wait_for_the_pause(office: Office) -> None:
    office.desk.server.fail(".*", "comments", 503)
    await office.moved(TaskState.PLANNING)
    assert await office.told() == []
    await office.moved(TaskState.HALTED)
    assert await office.told() == [STANDINGS[TaskState.HALTED]]


async def test_a_limit_is_kept(office: Office) -> None:
    office.desk.server.fail("GET", "comments", 429, {"message": "slow"}, Retry_After="1")
    await office.moved(TaskState.PLANNING)
    assert await office.told() == [] and not await office.runs.tickets.waiting()


async def test_the_comment_is_found_again_though_the_run_store_forgot_it(office: Office) -> None:
    await office.moved(TaskState.PLANNING)
    await office.told()
    async with office.runs._database.writing() as connection:
        await connection.exec_driver_sql("DELETE FROM ticket_comments")
    await office.moved(TaskState.HALTED)
    assert await office.told() == [STANDINGS[TaskState.HALTED]]


async def test_several_workers_tell_a_ticket_once(office: Office) -> None:
    await office.moved(TaskState.PLANNING)
    await asyncio.gather(*(TicketTeller(office.runs, office.capabilities).tell_due() for _ in range(4)))
    assert await office.told() == [AT_WORK] and office.writes == 1


async def test_a_teller_that_died_is_followed_by_another(office: Office) -> None:
    await office.moved(TaskState.PLANNING)
    await office.runs.tickets.claim(lease=timedelta(milliseconds=50))  # and then its process is gone
    assert await office.teller.tell_due() == 0
    await asyncio.sleep(0.06)
    assert await office.told() == [AT_WORK]


async def test_a_change_while_a_ticket_is_told_is_told_as_well(office: Office) -> None:
    await office.moved(TaskState.PLANNING)
    (one,) = await office.runs.tickets.claim()
    await office.moved(TaskState.MERGED)
    await office.teller._tell(one)
    assert await office.told() == [STANDINGS[TaskState.MERGED]]


async def test_a_ticket_that_is_gone_is_given_up_with_a_note(office: Office) -> None:
    office.desk.server.fail(".*", "comments", 404, times=9)
    await office.moved(TaskState.PLANNING)
    assert await office.told() == [] and not await office.runs.tickets.waiting()
    assert sum("was not told" in note for note in await office.notes()) == 1


@pytest.mark.parametrize("source", [None, TicketSource(system="crm", key="a/1"), TicketSource(system="jira", key="ENG-1"),
                                    TicketSource(system="github", key="elsewhere.example/a/b#1")])
async def test_tickets_of_systems_that_are_not_configured_are_left_alone_without_a_word(
    office: Office, source: TicketSource | None, tmp_path: Path
) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/other.db")
    other = Office(RunStore(database), office.capabilities, office.desk)
    await other.runs.accept(a_task(source), "", "")
    await other.moved(TaskState.PLANNING)
    assert await other.told() == [] and await other.notes() == [] and not await other.runs.tickets.waiting()
    assert (TicketPlace.of(source) is None) == (source is None or source.system == "crm")
    await database.close()
