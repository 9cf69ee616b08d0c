"""The note to people when a task stops at an open pull request: why, what was tried, and what they can do."""

import hashlib
from collections.abc import Sequence

from activities.capabilities import CallScope, Capabilities
from activities.edge import deed
from activities.plain_words import cell, code, line
from activities.pull_request.composition import TICKET_URL
from activities.pull_request.status_comment import StatusComments
from activities.shelf import Shelf
from activities.stores.run_store import RunStore
from contracts.ci import FailedJob, FailedJobs
from contracts.ci_faults import Fault
from contracts.event import EventKind, NewEvent
from contracts.forge import KeptComment
from contracts.handoff import HandoffKind
from contracts.steps import Handoff, HandoffRequest

KEY = "handoff"
"""Of the one comment that is kept for it."""
SHOWN = 30
RETRY = "`/patchwright retry` lets the task go on: it looks again, and what failed runs once more."
FIX = "`/patchwright fix WHAT TO DO` lets it go on with what you say."
STOP = "`/patchwright stop` leaves the pull request to you; the branch stays as it is."
TITLES = {
    HandoffKind.CI: "Checks are red, and it does not get any further",
    HandoffKind.CONFLICTS: "The branch and its base could not be brought together",
    HandoffKind.FOREIGN_COMMITS: "Somebody else pushed to this branch",
    HandoffKind.CIRCLES: "The work goes round in circles",
    HandoffKind.SCOPE: "The change goes outside its plan",
    HandoffKind.HALT: "The task has stopped",
}
WAYS_ON: dict[HandoffKind, tuple[str, ...]] = {
    HandoffKind.CI: (
        "Look at the logs. Where a check needs a person (an approval, a secret, a runner), see to it on the forge first.",
        RETRY,
        FIX,
        STOP,
    ),
    HandoffKind.CONFLICTS: ("Merge the base branch into this one yourself and push, then:", RETRY, FIX, STOP),
    HandoffKind.FOREIGN_COMMITS: (
        "Nothing of it was overwritten. `/patchwright retry` takes the commits over: the work goes on on top of them.",
        STOP,
    ),
    HandoffKind.CIRCLES: ("Say which of the two is wanted: " + FIX, "`/patchwright retry` lets it stand as it is now.", STOP),
    HandoffKind.SCOPE: ("`/patchwright retry` has them taken out of the change again.", FIX, STOP),
    HandoffKind.HALT: (RETRY, FIX, STOP),
}
WHOSE = {
    Fault.OURS: "the change's",
    Fault.ON_BASE: "the base branch's",
    Fault.FLAKY: "nobody's: it is flaky",
    Fault.RERUN: "open: it runs once more",
    Fault.LATER: "open: it is to run once more",
    Fault.PEOPLE: "a person must see to it",
    "": "the change's",
}


class HandingOffDeeds:
    """``HandOff``."""

    def __init__(self, run_store: RunStore, shelf: Shelf, capabilities: Capabilities, public_url: str = "") -> None:
        self.run_store = run_store
        self._shelf = shelf
        self._capabilities = capabilities
        self._status = StatusComments(run_store, capabilities, public_url)

    @deed("HandOff")
    async def hand_off(self, request: HandoffRequest) -> Handoff:
        """Keep the one comment that tells people why the task stops; the newest reason stands there."""
        logs = request.diagnosis.logs if request.diagnosis else None
        jobs = (await self._shelf.read(FailedJobs, logs)).jobs if logs else ()
        scope = CallScope.of(request.preparation)
        asked = {"pull_request_id": request.pull_request_id, "key": KEY, "body": handoff_note(request, jobs)}
        kept = await self._capabilities.ask(KeptComment, "keep_comment", asked, scope, f"{request.task.id}/{KEY}")
        await self._status.stopped(request, scope)
        taken_back = request.resumed and not request.ended
        told = "The note to people is taken back" if taken_back else f"People are told: {request.reason}"
        await self.run_store.append(
            request.task.id,
            [
                NewEvent(
                    kind=EventKind.NOTE,
                    text=told[:2_000],
                    step="HandOff",
                    key=f"{KEY}/{request.commit}/{hashlib.sha256(asked['body'].encode()).hexdigest()[:24]}",
                    data={"kind": request.kind, "url": kept.url},
                )
            ],
        )
        return Handoff(url=kept.url)


def handoff_note(request: HandoffRequest, jobs: Sequence[FailedJob] = ()) -> str:
    """The comment, as Markdown that nothing from outside can break out of."""
    if request.ended:
        return (
            f"**Patchwright's work here has ended.** {line(request.reason, 1_000)} The branch stays as it is; "
            "comments and commands here are read no more."
        )
    if request.resumed:
        return f"**Patchwright goes on.** It had stopped: {line(request.reason, 1_000)}"
    parts = [f"### Patchwright needs a person: {TITLES[request.kind].lower()}", line(request.reason, 2_000)]
    if jobs:
        parts.append(_checks(jobs))
    elif request.diagnosis:
        parts.append(line(request.diagnosis.summary, 2_000))
    if tried := _tried(request):
        parts.append("What was tried:\n\n" + _listed(tried))
    if request.paths:
        parts.append("It is about:\n\n" + _listed([code(path) for path in request.paths]))
    parts.append("What you can do, if you may write to this repository:\n\n" + _listed(_ways_on(request)))
    about = f"Task `{request.task.id}`" + (f", head commit `{request.commit[:12]}`" if request.commit else "")
    return "\n\n".join([*parts, f"{about}. All work is kept. Patchwright never merges; you always may."])


def _ways_on(request: HandoffRequest) -> tuple[str, ...]:
    yes = f"`/patchwright approve {request.approve_sha256}` allows exactly these paths."
    return (*((yes,) if request.approve_sha256 else ()), *WAYS_ON[request.kind])


def _checks(jobs: Sequence[FailedJob]) -> str:
    rows = [
        f"| {cell(job.name)} | {line(job.conclusion.replace('_', ' '), 60) or 'failed'} | {WHOSE.get(job.fault, 'open')} "
        f"| {line(job.why, 300)} | {_link(job.url)} |"
        for job in jobs[:SHOWN]
    ]
    more = [f"\n… and {len(jobs) - SHOWN} more."] if len(jobs) > SHOWN else []
    return "\n".join(["| check | ended | whose fault | evidence | log |", "|---|---|---|---|---|", *rows, *more])


def _tried(request: HandoffRequest) -> list[str]:
    diagnosis, rounds = request.diagnosis, request.ci_rounds
    tried = [f"{rounds} {'round' if rounds == 1 else 'rounds'} of mending by the fixer."] if rounds else []
    if diagnosis and diagnosis.rerun:
        tried.append(f"Run once more: {_names(diagnosis.rerun)}.")
    if diagnosis and diagnosis.on_base:
        tried.append(f"Compared with the base branch, where these are red, too: {_names(diagnosis.on_base)}.")
    if request.foreign_commit:
        tried.append(f"Nothing was pushed over `{request.foreign_commit[:12]}`.")
    return tried


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(code(name, 100) for name in names[:10]) + more


def _listed(entries: Sequence[str]) -> str:
    more = [f"- … and {len(entries) - SHOWN} more."] if len(entries) > SHOWN else []
    return "\n".join([*(f"- {entry}" for entry in entries[:SHOWN]), *more])


def _link(url: str) -> str:
    return f"<{url}>" if TICKET_URL.fullmatch(url) and "|" not in url else ""
