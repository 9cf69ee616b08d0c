"""Artifacts as words, and an agent's invocation made from a step's request."""

from typing import TypeVar

from pydantic import BaseModel

from activities.agent_run.guardrails import RunFacts
from activities.agent_run.invocation import AgentTask
from activities.capabilities import CallScope
from activities.stores.artifact_store import ArtifactStore
from contracts.artifact import ArtifactRef
from contracts.steps import AgentStep, PinnedCards

Words = TypeVar("Words", bound=BaseModel)


class Shelf:
    """Puts words and bytes into the artifact store and takes them out again."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts

    async def keep(self, task_id: str, step: str, name: str, content: bytes, media_type: str = "application/json") -> ArtifactRef:
        """Store bytes under a step of a task."""
        return await self._artifacts.put(task_id, step, content, media_type, name)

    async def keep_words(self, task_id: str, step: str, name: str, words: BaseModel) -> ArtifactRef:
        """Store words as indented JSON."""
        return await self.keep(task_id, step, name, words.model_dump_json(indent=2).encode())

    async def first(self, words: type[Words], task_id: str, step: str, name: str) -> Words | None:
        """What was first kept under a name of a step; None when nothing was."""
        for made in await self._artifacts.of_task(task_id):
            if (made.step, made.ref.name) == (step, name):
                return await self.read(words, made.ref)
        return None

    async def each(self, words: type[Words], task_id: str, step: str, prefix: str) -> list[Words]:
        """Everything that was kept of a step under names with that beginning, oldest first."""
        made = await self._artifacts.of_task(task_id)
        return [await self.read(words, one.ref) for one in made if one.step == step and one.ref.name.startswith(prefix)]

    async def bytes_of(self, ref: ArtifactRef | None) -> bytes:
        """The bytes of an artifact; none for no artifact."""
        return await self._artifacts.get(ref.sha256) if ref is not None else b""

    async def read(self, words: type[Words], ref: ArtifactRef) -> Words:
        """An artifact as words."""
        return words.model_validate_json(await self._artifacts.get(ref.sha256))


async def invocation(step: AgentStep, shelf: Shelf, name: str, cast: tuple[str, ...], prompt: str, facts: RunFacts) -> AgentTask:
    """The invocation of the first agent of the cast, with the cards the task was pinned to."""
    pinned = {card.name: card for card in (await shelf.read(PinnedCards, step.preparation.cards)).cards}
    return AgentTask(
        task_id=step.task.id,
        run=step.run,
        step=name,
        cards=tuple(pinned[agent] for agent in cast),
        prompt=prompt,
        scope=CallScope.of(step.preparation),
        start_commit=step.commit,
        facts=facts,
        spent=step.spent,
        slice=step.slice,
        heard=step.heard,
        transcript=await shelf.bytes_of(step.transcript),
        requester=step.task.request.requester,
    )
