"""Red checks of the forge: whose fault each one is, and what runs once more because of that."""

import asyncio
from collections.abc import Sequence

from activities.capabilities import Capabilities
from activities.edge import deed
from activities.pull_request.ci_evidence import CiEvidence, without_credentials
from activities.shelf import Shelf
from activities.stores.run_store import RunStore
from contracts.artifact import ArtifactRef
from contracts.ci import CiCheck, CiKind, CiReport, CiState, FailedJob, FailedJobs
from contracts.ci_faults import INFRASTRUCTURE, Fault, RedCheck, judged
from contracts.errors import Conflict, StillRunning
from contracts.event import EventKind, NewEvent
from contracts.job_logs import JOB_CHARACTERS, what_matters
from contracts.steps import Diagnosis, DiagnosisRequest
from contracts.word import Word

ALL_CHARACTERS = 48_000
"""Of the logs of all jobs together."""
LEAST_CHARACTERS = 600
"""Of one job's log, however many there are."""
MOST_NAMES = 100
"""Checks of one list; a workflow's history carries them."""
MOST_JOBS = 40
"""Jobs that the fixer and people are shown."""
SHOWN = 10
"""Checks that a summary names."""
TOLD = {
    Fault.OURS: "to be mended",
    Fault.PEOPLE: "only a person can go on with it",
    Fault.RERUN: "runs once more",
    Fault.LATER: "runs once more when those that began with it have ended",
    Fault.ON_BASE: "not the change's fault",
    Fault.FLAKY: "flaky",
}
"""What becomes of a check, in the order of how much it matters."""


class Finding(Word):
    """One check, and what becomes of it."""

    check: CiCheck
    fault: Fault
    why: str
    log: str = ""

    @property
    def sentence(self) -> str:
        """For people, on one line."""
        return f"{self.check.name}: {TOLD[self.fault]} ({self.why})"


class DiagnosingDeeds:
    """``DiagnoseCI``."""

    def __init__(self, run_store: RunStore, shelf: Shelf, capabilities: Capabilities) -> None:
        self.run_store = run_store
        self._shelf = shelf
        self._capabilities = capabilities

    @deed("DiagnoseCI")
    async def diagnose(self, request: DiagnosisRequest) -> Diagnosis:
        """Judge each failed check of the commit, run again what may pass then, and start what never began."""
        evidence = CiEvidence(request, self._shelf, self._capabilities)
        seen = await evidence.seen()
        reds = await evidence.red_checks(seen)
        findings = await asyncio.to_thread(lambda: [_finding(red, len(reds)) for red in reds])
        findings = [await self._ran_again(evidence, one, seen.report) for one in _all_with_the_push(findings)]
        findings += _passed_now(seen.report, request.reran)
        if not reds:
            findings += [await self._begun(evidence, name, request) for name in _late(seen.report)]
        logs = await self._kept(request, [one for one in findings if one.check.state is CiState.FAILED])
        await self._tell(request, findings)
        found = _diagnosis(findings, logs)
        return found.model_copy(update={"green_at_tip": seen.green_at_tip(found.on_base)})

    async def _ran_again(self, evidence: CiEvidence, finding: Finding, report: CiReport) -> Finding:
        """What became of a check that shall run once more."""
        if finding.fault is not Fault.RERUN:
            return finding
        try:
            await evidence.run_again(finding.check)
        except StillRunning:
            if report.state_open:
                return finding.model_copy(update={"fault": Fault.LATER})
            raise
        except Conflict as refused:
            fault = Fault.PEOPLE if finding.check.conclusion in INFRASTRUCTURE else Fault.OURS
            return finding.model_copy(update={"fault": fault, "why": f"{finding.why}; {refused.message}"})
        return finding

    async def _begun(self, evidence: CiEvidence, name: str, request: DiagnosisRequest) -> Finding:
        """What became of a required check that never began."""
        check = CiCheck(id="", name=name, kind=CiKind.CHECK_RUN, state=CiState.NONE, required=True)
        if name in request.reran:
            return Finding(check=check, fault=Fault.PEOPLE, why="it did not begin, also after it was started")
        try:
            await evidence.begin(name)
        except Conflict as refused:
            return Finding(check=check, fault=Fault.PEOPLE, why=f"it never began. {refused.message}")
        return Finding(check=check, fault=Fault.RERUN, why="it never began; it was started")

    async def _kept(self, request: DiagnosisRequest, failed: Sequence[Finding]) -> ArtifactRef | None:
        if not failed:
            return None
        shown = sorted(failed, key=_importance)[:MOST_JOBS]
        jobs = FailedJobs(commit=request.commit, jobs=tuple(_job(finding) for finding in shown))
        return await self._shelf.keep_words(request.task.id, "DiagnoseCI", f"failed-jobs-{request.commit[:12]}.json", jobs)

    async def _tell(self, request: DiagnosisRequest, findings: Sequence[Finding]) -> None:
        await self.run_store.append(
            request.task.id,
            [
                NewEvent(
                    kind=EventKind.CI,
                    text=f"The forge's check {one.sentence}"[:2_000],
                    step="DiagnoseCI",
                    key=f"ci/{request.commit}/{one.check.id}/{one.check.name}/{one.fault}",
                    data={"name": one.check.name, "commit": request.commit, "fault": one.fault, "url": one.check.url},
                )
                for one in findings[:MOST_NAMES]
            ],
        )


