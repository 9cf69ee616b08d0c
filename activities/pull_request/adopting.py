"""People's commits on the task's branch become part of the change, once a person said so."""

from activities.capabilities import CallScope, Capabilities
from activities.edge import deed
from activities.editing import ChangedFiles
from activities.stores.run_store import RunStore
from contracts.event import EventKind, NewEvent
from contracts.steps import Adoption, AdoptionRequest
from contracts.word import Word


class AdoptedBranch(Word):
    """The answer of ``adopt_branch``."""

    commit: str
    base_commit: str = ""


class AdoptingDeeds:
    """``AdoptCommits``."""

    def __init__(self, run_store: RunStore, capabilities: Capabilities) -> None:
        self.run_store = run_store
        self._capabilities = capabilities

    @deed("AdoptCommits")
    async def adopt(self, request: AdoptionRequest) -> Adoption:
        """Fetch the branch as it stands and take its head for the change. Nothing is pushed."""
        opened, task = request.preparation.opened, request.task
        scope, key = CallScope.of(request.preparation), f"{task.id}/adopt"
        asked = {"remote": opened.remote, "branch": task.branch, "base_branch": opened.base_branch, "expected": request.commit}
        adopted = await self._capabilities.ask(AdoptedBranch, "adopt_branch", asked, scope, key)
        base_commit = adopted.base_commit or opened.base_commit
        span = {"old": base_commit, "new": adopted.commit}
        counted = await self._capabilities.ask(ChangedFiles, "changed_files", span, scope, f"{key}/{adopted.commit}")
        told = NewEvent(
            kind=EventKind.NOTE,
            text=f"The change goes on from {adopted.commit[:12]}, which somebody pushed to {task.branch}",
            step="AdoptCommits",
            key=f"adopt/{adopted.commit}",
            data={"commit": adopted.commit},
        )
        await self.run_store.append(task.id, [told])
        return Adoption(commit=adopted.commit, change=counted.change, base_commit=base_commit)
