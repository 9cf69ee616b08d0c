"""From the ticket to a plan, and from the plan to the parts of the repository it is about."""

from activities.agent_run.guardrails import RunFacts
from activities.agent_run.run import AgentRuns
from activities.bound_plan import bound_plan
from activities.capabilities import CallScope, Capabilities
from activities.edge import deed
from activities.prompts import plan_prompt
from activities.shelf import Shelf, invocation
from activities.stores.run_store import RunStore
from contracts.event import EventKind, NewEvent
from contracts.plan import ChangePlan, plan_sha256
from contracts.steps import ContextRequest, ContextResult, PlanRequest, PlanResult
from contracts.word import Word

CONTEXT_TOKENS = 8_000
"""Token budget of the context that the coder is given, four bytes a token."""


class GatheredContext(Word):
    """The answer of the ``gather_context`` tool."""

    text: str = ""
    files: tuple[str, ...] = ()


class PlanningDeeds:
    """``PlanChanges`` and ``FetchContext``."""

    def __init__(self, run_store: RunStore, shelf: Shelf, capabilities: Capabilities, runs: AgentRuns) -> None:
        self.run_store = run_store
        self._shelf = shelf
        self._capabilities = capabilities
        self._runs = runs

    @deed("PlanChanges")
    async def plan(self, request: PlanRequest) -> PlanResult:
        """Let the planner turn the ticket into a plan."""
        opened = request.preparation.opened
        ticket = await self.run_store.ticket(request.task.id)
        prompt = plan_prompt(ticket, opened.notes, request.steering, request.rejection)
        facts = RunFacts(request.preparation.policy)
        answer = await self._runs.run(
            await invocation(request, self._shelf, "PlanChanges", ("planner", "retriever"), prompt, facts)
        )
        transcript = await self._shelf.keep(
            request.task.id, "PlanChanges", f"transcript-{request.run}.{request.slice}.json", answer.transcript
        )
        if not answer.finished:
            return PlanResult(spent=answer.spent, heard=answer.heard, finished=False, transcript=transcript)
        plan: ChangePlan = answer.final
        ref = await self._shelf.keep_words(request.task.id, "PlanChanges", f"{request.run}.json", plan)
        digest = plan_sha256(plan)
        scope = CallScope.of(request.preparation)
        await self._capabilities.ask(
            Word, "set_plan", {"plan_json": plan.model_dump_json()}, scope, f"{request.task.id}/{request.run}/plan"
        )
        await self.run_store.append(
            request.task.id,
            [
                NewEvent(
                    kind=EventKind.PLAN,
                    text=f"Plan: {plan.goal}",
                    step="PlanChanges",
                    agent="planner",
                    key=f"plan/{digest}",
                    data={"sha256": digest, "edits": [edit.path for edit in plan.edits], "artifact": ref.sha256},
                )
            ],
        )
        return PlanResult(
            plan=ref,
            plan_sha256=digest,
            goal=plan.goal[:500],
            edits=len(plan.edits),
            spent=answer.spent,
            heard=answer.heard,
            transcript=transcript,
        )

    @deed("FetchContext")
    async def fetch_context(self, request: ContextRequest) -> ContextResult:
        """Look up what the plan is about in the code index; no model is asked."""
        plan = await bound_plan(self._shelf, request.plan, request.plan_sha256)
        query = " ".join([request.task.request.title, plan.goal, *(edit.intent for edit in plan.edits)])[:2_000]
        gathered = await self._capabilities.ask(
            GatheredContext,
            "gather_context",
            {"query": query, "paths": [edit.path for edit in plan.edits], "token_budget": CONTEXT_TOKENS},
            CallScope.of(request.preparation),
            f"{request.task.id}/context/{request.plan.sha256}",
        )
        ref = await self._shelf.keep(
            request.task.id, "FetchContext", "context.md", gathered.text.encode("utf-8", "replace"), "text/markdown"
        )
        return ContextResult(context=ref, files=len(gathered.files))
