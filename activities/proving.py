"""Whether a bug fix's tests show the bug, and how much the checks notice at all: part of ``RunCI``, once the checks are green."""

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
from contracts.mutation import MutationRun
from contracts.plan import ChangePlan
from contracts.proof import ProofRound, TestProof, TestsRun, proof_problems
from contracts.reported import Reported, reported_in
from contracts.steps import ChecksRequest
from contracts.task import TaskKind
from contracts.waiver import Waiver


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
        run = await self._tests_run(request, report, progress)
        proof = await self._proof(request, run)
        if not proof.tests and not policy.require_tests:
            return report
        kept = await self._shelf.keep_words(request.task.id, "RunCI", f"proof-{request.commit[:12]}.json", proof)
        waivers = await self._in_force(request.task.id, run)
        waived = frozenset(name for one in waivers for name in one.fingerprints)
        problems = tuple(proof_problems(proof, waived))
        await self._tell(request, proof, problems, kept)
        told = [f"{text}: waived by {one.person}, {one.reason}" for one in waivers for text in one.texts]
        note = " ".join([report.note, *(told if waived & proof.waivable else ())]).strip()
        before = run.on_base.coverage if run.on_base else None
        return report.model_copy(update={"proof": kept, "problems": problems, "note": note, "coverage_before": before})

    async def tried(self, request: ChecksRequest, report: ChecksReport, progress: Progress) -> ChecksReport:
        """The report with the mutants that were tried within the policy's time, where the checks are green."""
        seconds = request.preparation.policy.mutation_seconds
        if not (report.passed and seconds):
            return report
        run = await self._capabilities.ask(
            MutationRun,
            "try_mutants",
            {"commit": request.commit, "names": [result.name for result in report.results], "seconds": seconds},
            CallScope.of(request.preparation),
            f"{request.task.id}/mutants/{request.commit}/{activity.info().workflow_run_id}/{activity.info().activity_id}",
            progress,
        )
        kept = await self._shelf.keep_words(request.task.id, "RunCI", f"mutation-{request.commit[:12]}.json", run)
        left = "".join(f"\nnot noticed: {mutant.text}" for mutant in run.survivors[:20])
        told = NewEvent(
            kind=EventKind.NOTE, text=f"{run.summary}{left}"[:2_000], step="RunCI", key=f"mutants/{request.commit}",
            data={"mutation": kept.sha256},
        )  # fmt: skip
        if run.tried:
            await self._run_store.append(request.task.id, [told])
        return report.model_copy(update={"mutation": kept})

    async def _tests_run(self, request: ChecksRequest, report: ChecksReport, progress: Progress) -> TestsRun:
        names = [result.name for result in report.results]
        # The same in every attempt, as for the checks: what has ended does not run again.
        key = f"{request.task.id}/prove/{request.commit}/{activity.info().workflow_run_id}/{activity.info().activity_id}"
        run = await self._capabilities.ask(
            TestsRun,
            "prove_tests",
            {"commit": request.commit, "names": names, "rounds": request.preparation.policy.proof_rounds},
            CallScope.of(request.preparation),
            key,
            progress,
        )
        rounds = (run.on_base, *run.on_base_with_tests, run.with_original_tests, *run.on_change)
        for number, one in enumerate(rounds):
            if one is not None:
                await tell_tried_by_checks(HostsTried(self._run_store), request, one, f"{key}/{number}")
        return run

    async def _proof(self, request: ChecksRequest, run: TestsRun) -> TestProof:
        task_id, originals = request.task.id, run.with_original_tests
        return TestProof(
            commit=request.commit,
            tests=run.tests,
            reported=await self._reported(request),
            on_base=await self._round(task_id, run.on_base) if run.on_base else None,
            on_base_with_tests=tuple([await self._round(task_id, one) for one in run.on_base_with_tests]),
            on_change=tuple([await self._round(task_id, one) for one in run.on_change]),
            with_original_tests=await self._round(task_id, originals) if originals else None,
        )

    async def _reported(self, request: ChecksRequest) -> Reported:
        """What the ticket says of the failure; where it names no error, what the plan says."""
        ticket = (await self._run_store.ticket(request.task.id)).request
        told = reported_in((ticket.title, ticket.description, *ticket.acceptance_criteria))
        if told.errors or request.plan is None:
            return told
        plan = await self._shelf.read(ChangePlan, request.plan)
        planned = reported_in((plan.goal, plan.rationale))
        return planned.model_copy(update={"tests": tuple(dict.fromkeys((*told.tests, *planned.tests)))})

    async def _round(self, task_id: str, run: ChecksRun) -> ProofRound:
        results = [await kept_result(self._shelf, task_id, check) for check in run.runs]
        return ProofRound(tree=run.tree, image=run.image, tier=run.tier, results=tuple(results))

    async def _in_force(self, task_id: str, run: TestsRun) -> tuple[Waiver, ...]:
        return await asyncio.to_thread(self._waivers.in_force, task_id, run.commits) if self._waivers else ()

    async def _tell(self, request: ChecksRequest, proof: TestProof, problems: tuple[str, ...], kept: ArtifactRef) -> None:
        named = ", ".join(test.failure.test or test.check for test in proof.proving[:10])
        red = f"The new tests fail without the fix: {named}" if named else ""
        flaky = f"Flaky, so they count for nothing: {', '.join(proof.flaky[:10])}" if proof.flaky else ""
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
