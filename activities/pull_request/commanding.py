"""Answering commands that people give in comments."""

from activities.bound_plan import bound_plan
from activities.capabilities import CallScope, Capabilities
from activities.edge import deed
from activities.editing import ChangedFiles
from activities.pull_request.command_answers import confirmation, explanation, plan_with_standing
from activities.pull_request.observing import is_alone
from activities.shelf import Shelf
from activities.stores.run_store import RunStore
from contracts.change import ChangedFile
from contracts.errors import NotFound
from contracts.event import EventKind
from contracts.plan import ChangePlan
from contracts.remarks import Remark, counted
from contracts.review import ThreadAnswer
from contracts.sighting import CommandKind
from contracts.steps import CommandRequest
from contracts.word import Word


class Told(Word):
    """An answer as it was first made: asked again, the same one is found on the forge."""

    body: str


class CommandDeeds:
    """``AnswerCommand``."""

    def __init__(self, run_store: RunStore, shelf: Shelf, capabilities: Capabilities) -> None:
        self.run_store = run_store
        self._shelf = shelf
        self._capabilities = capabilities

    @deed("AnswerCommand")
    async def answer(self, request: CommandRequest) -> None:
        """Answer a command where it was given, once, and remember that it was carried out."""
        rows = await self.run_store.remarks.of_task(request.task.id)
        row = next((one for one in rows if one.command and one.command_id == request.command.message_id), None)
        if row is None:
            return  # nobody heard it: the next look does, and the workflow is told again
        told = await self._told(request, row)
        given = ThreadAnswer(thread_id=row.thread_id, body=told, addressed=is_alone(row, rows))
        asked = {"pull_request_id": request.pull_request_id, "answers": [given.model_dump(mode="json")]}
        try:
            await self._capabilities.ask(Word, "answer_threads", asked, CallScope.of(request.preparation), self._key(request))
        except NotFound:
            told = "The comment was deleted before it could be answered."
        await self.run_store.remarks.carried_out(request.task.id, row, told)

    async def _told(self, request: CommandRequest, row: Remark) -> str:
        name = f"answer-{row.command_id}.json"
        if known := await self._shelf.first(Told, request.task.id, "AnswerCommand", name):
            return known.body
        told = Told(body=await self._composed(request))
        await self._shelf.keep_words(request.task.id, "AnswerCommand", name, told)
        return told.body

    async def _composed(self, request: CommandRequest) -> str:
        kind = request.command.kind
        if kind is CommandKind.PLAN:
            plan = await bound_plan(self._shelf, request.plan, request.plan_sha256)
            return plan_with_standing(plan, await self._files(request), request.plan_sha256, request.approvals)
        if kind is CommandKind.EXPLAIN:
            return await self._explained(request)
        return confirmation(kind, request.outcome)

    async def _explained(self, request: CommandRequest) -> str:
        plan = await self._shelf.read(ChangePlan, request.plan)
        published = await self.run_store.events_of_kinds(request.task.id, [EventKind.PULL_REQUEST])
        commits = list(dict.fromkeys(str(event.data.get("head_commit", "")) for event in published))
        summary = next((str(event.data["summary"]) for event in reversed(published) if event.data.get("summary")), "")
        counts = counted(await self.run_store.remarks.of_task(request.task.id))
        return explanation(plan, summary, await self._files(request), [one for one in commits if one], counts)

    async def _files(self, request: CommandRequest) -> tuple[ChangedFile, ...]:
        """What differs from the base at the newest commit that the run store heard of."""
        base = request.preparation.opened.base_commit
        head = (await self.run_store.get(request.task.id)).head_commit or base
        if head == base:
            return ()
        span, scope = {"old": base, "new": head}, CallScope.of(request.preparation)
        return (await self._capabilities.ask(ChangedFiles, "changed_files", span, scope, self._key(request))).files

    def _key(self, request: CommandRequest) -> str:
        return f"{request.task.id}/command/{request.command.message_id}"
