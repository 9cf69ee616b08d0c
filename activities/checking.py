"""The verdict on a change: what the gates say, and what the checks showed in the sandbox."""

import asyncio
from collections.abc import Sequence

from temporalio import activity

from activities.bound_plan import bound_plan
from activities.capabilities import CallScope, Capabilities
from activities.change_gates import ChangeGates
from activities.check_results import kept_result
from activities.edge import deed
from activities.editing import ChangedFiles, WholeDiff
from activities.evidence.waivers import Waivers
from activities.hosts_tried import HostsTried
from activities.plan_map import judged_scope
from activities.proving import Proofs, tell_tried_by_checks
from activities.shelf import Shelf
from activities.stores.run_store import RunStore
from contracts.audit import Judged
from contracts.change import ChangedFile, FileStatus
from contracts.checks import CheckResult, ChecksReport, ChecksRun
from contracts.deciding import decide
from contracts.deeds import PathWrite
from contracts.event import EventKind, NewEvent
from contracts.gates import change_problems, conflict_problems
from contracts.loosening import LOOSENED, Loosenings, loosening_problems
from contracts.steps import ChecksOutcome, ChecksRequest, GateRequest, GateResult

UNPROVEN = "the tests of the fix"
"""How people hear of tests that do not show the bug, among the names of failed checks."""
COMMAND_NOT_FOUND = 127
"""What a shell ends with when there is no such program."""
LOG_EVENT_SECONDS = 2.0
"""Output of running checks reaches the live log at most this often."""


class CheckingDeeds:
    """``JudgeChange`` and ``RunCI``."""

    def __init__(self, run_store: RunStore, shelf: Shelf, capabilities: Capabilities, waivers: Waivers | None = None) -> None:
        self._waivers = waivers
        self.run_store = run_store
        self._shelf = shelf
        self._capabilities = capabilities
        self._hosts_tried = HostsTried(run_store)
        self._proofs = Proofs(run_store, shelf, capabilities, waivers)
        self._gates = ChangeGates(run_store, capabilities)

    @deed("JudgeChange")
    async def judge(self, request: GateRequest) -> GateResult:
        """Hold the change against the gates. Its diff is kept, so that people can look at it whatever comes next."""
        opened = request.preparation.opened
        span, key = {"old": opened.base_commit, "new": request.commit}, f"{request.task.id}/judge/{request.commit}"
        scope = CallScope.of(request.preparation)
        counted = await self._capabilities.ask(ChangedFiles, "changed_files", span, scope, key)
        whole = await self._capabilities.ask(WholeDiff, "whole_diff", span, scope, key)
        await self._shelf.keep(
            request.task.id, "JudgeChange", "change.diff", whole.diff.encode("utf-8", "replace"), "text/x-diff"
        )
        plan = await bound_plan(self._shelf, request.plan, request.plan_sha256)
        verdict = await self._gates.verdict(request, plan, scope, key)
        problems = [finding.sentence for finding in verdict.refused]
        problems += change_problems(counted.files, request.preparation.policy, request.task.request.kind)
        await self._log_paths(request, counted.files)
        problems += conflict_problems(whole.diff)[:20]
        loosened = await self._capabilities.ask(Loosenings, "loosened_tests", span, scope, key)
        problems += await self._judged_tests(request.task.id, loosened)
        if whole.cut:
            problems.append("The change is too large to be looked through for conflict markers. Make it smaller.")
        await self.run_store.append(
            request.task.id,
            [
                NewEvent(
                    kind=EventKind.GUARDRAIL,
                    text=problem,
                    step="JudgeChange",
                    key=f"gate/{request.commit}/{number}",
                    data={"rule": "change"},
                )
                for number, problem in enumerate(problems)
            ],
        )
        scope_of_plan = await judged_scope(self._shelf, request, plan, counted.files, whole.diff)
        return GateResult(
            change=counted.change,
            problems=tuple(problems[:50]),
            asks=verdict.asks,
            allowed_operations=verdict.allowed,
            beyond_plan=scope_of_plan.problem[:2_000],
            outside=scope_of_plan.outside,
            outside_sha256=scope_of_plan.outside_sha256,
            outside_named=scope_of_plan.named,
        )

    async def _log_paths(self, request: GateRequest, files: Sequence[ChangedFile]) -> None:
        policy = request.preparation.policy
        judged = [
            Judged(key=f"gate/{request.commit}/{at}", deed=wanted, decision=decide(policy, wanted), policy_sha256=policy.sha256)
            for at, wanted in enumerate(_writes(files))
        ]
        await self.run_store.audit.append(request.task.id, judged)

    async def _judged_tests(self, task_id: str, loosened: Loosenings) -> list[str]:
        """What no waiver allows; the list is kept, so that people can sign for it and reviewers see what they signed."""
        known = self._waivers if loosened.found else None
        waivers = await asyncio.to_thread(known.in_force, task_id, loosened.commits) if known else ()
        told = tuple(f"{text}: waived by {one.person}, {one.reason}" for one in waivers for text in one.texts)
        # What an earlier commit had, and this one has not, is nothing that anybody has to sign for.
        if loosened.found or await self._shelf.each(Loosenings, task_id, "JudgeChange", LOOSENED):
            await self._shelf.keep_words(task_id, "JudgeChange", LOOSENED, loosened.model_copy(update={"waived": told}))
        return loosening_problems(loosened.found, frozenset(name for one in waivers for name in one.fingerprints))

    @deed("RunCI")
    async def run_checks(self, request: ChecksRequest) -> ChecksOutcome:
        """Run the project's checks on one commit, in the sandbox."""
        run = await self._run(request, request.commit, ())
        results = tuple([await kept_result(self._shelf, request.task.id, check) for check in run.runs])
        red_before = await self._red_before(request, results)
        note = " ".join([run.note, *(f"The check {name!r} fails on the base commit, too." for name in red_before or ())]).strip()
        report = ChecksReport(
            commit=run.commit, tree=run.tree, tier=run.tier, image=run.image, results=results, note=note, coverage=run.coverage
        )
        await self._tell(request.task.id, report)
        report = await self._proofs.proven(request, report, _Live(self.run_store, request.task.id, "proof").progress)
        report = await self._proofs.tried(request, report, _Live(self.run_store, request.task.id, "mutants").progress)
        ref = await self._shelf.keep_words(request.task.id, "RunCI", f"checks-{request.commit[:12]}.json", report)
        return ChecksOutcome(
            report=ref,
            passed=report.passed,
            summary=report.summary,
            unproven=not results,
            failed=tuple(_named(r, red_before or ()) for r in results if not r.passed) + ((UNPROVEN,) if report.problems else ()),
            red_before=red_before,
        )

    async def _run(self, request: ChecksRequest, commit: str, names: Sequence[str]) -> ChecksRun:
        # The same in every attempt: checks that still run, or have ended, when a worker dies do not run again.
        key = f"{request.task.id}/checks/{commit}/{activity.info().workflow_run_id}/{activity.info().activity_id}"
        run = await self._capabilities.ask(
            ChecksRun,
            "run_checks",
            {"commit": commit, "names": list(names)},
            CallScope.of(request.preparation),
            key,
            _Live(self.run_store, request.task.id, commit).progress,
        )
        await tell_tried_by_checks(self._hosts_tried, request, run, key)
        return run

    async def _red_before(self, request: ChecksRequest, results: Sequence[CheckResult]) -> tuple[str, ...] | None:
        """Which of the failed checks fail on the base commit, too. One look is enough for a task."""
        known = {check.name for check in request.preparation.recipe.checks}
        failed = [result.name for result in results if not result.passed and result.name in known]
        if request.red_before is not None or not failed:
            return request.red_before
        run = await self._run(request, request.preparation.opened.base_commit, failed)
        return tuple(check.name for check in run.runs if check.result.exit_code != 0)

    async def _tell(self, task_id: str, report: ChecksReport) -> None:
        events = [
            NewEvent(
                kind=EventKind.CHECK,
                text=f"{r.name} {'passed' if r.passed else f'failed with {r.exit_code}'} in {r.seconds:.1f} s",
                step="RunCI",
                key=f"check/{report.commit}/{activity.info().activity_id}/{number}",
                data={
                    "name": r.name,
                    "command": r.command,
                    "exit_code": r.exit_code,
                    "passed": r.passed,
                    "seconds": r.seconds,
                    "commit": report.commit,
                    "log": r.log.sha256 if r.log else "",
                },
            )
            for number, r in enumerate(report.results)
        ]
        if report.note:
            events.append(NewEvent(kind=EventKind.NOTE, text=report.note, step="RunCI", key=f"checks-note/{report.commit}"))
        await self.run_store.append(task_id, events)


