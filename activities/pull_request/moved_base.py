"""The base branch moved: merge it into the change, in the mirror."""

from activities.capabilities import CallScope, Capabilities
from activities.edge import deed
from activities.plain_words import one_line
from activities.stores.run_store import RunStore
from contracts.event import EventKind, NewEvent
from contracts.merging import BaseMerged
from contracts.steps import BaseMerge, BaseRequest

SHOWN = 100
"""Conflicts that are named one by one."""
TOLD_CHARACTERS = 500
GONE = "Commits that this change was made on are gone from {branch}: the change alone was carried over, they do not come back."


class MovedBaseDeeds:
    """``MergeBase``."""

    def __init__(self, run_store: RunStore, capabilities: Capabilities) -> None:
        self.run_store = run_store
        self._capabilities = capabilities

    @deed("MergeBase")
    async def merge(self, request: BaseRequest) -> BaseMerge:
        """Merge the base branch's tip into the change; asked again about the same tip, the same commit. Nothing is pushed."""
        opened, task = request.preparation.opened, request.task
        asked = {
            "remote": opened.remote,
            "base_branch": opened.base_branch,
            "base_commit": opened.base_commit,
            "commit": request.commit,
            "message": f"Merge {one_line(opened.base_branch)} into {task.branch}\n\nPatchwright-Task: {task.id}",
        }
        scope = CallScope.of(request.preparation)
        key = f"{task.id}/merge/{request.commit}"
        merged = await self._capabilities.ask(BaseMerged, "merge_base_branch", asked, scope, key)
        note = GONE.format(branch=opened.base_branch) if merged.rewritten else ""
        await self._tell(request, merged, note)
        conflicts = [conflict.told[:TOLD_CHARACTERS] for conflict in merged.conflicts[:SHOWN]]
        if len(merged.conflicts) > SHOWN:
            conflicts.append(f"… and {len(merged.conflicts) - SHOWN} more")
        return BaseMerge(base_commit=merged.base_commit, commit=merged.commit, conflicts=tuple(conflicts), note=note)

    async def _tell(self, request: BaseRequest, merged: BaseMerged, note: str) -> None:
        if merged.commit == request.commit:
            return
        branch, tip = request.preparation.opened.base_branch, merged.base_commit[:12]
        many = len(merged.conflicts)
        how = f"conflicts in {many} {'file' if many == 1 else 'files'}" if many else "no conflicts"
        told = [f"{branch} moved to {tip}; merged into the change with {how}", *([note] if note else [])]
        told += [f"Conflict: {conflict.told}" for conflict in merged.conflicts[:SHOWN]]
        await self.run_store.append(
            request.task.id,
            [
                NewEvent(kind=EventKind.NOTE, text=text[:2_000], step="MergeBase", key=f"merge/{merged.commit}/{number}",
                         data={"commit": merged.commit, "base_commit": merged.base_commit})
                for number, text in enumerate(told)
            ],
        )
