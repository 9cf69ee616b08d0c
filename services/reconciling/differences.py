"""What differs, and what is done about it: pure rules over what each place says.

The workflow knows where its task stands, the forge which pull requests there are; the run store follows both. Nothing is
guessed: where two of them contradict each other, a person decides.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from contracts.forge import PullRequestState
from contracts.review import Review, Verdict
from contracts.task import WAITING_STATES, TaskState
from services.reconciling.sightings import Course, Sighting
from workflows.standing import Standing


class Deed(StrEnum):
    """What is done about a difference."""

    READMIT = "the row is made again from what the workflow knows"
    READMIT_PAUSED = "the row is made again from what the workflow knows, and the task is paused"
    CATCH_UP = "the row is brought up to the workflow"
    FALL_BACK = "the row follows the workflow again"
    START = "its workflow is started; finished work is taken from the journal"
    END = "the row is ended as failed"
    ADOPT = "the pull request is noted in the row"
    REPUBLISH = "the forge's record is made from what the workflow published"
    TELL_REVIEW = "the workflow is told of the review"
    TRUST_BRANCH = "the commit is fetched and known as pushed by this service again"
    LOST = "nothing: it is lost, and the task goes on without it"
    PERSON = "a person decides"

    @property
    def mends(self) -> bool:
        """Whether there is something to do for the service."""
        return self not in (Deed.LOST, Deed.PERSON)


@dataclass(frozen=True)
class Difference:
    """One thing on which two places disagree."""

    task: str
    what: str
    """For people: who says what."""
    deed: Deed
    advice: str = ""
    """What a person can do."""
    review: Review | None = None
    """The review that the workflow is told of."""


def differences(seen: Sighting) -> list[Difference]:
    """Everything that differs about one task, in the order in which it is mended."""
    return [*_row(seen), *(_outside(seen) if seen.workflow.course is Course.RUNNING else ())]


# -- the row and the workflow --------------------------------------------------------------------------------------


def _row(seen: Sighting) -> Iterator[Difference]:
    if seen.row is None:
        yield from _without_row(seen)
        return
    rules = {Course.RUNNING: _running, Course.ENDED: _ended, Course.DEAD: _dead, Course.MISSING: _missing}
    yield from rules[seen.workflow.course](seen, seen.row.state)


def _without_row(seen: Sighting) -> Iterator[Difference]:
    what = f"The run store does not know it; its workflow is {_course(seen)}."
    if seen.workflow.course is Course.RUNNING and seen.ticket is None:
        yield _of(seen, what + " The text of its ticket is lost: no artifact has it.", Deed.READMIT_PAUSED)
        yield _of(seen, "It would go on with its title alone.", Deed.PERSON,
                  f"./patchwright cancel {seen.name} and send the ticket again, or ./patchwright resume {seen.name}")
    else:
        yield _of(seen, what, Deed.READMIT)
    yield from (_dead if seen.workflow.course is Course.DEAD else _told_less)(seen, TaskState.QUEUED)


def _told_less(seen: Sighting, state: TaskState) -> Iterator[Difference]:
    if seen.behind and seen.state is not None:
        yield _of(seen, f"The row says {_words(state)} (record {seen.records}), the workflow {_words(seen.state)} "
                        f"(record {_standing(seen).records}).", Deed.CATCH_UP)


def _running(seen: Sighting, state: TaskState) -> Iterator[Difference]:
    if seen.standing is None:
        yield _of(seen, f"Its workflow does not answer: {seen.workflow.reason}", Deed.PERSON,
                  "start a worker and reconcile again")
    elif state.final:
        yield _of(seen, f"It has ended here and is {_words(state)}; its workflow runs and is {_words(seen.standing.state)}.",
                  Deed.PERSON, "where the end here is right: temporal workflow terminate --reason restored "
                               f"--workflow-id {seen.name}")
    elif seen.behind:
        yield from _told_less(seen, state)
    elif seen.ahead:
        yield _of(seen, f"The row says {_words(state)} (record {seen.records}), the workflow only "
                        f"{_words(seen.standing.state)} (record {seen.standing.records}): it is the older one. It takes its "
                        "steps again; journal, ledger, mirror and forge know what was done.", Deed.FALL_BACK)


def _ended(seen: Sighting, state: TaskState) -> Iterator[Difference]:
    if not state.final:
        yield from _told_less(seen, state)


def _dead(seen: Sighting, state: TaskState) -> Iterator[Difference]:
    if not state.final:
        yield _of(seen, f"The row says {_words(state)}; its workflow {seen.workflow.reason}.", Deed.END)


def _missing(seen: Sighting, state: TaskState) -> Iterator[Difference]:
    traces = seen.traces
    if state.final or traces is None:
        return
    what = f"The row says {_words(state)}; Temporal knows no workflow of it."
    if traces.problem:
        yield _of(seen, f"{what} The remote could not be asked: {traces.problem}", Deed.PERSON, "reconcile again when it answers")
    elif traces.pull_request is None and not traces.remote_commit:
        yield _of(seen, f"{what} Nothing of it has left the service.", Deed.START)
    else:
        shown = traces.pull_request
        there = f"the pull request {shown.id}, {shown.state.value}" if shown else f"its branch at {traces.remote_commit[:12]}"
        yield _of(seen, f"{what} There is {there}.", Deed.PERSON,
                  "review what is there and merge it as you merge anything else, or send the ticket again under a new key")


# -- what is outside: forge, remote, mirror ------------------------------------------------------------------------


def _outside(seen: Sighting) -> Iterator[Difference]:
    standing, traces = seen.standing, seen.traces
    if standing is None or traces is None or (seen.row is not None and seen.row.state.final):
        return
    for lost in seen.missing_artifacts:
        yield _of(seen, f"The artifact {lost.name} ({lost.sha256[:12]}) that its workflow names is gone.", Deed.PERSON,
                  "put a newer copy of the artifacts back, or cancel the task and send the ticket again")
    if traces.problem:
        yield _of(seen, f"The remote could not be asked: {traces.problem}", Deed.PERSON, "reconcile again when it answers")
    else:
        yield from _branch(seen, standing)
    yield from _mirror(seen, standing)
    yield from _pull_request(seen, standing)
    yield from _reviews(seen, standing)


def _branch(seen: Sighting, standing: Standing) -> Iterator[Difference]:
    traces = seen.traces
    assert traces is not None
    there, published = traces.remote_commit, standing.published
    if there and there == published and not traces.pushed_by_us:
        yield _of(seen, f"The mirror forgot that this service pushed {there[:12]}.", Deed.TRUST_BRANCH)
    elif there and there != published and not traces.pushed_by_us:
        yield _of(seen, f"Its branch stands at {there[:12]}, which this service is not known to have pushed; "
                        "it will not be overwritten.", Deed.PERSON, "keep that commit elsewhere and delete the branch")
    elif published and not there and _rests(standing):
        yield _of(seen, f"Its branch is gone on the remote; the workflow published {published[:12]}.", Deed.PERSON,
                  f"./patchwright close {seen.name}, or push that commit again")


def _mirror(seen: Sighting, standing: Standing) -> Iterator[Difference]:
    traces = seen.traces
    assert traces is not None
    if standing.preparation is None:
        return
    fetched = traces.remote_commit if not traces.pushed_by_us else ""
    if lost := [commit[:12] for commit in traces.missing_commits if commit != fetched]:
        yield _of(seen, f"The mirror lacks {', '.join(lost)}, which its workflow names.", Deed.PERSON,
                  "put a newer copy of the mirrors back, or cancel the task and send the ticket again")
    elif not traces.workspace_commit:
        yield _of(seen, "The mirror has no workspace of it.", Deed.PERSON,
                  "put a newer copy of the mirrors back, or cancel the task and send the ticket again")


def _pull_request(seen: Sighting, standing: Standing) -> Iterator[Difference]:
    traces = seen.traces
    assert traces is not None
    shown, known = traces.pull_request, standing.pull_request_id
    if shown is None and known:
        yield _of(seen, f"The forge does not know its pull request {known}.", *_republished(standing))
    elif shown is None:
        return
    elif known and shown.id != known:
        yield _of(seen, f"Its branch has the open pull request {shown.id}; the workflow speaks of {known}.", Deed.PERSON,
                  "close the one that is not wanted")
    elif shown.state is not PullRequestState.OPEN and _rests(standing):
        yield _of(seen, f"Its pull request {shown.id} is {shown.state.value}; the task is {_words(standing.state)}.", Deed.PERSON,
                  f"./patchwright close {seen.name}")
    elif not known and (seen.row is None or seen.row.pull_request_id != shown.id):
        yield _of(seen, f"Its branch has the open pull request {shown.id}, which the row does not name.", Deed.ADOPT)
    elif known and shown.head_commit != standing.published and _rests(standing) and not seen.ahead:
        yield _of(seen, f"The forge has {shown.id} at {shown.head_commit[:12]}, the workflow published "
                        f"{standing.published[:12]}.", *_republished(standing))


def _republished(standing: Standing) -> tuple[Deed, str]:
    """Only at rest: while the workflow publishes by itself, an older commit must not be put over its newer one."""
    return (Deed.REPUBLISH, "") if _rests(standing) else (Deed.PERSON, "reconcile again when the task rests")


def _reviews(seen: Sighting, standing: Standing) -> Iterator[Difference]:
    traces = seen.traces
    assert traces is not None
    shown = traces.pull_request
    there = {review.id for review in traces.reviews}
    if lost := [name for name in standing.seen_reviews if name not in there]:
        yield _of(seen, f"The forge has lost {', '.join(lost)}, of which the workflow was told, and the threads of it.",
                  Deed.LOST)
    if shown is None or shown.state is not PullRequestState.OPEN:
        return
    unheard = [review for review in traces.reviews if review.id not in standing.seen_reviews and _counts(review, standing)]
    for number, review in enumerate(unheard):
        what = f"{review.reviewer or 'Somebody'} said {_words(review.verdict)} ({review.id}); the workflow was not told."
        if number == 0:
            yield _of(seen, what, Deed.TELL_REVIEW, review=review)
        else:
            # One after the other, as they came: together they would be answered in one round.
            yield _of(seen, what, Deed.PERSON, "reconcile again when the one before it is answered")


def _counts(review: Review, standing: Standing) -> bool:
    """An approval is for what the reviewer saw."""
    return review.verdict is not Verdict.APPROVE or review.commit == standing.published


def _rests(standing: Standing) -> bool:
    return standing.state in WAITING_STATES


def _standing(seen: Sighting) -> Standing:
    assert seen.standing is not None
    return seen.standing


def _of(seen: Sighting, what: str, deed: Deed, advice: str = "", review: Review | None = None) -> Difference:
    return Difference(seen.name, what, deed, advice, review)


def _course(seen: Sighting) -> str:
    state = seen.workflow.standing.state if seen.workflow.standing else None
    return f"{seen.workflow.course.value} ({_words(state)})" if state else seen.workflow.course.value


def _words(name: StrEnum) -> str:
    return name.value.replace("_", " ")
