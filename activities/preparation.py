"""Opening a task: its workspace, its recipe, its policy and the cards it keeps."""

from activities.capabilities import CallScope, Capabilities
from activities.edge import deed
from activities.stores.artifact_store import ArtifactStore
from activities.stores.run_store import RunStore
from contracts.card import AgentCard
from contracts.event import EventKind, NewEvent
from contracts.policy import POLICY_ARTIFACT, Policy, narrowed
from contracts.policy_document import narrowing_of
from contracts.sandbox import Recipe
from contracts.steps import PinnedCards, Preparation, PreparationRequest
from contracts.workspace import OpenedWorkspace


class PreparationDeeds:
    """``PrepareTask``."""

    def __init__(
        self, run_store: RunStore, artifacts: ArtifactStore, capabilities: Capabilities, cards: tuple[AgentCard, ...]
    ) -> None:
        self.run_store = run_store
        self._artifacts = artifacts
        self._capabilities = capabilities
        self._cards = cards

    @deed("PrepareTask")
    async def prepare(self, request: PreparationRequest) -> Preparation:
        """Fetch the repository, fix the base commit, read the recipe from it and pin the cards."""
        task = request.task
        opened = await self._capabilities.ask(
            OpenedWorkspace,
            "open_workspace",
            {"remote": task.request.repo, "base_branch": task.request.base_branch, "name": task.id},
            CallScope(),
            f"{task.id}/open",
        )
        scope = CallScope(opened.workspace, opened.base_commit, task.request.policy)
        recipe = await self._capabilities.ask(
            Recipe, "project_recipe", {"commit": opened.base_commit}, scope, f"{task.id}/recipe"
        )
        pinned = PinnedCards(cards=self._cards)
        cards = await self._artifacts.put(
            task.id, "PrepareTask", pinned.model_dump_json().encode(), "application/json", "cards.json"
        )
        whole = (await self.run_store.ticket(task.id)).model_dump_json().encode()
        ticket = await self._artifacts.put(task.id, "PrepareTask", whole, "application/json", "ticket.json")
        policy = _policy(task.request.policy, recipe)
        # What people may do to the task is judged by this very policy, outside of its workflow.
        await self._artifacts.put(task.id, "PrepareTask", policy.model_dump_json().encode(), "application/json", POLICY_ARTIFACT)
        await self._tell(task.id, opened, recipe, policy)
        return Preparation(
            opened=opened, recipe=recipe, policy=policy, policy_sha256=policy.sha256, cards=cards, ticket=ticket
        )

    async def _tell(self, task_id: str, opened: OpenedWorkspace, recipe: Recipe, policy: Policy) -> None:
        checks = ", ".join(check.name for check in recipe.checks) or "none"
        told = [
            f"{opened.remote} at {opened.base_branch} {opened.base_commit[:12]}, {opened.files} files",
            f"Checks: {checks} ({recipe.recognised or 'nothing recognised'})",
            *opened.notes,
        ]
        stamp = NewEvent(
            kind=EventKind.NOTE,
            text=f"Policy {policy.sha256[:12]}",
            step="PrepareTask",
            key="prepare/policy",
            data={"policy_sha256": policy.sha256},
        )
        await self.run_store.append(
            task_id,
            [
                *(
                    NewEvent(kind=EventKind.NOTE, text=text, step="PrepareTask", key=f"prepare/{number}")
                    for number, text in enumerate(told)
                ),
                stamp,
            ],
        )


def _policy(policy: Policy, recipe: Recipe) -> Policy:
    """The task's policy within what the base branch of its repository allows."""
    own = narrowed(policy, narrowing_of(recipe.policy, ".patchwright.yaml: policy"))
    return narrowed(own, Policy(allowed_paths=recipe.paths)) if recipe.paths else own
