"""Activities for workflow tests: the real names and words, answers from a script. Nothing is run or edited."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from contracts.artifact import ArtifactRef
from contracts.change import Change
from contracts.judging.finding import Finding
from contracts.policy import Policy
from contracts.sandbox import Recipe
from contracts.sighting import Sighting
from contracts.steps import (
    Adoption,
    AdoptionRequest,
    BaseMerge,
    BaseRequest,
    ChecksOutcome,
    ChecksRequest,
    ClosingRequest,
    CommandRequest,
    ContextRequest,
    ContextResult,
    Diagnosis,
    DiagnosisRequest,
    EditRequest,
    EditResult,
    FeedbackRequest,
    GateRequest,
    GateResult,
    Handoff,
    HandoffRequest,
    PlanRequest,
    PlanResult,
    Preparation,
    PreparationRequest,
    ProgressRequest,
    PublishRequest,
    PublishResult,
    SightingRequest,
    Spending,
)
from contracts.task import TaskState
from contracts.workspace import OpenedWorkspace, Workspace

BASE = "b" * 40


def artifact(name: str) -> ArtifactRef:
    return ArtifactRef(sha256=name.encode().hex().ljust(64, "0")[:64], size=1, name=name)


def digest_of(path: str) -> str:
    """What an answer names where a path is found outside the plan."""
    return path.encode().hex().ljust(64, "0")[:64]


class Gate:
    """Holds a deed until a test opens it."""

    def __init__(self) -> None:
        self._reached, self._opened = asyncio.Event(), asyncio.Event()

    async def reached(self) -> None:
        """Wait until the deed has begun."""
        await asyncio.wait_for(self._reached.wait(), 15)

    def open(self) -> None:
        """Let the deed go on."""
        self._opened.set()

    async def passed(self) -> None:
        """For the deed: say that it is here, and wait."""
        self._reached.set()
        await self._opened.wait()


class ScriptedDeeds:
    """Each list is an answer per call; when it is used up, the good answer comes."""

    def __init__(self, policy: Policy | None = None) -> None:
        self.policy = policy or Policy()
        self.asked: Counter[str] = Counter()
        self.runs: list[str] = []
        self.requests: list[Any] = []
        self.progress: list[ProgressRequest] = []
        self.failures: dict[str, list[ApplicationError]] = {}
        self.gates: list[tuple[str, ...]] = []
        self.checks: list[bool] = []
        self.unproven = False
        self.slices = 1
        self.idle_fixer = False
        self.held: asyncio.Event | None = None
        self.goal = "g"
        self.plan_digests: list[str] = []
        self.hosted = False
        self.sightings: list[dict[str, Any]] = []
        """What a look at the pull request shows, one after another; the last one stays."""
        self.diagnoses: list[Diagnosis] = []
        self.merges: list[BaseMerge] = []
        self.goes_back: list[tuple[str, ...]] = []
        self.beyond: list[str] = []
        self.operations: list[str] = []
        self.outside: list[str] = []
        """What each verdict of the gates finds outside the plan; what a person allowed is not found."""
        self.head = ""
        self.on_progress: Callable[[ProgressRequest], Awaitable[Any]] | None = None
        self._gates: dict[tuple[str, str], Gate] = {}

    def hold(self, name: str, state: str = "") -> Gate:
        """Hold the next call of a deed; of ``RecordProgress`` the next record of a state."""
        return self._gates.setdefault((name, state), Gate())

    async def told(self, state: TaskState, times: int = 1) -> None:
        """Wait until the run store was told of a state that often (folded, as ``states``)."""
        for _ in range(600):
            if self.states.count(state.value) >= times:
                return
            await asyncio.sleep(0.025)
        raise AssertionError(f"never {state}: {self.states}")

    @property
    def all(self) -> list[Callable[..., Any]]:
        return [
            self.prepare,
            self.plan,
            self.context,
            self.edit,
            self.judge,
            self.run_ci,
            self.open_pr,
            self.address,
            self.close_pr,
            self.observe,
            self.answer_command,
            self.diagnose,
            self.merge_base,
            self.adopt,
            self.hand_off,
            self.record,
        ]

    @property
    def states(self) -> list[str]:
        """The states the run store was told, repeats folded."""
        told = [progress.state.value for progress in self.progress]
        return [state for state, before in zip(told, [None, *told], strict=False) if state != before]

    async def _count(self, name: str, request: Any) -> int:
        self.asked[name] += 1
        number = self.asked[name]
        self.requests.append(request)
        if gate := self._gates.pop((name, ""), None):
            await gate.passed()
        if self.failures.get(name):
            raise self.failures[name].pop(0)
        return number

    @activity.defn(name="PrepareTask")
    async def prepare(self, request: PreparationRequest) -> Preparation:
        await self._count("PrepareTask", request)
        workspace = Workspace(mirror="m-1", name=request.task.id)
        opened = OpenedWorkspace(
            workspace=workspace, base_branch="main", base_commit=BASE, default_branch="main", remote="/r", files=3
        )
        return Preparation(opened=opened, recipe=Recipe(), policy=self.policy, cards=artifact("cards"))

    @activity.defn(name="PlanChanges")
    async def plan(self, request: PlanRequest) -> PlanResult:
        number = await self._count("PlanChanges", request)
        self.runs.append(request.run)
        digest = self.plan_digests.pop(0) if self.plan_digests else str(number) * 64
        return PlanResult(
            plan=artifact(f"plan{number}"), plan_sha256=digest, goal=self.goal, edits=1, spent=Spending(model_calls=2)
        )

    @activity.defn(name="FetchContext")
    async def context(self, request: ContextRequest) -> ContextResult:
        await self._count("FetchContext", request)
        return ContextResult(context=artifact("context"), files=2)

    @activity.defn(name="ApplyDiffs")
    async def edit(self, request: EditRequest) -> EditResult:
        await self._count("ApplyDiffs", request)
        self.runs.append(f"{request.run}.{request.slice}")
        if self.held is not None:
            while not self.held.is_set():
                activity.heartbeat()
                await asyncio.sleep(0.05)
        finished = request.slice + 1 >= self.slices
        return self._edited("1", finished, artifact(f"transcript{request.slice}"))

    @activity.defn(name="AddressFeedback")
    async def address(self, request: FeedbackRequest) -> EditResult:
        number = await self._count("AddressFeedback", request)
        self.runs.append(request.run)
        if self.idle_fixer:
            return self._edited("", True, None).model_copy(update={"commit": request.published})
        back = self.goes_back.pop(0) if self.goes_back else ()
        return self._edited(str(number + 1), True, None).model_copy(update={"answers": artifact("answers"), "goes_back": back})

    def _edited(self, commit: str, finished: bool, transcript: ArtifactRef | None) -> EditResult:
        change = Change(base_commit=BASE, head_commit=commit * 40, files=1, added=2, removed=1)
        return EditResult(
            change=change,
            commit=commit * 40,
            summary=f"did {commit}",
            spent=Spending(model_calls=3),
            finished=finished,
            transcript=transcript,
        )

    @activity.defn(name="JudgeChange")
    async def judge(self, request: GateRequest) -> GateResult:
        await self._count("JudgeChange", request)
        problems = self.gates.pop(0) if self.gates else ()
        beyond = self.beyond.pop(0) if self.beyond else ""
        change = Change(base_commit=BASE, head_commit=request.commit, files=1)
        found = self.outside.pop(0) if self.outside else ""
        if found and artifact(found) not in request.allowed:
            told = {"outside": artifact(found), "outside_sha256": digest_of(found), "outside_named": (found,)}
            return GateResult(change=change, problems=problems, beyond_plan=f"Outside the plan: {found}.", **told)
        asked = [name for name in self.operations if name not in request.allowed_operations]
        finding = Finding(rule="operation.ci", path="ci.yml", problem="It steers CI.", remedy="Leave it.")
        asks = tuple(finding.model_copy(update={"operation": name}) for name in asked)
        granted = tuple(name for name in self.operations if name in request.allowed_operations)
        return GateResult(change=change, problems=problems, beyond_plan=beyond, asks=asks, allowed_operations=granted)

    @activity.defn(name="RunCI")
    async def run_ci(self, request: ChecksRequest) -> ChecksOutcome:
        number = await self._count("RunCI", request)
        if self.unproven:
            return ChecksOutcome(report=artifact("none"), passed=False, summary="no tests were recognised", unproven=True)
        passed = self.checks.pop(0) if self.checks else True
        return ChecksOutcome(
            report=artifact(f"report{number}"),
            passed=passed,
            summary="1 of 1" if passed else "0 of 1",
            failed=() if passed else ("tests",),
        )

    @activity.defn(name="OpenPR")
    async def open_pr(self, request: PublishRequest) -> PublishResult:
        await self._count("OpenPR", request)
        self.head = request.commit
        if self.hosted:
            place = {"pull_request_id": "github~example~o~r~1", "url": "https://example/o/r/pull/1", "hosted": True}
            return PublishResult(head_commit=request.commit, **place)
        return PublishResult(pull_request_id="local-1", url="http://localhost/prs/local-1", head_commit=request.commit)

    @activity.defn(name="ObservePR")
    async def observe(self, request: SightingRequest) -> Sighting:
        await self._count("ObservePR", request)
        shown = self.sightings.pop(0) if len(self.sightings) > 1 else (self.sightings or [{}])[0]
        usual = {"state": "open", "draft": True, "head_commit": self.head, "base_commit": BASE}
        return Sighting.model_validate({**usual, **shown})

    @activity.defn(name="AnswerCommand")
    async def answer_command(self, request: CommandRequest) -> None:
        await self._count("AnswerCommand", request)

    @activity.defn(name="DiagnoseCI")
    async def diagnose(self, request: DiagnosisRequest) -> Diagnosis:
        await self._count("DiagnoseCI", request)
        ours = Diagnosis(ours=("unit",), logs=artifact("logs"), summary="unit is red.")
        return self.diagnoses.pop(0) if self.diagnoses else ours

    @activity.defn(name="MergeBase")
    async def merge_base(self, request: BaseRequest) -> BaseMerge:
        await self._count("MergeBase", request)
        return self.merges.pop(0) if self.merges else BaseMerge(base_commit=BASE, commit=request.commit)

    @activity.defn(name="AdoptCommits")
    async def adopt(self, request: AdoptionRequest) -> Adoption:
        await self._count("AdoptCommits", request)
        self.head = "f" * 40
        return Adoption(commit=self.head, change=Change(base_commit=BASE, head_commit=self.head, files=2))

    @activity.defn(name="HandOff")
    async def hand_off(self, request: HandoffRequest) -> Handoff:
        await self._count("HandOff", request)
        return Handoff()

    @activity.defn(name="ClosePR")
    async def close_pr(self, request: ClosingRequest) -> None:
        await self._count("ClosePR", request)

    @activity.defn(name="RecordProgress")
    async def record(self, request: ProgressRequest) -> None:
        if gate := self._gates.pop(("RecordProgress", request.state.value), None):
            await gate.passed()
        if self.on_progress is not None:
            await self.on_progress(request)
        if not any(known.key == request.key for known in self.progress):
            self.progress.append(request)

    def of(self, kind: type) -> list[Any]:
        """The requests of one kind, in order."""
        return [request for request in self.requests if isinstance(request, kind)]
