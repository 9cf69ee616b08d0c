"""The SDK's guardrails by the names that cards use. They hold whatever a prompt says."""

from dataclasses import dataclass, field
from typing import Any

from agents import Agent, GuardrailFunctionOutput, InputGuardrail, OutputGuardrail, RunContextWrapper
from agents.items import TResponseInputItem

from activities.agent_run.outputs import Unusable
from contracts.judging.credentials import credentials_in
from contracts.plan import ChangePlan, plan_problems
from contracts.policy import Policy
from contracts.review import FeedbackAnswers

EXAMPLES_IN_CODE = frozenset({"password in a URL", "bearer token", "basic authentication", "password on a command line"})
"""What code and its documentation show so often that it would stop every other task; no push and no comment carries it on."""
ASKED_FOR_ANSWERS = 2
"""How often an agent is asked for the answers that it left out."""


@dataclass(frozen=True)
class RunFacts:
    """What guardrails may look at."""

    policy: Policy
    thread_ids: tuple[str, ...] = ()
    may_leave_out: bool = False
    """Whether threads that are left out again and again are answered for the agent: nothing comes of asking for ever."""
    left_out: list[str] = field(default_factory=list, compare=False)
    """What the agent was told of threads without an answer."""


Facts = RunContextWrapper[RunFacts]


def _no_credentials(_: Facts, agent: Agent[Any], given: str | list[TResponseInputItem]) -> GuardrailFunctionOutput:
    text = given if isinstance(given, str) else str(given)
    found = next((one for one in credentials_in(text, sure=True) if one.what not in EXAMPLES_IN_CODE), None)
    told = (
        (
            f"The text for the {agent.name} holds what looks like a credential ({found.what}, {found.begins}). "
            "Remove it from the ticket or the comment, revoke it, and submit again."
        )
        if found
        else ""
    )
    return GuardrailFunctionOutput(output_info=told, tripwire_triggered=bool(found))


def _sound_plan(context: Facts, _: Agent[Any], answer: Any) -> GuardrailFunctionOutput:
    if isinstance(answer, Unusable) or not isinstance(answer, ChangePlan):
        problem = answer.problem if isinstance(answer, Unusable) else "it is not a plan"
        return GuardrailFunctionOutput(
            f"Your answer cannot be used as a change plan: {problem}. Answer with the JSON of the plan only.", True
        )
    problems = plan_problems(answer, context.context.policy)
    return GuardrailFunctionOutput("Your plan cannot be carried out: " + " ".join(problems), bool(problems))


def _useful_answers(context: Facts, _: Agent[Any], answer: Any) -> GuardrailFunctionOutput:
    if isinstance(answer, Unusable) and answer.text.strip() and not context.context.thread_ids:
        return GuardrailFunctionOutput("", False)  # nobody waits for an answer: plain words are a summary
    if isinstance(answer, Unusable) or not isinstance(answer, FeedbackAnswers):
        problem = answer.problem if isinstance(answer, Unusable) else "it is not of the wanted form"
        return GuardrailFunctionOutput(
            f"Your answer cannot be used: {problem}. Answer with JSON only: "
            '{"summary": "…", "answers": [{"thread_id": "…", "body": "…", "addressed": true}]}.',
            True,
        )
    given = {draft.thread_id for draft in answer.answers if draft.body.strip()}
    facts = context.context
    missing = [thread for thread in facts.thread_ids if thread not in given]
    told = "These threads have no answer: " + ", ".join(missing) + ". Answer each by its id."
    if not missing or (facts.may_leave_out and len(facts.left_out) >= ASKED_FOR_ANSWERS):
        return GuardrailFunctionOutput("", False)
    facts.left_out.append(told)
    return GuardrailFunctionOutput(told, True)


INPUT_GUARDRAILS = {"no_credentials": InputGuardrail(_no_credentials, name="no_credentials", run_in_parallel=False)}
OUTPUT_GUARDRAILS = {
    "sound_plan": OutputGuardrail(_sound_plan, name="sound_plan"),
    "useful_answers": OutputGuardrail(_useful_answers, name="useful_answers"),
}