def _finding(red: RedCheck, beside: int) -> Finding:
    verdict = judged(red)
    room = max(LEAST_CHARACTERS, min(JOB_CHARACTERS, ALL_CHARACTERS // beside))
    # Once more: what stood between the pieces of a credential, a colour or a line's time, is gone now.
    log = without_credentials(what_matters(red.log, room))
    return Finding(check=red.check, fault=verdict.fault, why=verdict.why, log=log)


def _all_with_the_push(findings: Sequence[Finding]) -> list[Finding]:
    """Where something is to be mended, what shall run once more does so with the push that is to come."""
    if not any(one.fault is Fault.OURS for one in findings):
        return list(findings)
    return [
        one.model_copy(update={"fault": Fault.LATER, "why": f"{one.why}; it runs again with the next push"})
        if one.fault is Fault.RERUN else one
        for one in findings
    ]  # fmt: skip


def _passed_now(report: CiReport, reran: Sequence[str]) -> list[Finding]:
    """Checks that were red, ran again and are green for the same commit."""
    green = [check for check in report.checks if check.name in reran and check.state is CiState.PASSED]
    return [Finding(check=check, fault=Fault.FLAKY, why="red and green for the same commit") for check in green]


def _late(report: CiReport) -> list[str]:
    """Required checks that never began, when nothing else is on its way that might make them begin."""
    own = (check for check in report.checks if check.kind is not CiKind.STATUS)
    return [] if any(check.state is CiState.PENDING for check in own) else list(report.missing)[:MOST_NAMES]


def _job(finding: Finding) -> FailedJob:
    check = finding.check
    return FailedJob(
        name=check.name[:300],
        conclusion=check.conclusion,
        log=finding.log,
        url=check.url,
        fault=finding.fault,
        why=without_credentials(finding.why)[:1_000],
    )


def _diagnosis(findings: Sequence[Finding], logs: ArtifactRef | None) -> Diagnosis:
    """The lists of names. Where several checks share one, it stands where it matters most."""
    lists: dict[Fault, list[str]] = {fault: [] for fault in TOLD}
    placed: set[str] = set()
    for fault, names in lists.items():
        for one in findings:
            if one.fault is fault and one.check.name not in placed:
                placed.add(one.check.name)
                names.append(one.check.name)
    return Diagnosis(
        ours=tuple(lists[Fault.OURS][:MOST_NAMES]),
        on_base=tuple(lists[Fault.ON_BASE][:MOST_NAMES]),
        flaky=tuple(lists[Fault.FLAKY][:MOST_NAMES]),
        rerun=tuple(lists[Fault.RERUN][:MOST_NAMES]),
        later=tuple(lists[Fault.LATER][:MOST_NAMES]),
        for_people=tuple(lists[Fault.PEOPLE][:MOST_NAMES]),
        logs=logs,
        summary=_summary(findings),
    )


def _importance(finding: Finding) -> int:
    return list(TOLD).index(finding.fault)


def _summary(findings: Sequence[Finding]) -> str:
    told = sorted(findings, key=_importance)
    more = f" And {len(told) - SHOWN} more." if len(told) > SHOWN else ""
    said = ". ".join(one.sentence.rstrip(".")[:400] for one in told[:SHOWN])
    return f"{said}.{more}" if told else "No check is red any more."
