"""A bug fix on a real remote, checked and put up by the activities of a worker, in a data folder that ``verify`` can read."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from temporalio.testing import ActivityEnvironment

from activities.capabilities import CallScope, Capabilities
from activities.checking import CheckingDeeds
from activities.evidence.ledger import EvidenceLedger
from activities.pull_request.publishing import PublishingDeeds
from activities.shelf import Shelf
from contracts.artifact import ArtifactRef
from contracts.checks import ChecksReport
from contracts.evidence import EVIDENCE_FILE, EvidenceSet
from contracts.plan import ChangePlan, PlannedEdit
from contracts.policy import Policy
from contracts.sandbox import Recipe
from contracts.steps import ChecksOutcome, ChecksRequest, Preparation, PublishRequest, PublishResult
from contracts.task import Task, TaskKind, TaskRequest
from contracts.workspace import OpenedWorkspace
from mcp_servers.object_store import NewBlob
from services import mcp_wiring, wiring
from services.settings import IsolatedSettings, Settings
from tests.fakes.forge_places import git

BASE = {
    ".patchwright.yaml": "checks:\n  - name: tests\n    command: for t in tests/test_*.sh; do sh $t || exit 1; done\n",
    "add.sh": "expr $1 - $2\n",
    "tests/test_zero.sh": "test \"$(sh add.sh 3 0)\" = 3\n",
}
FIX: Mapping[str, str | None] = {
    "add.sh": "expr $1 + $2\n",
    "tests/test_add.sh": "echo trying 2 and 3\ntest \"$(sh add.sh 2 3)\" = 5\n",
}
PLAN = ChangePlan(goal="Add adds", edits=(PlannedEdit(path="add.sh", intent="add"),), tests=("tests/test_add.sh",))


def remote(folder: Path, files: Mapping[str, str] = BASE) -> Path:
    """A bare repository with one commit on main."""
    work, bare = folder / "work", folder / "remote.git"
    for path, text in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_text(text)
    git(folder, "init", "-q", "--bare", "-b", "main", str(bare))
    git(work, "init", "-q", "-b", "main")
    git(work, "add", "-A")
    git(work, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-qm", "Everything")
    git(work, "push", "-q", str(bare), "main")
    return bare


@dataclass
class ProvenChange:
    """One task's change, and what its steps said."""

    settings: Settings
    kept: wiring.Stores
    connected: Capabilities
    task: Task
    opened: OpenedWorkspace
    preparation: Preparation
    commit: str = ""

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.kept.artifacts)

    async def step(self, deed: Any, request: Any) -> Any:
        """An activity, as a worker runs it."""
        return await ActivityEnvironment().run(deed, request)

    def seal(self, files: Mapping[str, str | None]) -> str:
        """The change's commit."""
        mirror, space = mcp_wiring.mirrors(self.settings).of(self.opened.workspace), self.opened.workspace
        edits = {path: None if text is None else NewBlob(text.encode()) for path, text in files.items()}
        made = mirror.commit(space, mirror.edit_tree(mirror.head(space), edits), "Work")
        self.commit = mirror.seal(space, made, self.opened.base_commit, "Add adds")
        return self.commit

    async def check(self) -> tuple[ChecksOutcome, ChecksReport]:
        """RunCI on the change."""
        deeds = CheckingDeeds(self.kept.runs, self.shelf, self.connected)
        asked = ChecksRequest(task=self.task, preparation=self.preparation, commit=self.commit)
        outcome = await self.step(deeds.run_checks, asked)
        return outcome, await self.shelf.read(ChecksReport, outcome.report)

    async def publish(self, checks: ArtifactRef) -> PublishResult:
        """OpenPR for the change."""
        ledger = EvidenceLedger(wiring.signing_keys(self.settings), self.shelf, self.connected)
        deeds = PublishingDeeds(self.kept.runs, self.shelf, self.connected, evidence=ledger)
        plan = await self.shelf.keep_words(self.task.id, "PlanChanges", "plan.json", PLAN)
        return await self.step(
            deeds.publish,
            PublishRequest(task=self.task, preparation=self.preparation, plan=plan, commit=self.commit, checks=checks),
        )

    async def evidence(self) -> EvidenceSet:
        """What was signed last."""
        made = [one.ref for one in await self.kept.artifacts.of_task(self.task.id) if one.ref.name == EVIDENCE_FILE]
        return EvidenceSet.model_validate_json(await self.kept.artifacts.get(made[-1].sha256))


@asynccontextmanager
async def proven_change(
    folder: Path, files: Mapping[str, str | None] = FIX, base: Mapping[str, str] = BASE, name: str = "pw-000000000001",
    kind: TaskKind = TaskKind.BUGFIX, policy: Policy | None = None, description: str = "",
) -> AsyncIterator[ProvenChange]:  # fmt: skip
    """A task that has come as far as its commit."""
    settings = IsolatedSettings(data_dir=folder / "data")
    bare = remote(folder, base)
    boxes = mcp_wiring.sandboxes(settings)
    async with wiring.stores(settings) as kept, mcp_wiring.capabilities(settings, "http://localhost:8000", boxes) as connected:
        policy = policy or Policy()
        request = TaskRequest(repo=str(bare), title="Add adds", description=description, kind=kind, policy=policy)
        task = Task(id=name, request=request, created_at=datetime.now(UTC))
        await kept.runs.accept(task, "", "")
        place = {"remote": str(bare), "base_branch": "main", "name": name}
        opened = await connected.ask(OpenedWorkspace, "open_workspace", place, CallScope(), f"{name}/open")
        scope = CallScope(opened.workspace, opened.base_commit, policy)
        recipe = await connected.ask(Recipe, "project_recipe", {"commit": opened.base_commit}, scope, f"{name}/recipe")
        cards = await Shelf(kept.artifacts).keep(name, "PrepareTask", "cards.json", b'{"cards": []}')
        made = ProvenChange(settings, kept, connected, task, opened,
                            Preparation(opened=opened, recipe=recipe, policy=policy, cards=cards))  # fmt: skip
        made.seal(files)
        try:
            yield made
        finally:
            await boxes.close()
