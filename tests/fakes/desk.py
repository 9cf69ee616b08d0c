"""Activities at a place where people review: real rows, artifacts, git and the repo server's tools, without a workflow."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from mcp import Client
from temporalio.testing import ActivityEnvironment

from activities.agent_run.cards import read_cards
from activities.agent_run.invocation import AgentAnswer, AgentTask
from activities.capabilities import Capabilities
from activities.editing import EditingDeeds
from activities.pull_request.commanding import CommandDeeds
from activities.pull_request.handing_off import HandingOffDeeds
from activities.pull_request.observing import ObservingDeeds
from activities.pull_request.publishing import PublishingDeeds
from activities.shelf import Shelf
from activities.stores.artifact_store import ArtifactStore
from activities.stores.database import open_database
from activities.stores.run_store import RunStore
from contracts.artifact import ArtifactRef
from contracts.forge import PullRequest
from contracts.plan import ChangePlan, PlannedEdit
from contracts.policy import Policy
from contracts.remarks import GivenAnswers, HeardRemark, Remark
from contracts.review import AnswerDraft, FeedbackAnswers
from contracts.sandbox import Recipe
from contracts.sighting import Sighting, SlashCommand
from contracts.steps import (
    CommandRequest,
    EditResult,
    FeedbackRequest,
    HandoffRequest,
    PinnedCards,
    Preparation,
    ProgressRequest,
    PublishRequest,
    PublishResult,
    SightingRequest,
    Spending,
)
from contracts.task import Task, TaskRequest, TaskState
from mcp_servers.code_search.server import build_server as search_server
from mcp_servers.repo.remotes import no_credentials
from mcp_servers.repo.server import build_server
from tests.fakes.forge_places import Workbench

Held = TypeVar("Held")
CARDS = read_cards(Path(__file__).parents[2] / "agents")
PLAN = ChangePlan(
    goal="Say more",
    rationale="People asked for it.",
    edits=(PlannedEdit(path="a.txt", intent="say more"), PlannedEdit(path="b.txt", intent="say it here, too")),
)


class Desk:
    """One task at one place."""

    def __init__(self, place: Any, bench: Workbench, store: RunStore, shelf: Shelf, connected: Capabilities) -> None:
        self.place, self.bench, self.store, self.shelf, self.connected = place, bench, store, shelf, connected
        request = TaskRequest(repo=place.remote, title="Say more", policy=Policy())
        self.task = Task(id="pw-1", request=request, created_at=datetime.now(UTC))
        self.recipe = Recipe()
        self.public_url = ""
        self.made: PublishResult | None = None
        self.plan = ArtifactRef(sha256="0" * 64, size=0)

    async def begin(self) -> None:
        """Accept the task and keep its plan."""
        await self.store.accept(self.task, "", "")
        self.plan = await self.shelf.keep_words(self.task.id, "PlanChanges", "plan.json", PLAN)

    @property
    def preparation(self) -> Preparation:
        cards = ArtifactRef(sha256="0" * 64, size=1)
        return Preparation(opened=self.bench.opened, recipe=self.recipe, policy=Policy(), cards=cards)

    @property
    def pull_request_id(self) -> str:
        assert self.made is not None
        return self.made.pull_request_id

    async def run(self, deed: Any, request: Any) -> Any:
        """An activity, as a worker runs it."""
        return await ActivityEnvironment().run(deed, request)

    async def publish(self, content: str = "one\n", answers: ArtifactRef | None = None, **more: Any) -> PublishResult:
        """OpenPR with a new commit."""
        commit = more.pop("commit", "") or self.bench.commit(content)
        deeds = PublishingDeeds(self.store, self.shelf, self.connected, self.public_url)
        request = PublishRequest(
            task=self.task, preparation=self.preparation, plan=self.plan, commit=commit, summary="It says more.",
            answers=answers, pull_request_id=self.made.pull_request_id if self.made else "", **more,
        )  # fmt: skip
        self.made = made = await self.run(deeds.publish, request)
        await self.store.record_progress(
            ProgressRequest(task_id=self.task.id, state=TaskState.AWAITING_REVIEW, key=f"1{len(commit)}", head_commit=commit)
        )
        return made

    async def observe(self, published: str = "") -> Sighting:
        """ObservePR."""
        assert self.made is not None
        request = SightingRequest(
            task=self.task, preparation=self.preparation, pull_request_id=self.pull_request_id,
            published=published or self.made.head_commit,
        )  # fmt: skip
        return await self.run(ObservingDeeds(self.store, self.connected, self.public_url).observe, request)

    async def answer(self, command: SlashCommand, outcome: str = "") -> None:
        """AnswerCommand."""
        request = CommandRequest(
            task=self.task, preparation=self.preparation, pull_request_id=self.pull_request_id, command=command,
            plan=self.plan, outcome=outcome,
        )  # fmt: skip
        await self.run(CommandDeeds(self.store, self.shelf, self.connected).answer, request)

    async def answered(self, *answers: AnswerDraft, heard: tuple[HeardRemark, ...] | None = None) -> ArtifactRef:
        """A fixer's answers to every open remark of their threads."""
        ids = {answer.thread_id for answer in answers}
        found = tuple(
            HeardRemark(thread_id=row.thread_id, message_id=row.message_id, said_sha256=row.said_sha256)
            for row in await self.rows()
            if row.thread_id in ids and not row.command
        )
        words = GivenAnswers(summary="Mended.", answers=answers, heard=found if heard is None else heard)
        return await self.shelf.keep_words(self.task.id, "AddressFeedback", "answers.json", words)

    async def fix(self, answers: tuple[AnswerDraft, ...], content: str = "", **more: Any) -> tuple[EditResult, str]:
        """AddressFeedback with a fixer that writes a file and says so; its result, and what it was told."""
        assert self.made is not None
        cards = await self.shelf.keep_words(self.task.id, "PrepareTask", "cards.json", PinnedCards(cards=CARDS))
        fixer = _Fixer(self, FeedbackAnswers(summary="Mended.", answers=answers), content)
        head = self.made.head_commit
        request = FeedbackRequest(
            task=self.task, preparation=self.preparation.model_copy(update={"cards": cards}), plan=self.plan, commit=head,
            published=head, pull_request_id=self.pull_request_id, **{"run": "review-1", "remarks": True, **more},
        )  # fmt: skip
        deeds = EditingDeeds(self.store, self.shelf, self.connected, fixer)  # type: ignore[arg-type]
        return await self.run(deeds.address, request), fixer.told

    async def hand_off(self, reason: str, resumed: bool = False, ended: bool = False) -> None:
        """HandOff of a task that has halted."""
        assert self.made is not None
        progress = ProgressRequest(task_id=self.task.id, state=TaskState.HALTED, key=f"9{resumed:d}", reason=reason)
        await self.store.record_progress(progress)
        note = HandoffRequest(
            task=self.task, preparation=self.preparation, pull_request_id=self.pull_request_id, reason=reason,
            commit=self.made.head_commit, resumed=resumed, ended=ended,
        )  # fmt: skip
        await self.run(HandingOffDeeds(self.store, self.shelf, self.connected, self.public_url).hand_off, note)

    async def rows(self) -> list[Remark]:
        """The task's rows."""
        return await self.store.remarks.of_task(self.task.id)

    async def now(self) -> PullRequest:
        """The pull request as the forge has it."""
        return await self.place.forge.get(self.pull_request_id)


