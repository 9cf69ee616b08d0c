"""What an agent's answer must hold, and how long it is asked for what it left out."""

from agents import RunContextWrapper

from activities.agent_run.guardrails import ASKED_FOR_ANSWERS, OUTPUT_GUARDRAILS, RunFacts
from activities.agent_run.outputs import Unusable
from contracts.policy import Policy
from contracts.review import AnswerDraft, FeedbackAnswers


def refused(facts: RunFacts, answer: object) -> str:
    """Why the answer is refused; empty when it is taken."""
    told = OUTPUT_GUARDRAILS["useful_answers"].guardrail_function(RunContextWrapper(facts), None, answer)  # type: ignore[arg-type]
    return told.output_info if told.tripwire_triggered else ""  # type: ignore[union-attr]


GIVEN = (AnswerDraft(thread_id="t1", body="Done."), AnswerDraft(thread_id="t2", body=" "))
HALF = FeedbackAnswers(summary="Did it.", answers=GIVEN)


def test_an_answer_for_each_thread_is_asked_for_without_end_where_a_person_waits_at_our_own_pages() -> None:
    facts = RunFacts(Policy(), ("t1", "t2"))
    for _ in range(10):
        assert "t2" in refused(facts, HALF)
    assert refused(RunFacts(Policy(), ("t1",)), HALF) == ""


def test_what_is_left_out_again_and_again_is_let_go_where_it_is_answered_for_the_agent() -> None:
    facts = RunFacts(Policy(), ("t1", "t2"), may_leave_out=True)
    told = [refused(facts, HALF) for _ in range(ASKED_FOR_ANSWERS + 1)]
    assert all("t2" in one for one in told[:-1]) and told[-1] == ""


def test_an_answer_that_is_none_is_never_let_go() -> None:
    facts = RunFacts(Policy(), ("t1",), may_leave_out=True)
    for _ in range(10):
        assert "JSON" in refused(facts, Unusable("I did it.", "it holds no JSON object"))
