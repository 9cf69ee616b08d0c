"""Whether a bug fix's tests show the bug: part of ``RunCI``, once the checks are green."""

import asyncio

from temporalio import activity

from activities.capabilities import CallScope, Capabilities
from activities.check_results import kept_result
from activities.evidence.waivers import Waivers
from activities.hosts_tried import HostsTried, Tried
from activities.mcp_request import Progress
from activities.shelf import Shelf
from activities.stores.run_store import RunStore
from contracts.artifact import ArtifactRef
from contracts.checks import ChecksReport, ChecksRun
from contracts.event import EventKind, NewEvent
from contracts.proof import ProofRound, TestProof, TestsRun, proof_problems
from contracts.steps import ChecksRequest
from contracts.task import TaskKind
from contracts.waiver import ORIGINAL_TESTS


class Proofs:
    """Runs the tests of a change where they must fail, and the original ones where they must not."""

    def __init__(self, run_store: RunStore, shelf: Shelf, capabilities: Capabilities, waivers: Waivers | None = None) -> None:
        self._waivers = waivers
        self._run_store = run_store
        self._shelf = shelf
        self._capabilities = capabilities

    async def proven(self, request: ChecksRequest, report: ChecksReport, progress: Progress) -> ChecksReport:
        """The report with what the proof showed, where one is due: a bug fix whose checks are green."""
        policy = request.preparation.policy
        if request.task.request.kind is not TaskKind.BUGFIX or not (policy.prove_bugfix and report.passed):
            return report
        proof = await self._run(request, report, progress)
        if not proof.tests and not policy.require_tests:
            return report
        kept = await self._shelf.keep_words(request.task.id, "RunCI", f"proof-{request.commit[:12]}.json", proof)
        in_force = await asyncio.to_thread(self._waivers.in_force, request.task.id) if self._waivers else ()
        leave = next((one for one in in_force if ORIGINAL_TESTS in one.fingerprints), None)
        problems = tuple(proof_problems(proof, waived=leave is not None))
        await self._tell(request, proof, problems, kept)
        note = report.note
        if leave and proof.broken:
            note += f" Original tests fail on this change ({', '.join(proof.broken)}); waived by {leave.person}: {leave.reason}"
        return report.model_copy(update={"proof": kept, "problems": problems, "note": note.strip()})

    async def _run(self, request: ChecksRequest, report: ChecksReport, progress: Progress) -> TestProof:
        opened, task_id = request.preparation.opened, request.task.id
        # The same in every attempt, as for the checks: what has ended does not run again.
        key = f"{task_id}/prove/{request.commit}/{activity.info().workflow_run_id}/{activity.info().activity_id}"
        run = await self._capabilities.ask(
            TestsRun,
            "prove_tests",
            {"commit": request.commit, "names": [result.name for result in report.results]},
            CallScope(opened.workspace, opened.base_commit, request.preparation.policy),
            key,
            progress,
        )
        for number, one in enumerate((run.on_base, *run.on_base_with_tests, run.with_original_tests)):
            if one is not None:
                await tell_tried_by_checks(HostsTried(self._run_store), request, one, f"{key}/{number}")
        originals = run.with_original_tests
        return TestProof(
            tests=run.tests,
            on_base=await self._round(task_id, run.on_base) if run.on_base else None,
            on_base_with_tests=tuple([await self._round(task_id, one) for one in run.on_base_with_tests]),
            with_original_tests=await self._round(task_id, originals) if originals else None,
        )

    async def _round(self, task_id: str, run: ChecksRun) -> ProofRound:
        results = [await kept_result(self._shelf, task_id, check) for check in run.runs]
        return ProofRound(tree=run.tree, image=run.image, tier=run.tier, results=tuple(results))

    async def _tell(self, request: ChecksRequest, proof: TestProof, problems: tuple[str, ...], kept: ArtifactRef) -> None:
        red = f"The new tests fail without the fix: {', '.join(proof.red_before)}" if proof.red_before else ""
        flaky = f"Flaky without the fix: {', '.join(proof.flaky)}" if proof.flaky else ""
        events = [
            NewEvent(kind=EventKind.NOTE, text=text, step="RunCI", key=f"proof/{request.commit}/{n}", data={"proof": kept.sha256})
            for n, text in enumerate(filter(None, (red, flaky)))
        ]
        events += [
            NewEvent(
                kind=EventKind.GUARDRAIL, text=problem, step="RunCI", key=f"unproven/{request.commit}/{n}", data={"rule": "tests"}
            )
            for n, problem in enumerate(problems)
        ]
        await self._run_store.append(request.task.id, events)


async def tell_tried_by_checks(hosts: HostsTried, request: ChecksRequest, run: ChecksRun, key: str) -> None:
    """Which hosts each check reached, and which it was kept from."""
    policy = request.preparation.policy
    for number, check in enumerate(run.runs):
        tried = Tried(f"check {check.name}", check.result.blocked, check.result.reached)
        await hosts.tell(request.task.id, policy, tried, "RunCI", f"{key}/{number}")