class _Fixer:
    """In the place of the runs of agents."""

    def __init__(self, at: Desk, answers: FeedbackAnswers, content: str) -> None:
        self._at, self._answers, self._content = at, answers, content
        self.told = ""

    async def run(self, task: AgentTask) -> AgentAnswer:
        self.told, opened = task.prompt, self._at.bench.opened
        mirror = self._at.bench.mirrors.of(opened.workspace)
        mirror.start(opened.workspace, task.start_commit)
        if self._content:
            self._at.bench.commit(self._content)
        return AgentAnswer(self._answers, Spending(model_calls=1), b"{}")


@asynccontextmanager
async def desk(place: Any, folder: Path) -> AsyncIterator[Desk]:
    """A task whose change is about to be published at a place."""
    bench = Workbench(folder, place, getattr(place.forge, "git_access", no_credentials))
    database = await open_database(f"sqlite+aiosqlite:///{folder / 'store.db'}")
    store, shelf = RunStore(database), Shelf(ArtifactStore(folder / "artifacts", database))
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(
            held(Client(build_server(bench.mirrors, place.forge, credentials=bench.credentials)))
        )
        search = await stack.enter_async_context(held(Client(search_server(bench.mirrors, folder / "code-index"))))
        connected = Capabilities({"repo": client, "code_search": search})
        await connected.survey()
        made = Desk(place, bench, store, shelf, connected)
        await made.begin()
        yield made
    await database.close()


@asynccontextmanager
async def held(scope: AbstractAsyncContextManager[Held]) -> AsyncIterator[Held]:
    """What is left by the task that entered it, as its scopes want: a fixture's end runs in another one."""
    ready: asyncio.Future[Held] = asyncio.get_running_loop().create_future()
    done = asyncio.Event()

    async def hold() -> None:
        try:
            async with scope as thing:
                ready.set_result(thing)
                await done.wait()
        except BaseException as failure:
            if not ready.done():
                ready.set_exception(failure)
            raise

    holding = asyncio.create_task(hold())
    yield await ready
    done.set()
    await holding