class _Live:
    """Puts the newest line of running checks into the live log, now and then."""

    def __init__(self, store: RunStore, task_id: str, commit: str) -> None:
        self._store = store
        self._task_id = task_id
        self._key = f"live/{commit}/{activity.info().activity_id}/{activity.info().attempt}"
        self._number = 0
        self._last = 0.0

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        now = asyncio.get_running_loop().time()
        if not message or now - self._last < LOG_EVENT_SECONDS:
            return
        self._last, self._number = now, self._number + 1
        line = message.strip().splitlines()[-1][:500] if message.strip() else ""
        if line:
            await self._store.append(
                self._task_id, [NewEvent(kind=EventKind.NOTE, text=line, step="RunCI", key=f"{self._key}/{self._number}")]
            )


def _named(result: CheckResult, red_before: Sequence[str]) -> str:
    """A failed check as people should hear of it: also that its time was up, or that the change is not to blame."""
    special = [
        told
        for told, holds in (
            ("timed out", result.timed_out),
            ("command not found", result.exit_code == COMMAND_NOT_FOUND),
            ("as on the base commit", result.name in red_before),
        )
        if holds
    ]
    return f"{result.name} ({', '.join(special)})" if special else result.name


def _writes(files: Sequence[ChangedFile]) -> list[PathWrite]:
    """A file that is renamed is written twice: where it is gone, and where it came to."""
    written = [PathWrite(path=file.path, existing=file.status in (FileStatus.MODIFIED, FileStatus.DELETED)) for file in files]
    return written + [PathWrite(path=file.old_path, existing=True) for file in files if file.status is FileStatus.RENAMED]
