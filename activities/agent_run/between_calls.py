"""What may come between two model calls of a run: people say something, or the slice ends. Both hold their place in a replay."""

import json
from typing import Any

from agents import Agent, RunHooks
from agents.items import TResponseInputItem
from temporalio import activity

from activities.agent_run.encoding import canonical
from activities.agent_run.journal import RunJournal
from activities.agent_run.story import RunStory
from activities.prompts import steering_prompt
from activities.stores.run_store import RunStore
from contracts.judging.credentials import without_credentials


class SliceFull(Exception):
    """The slice has had its turns, or its worker is to stop; the run goes on in the next one."""

    def __init__(self, agent: str, items: list[TResponseInputItem]) -> None:
        super().__init__("the slice is full")
        self.agent = agent
        self.items = items


class Spoken(Exception):
    """People said something: the runner goes on from the same transcript with their words at its end."""

    def __init__(self, agent: str, items: list[TResponseInputItem]) -> None:
        super().__init__("people said something")
        self.agent = agent
        self.items = items


class Steering:
    """What people say while a run goes on, heard once. What a call heard is journaled before the call is made."""

    def __init__(self, journal: RunJournal, store: RunStore, heard: int) -> None:
        self.heard = heard
        """Number of the newest message that this run, or one before it, has heard."""
        self._journal = journal
        self._store = store
        self._seen = heard
        self._said_before = -1

    async def news(self) -> list[str]:
        """What is to be said before the next model call: as it was in a replay, else what is new. The same call hears it once."""
        ordinal = self._journal.ordinal
        if self._said_before == ordinal:
            return []
        kept = self._journal.steering()
        if kept is None and not self._journal.replaying:
            kept = await self._listen()
        if kept is None:
            return []
        said = json.loads(kept)
        self.heard, self._said_before = said["heard"], ordinal
        return said["messages"]

    async def _listen(self) -> bytes | None:
        """Look for new messages; any are journaled before anybody acts on them."""
        self._seen, found = await self._store.steering(self._journal.task_id, self._seen)
        if not found:
            return None
        messages = self._journal.clean.redact_value([message for _, message in found])
        said = canonical({"heard": found[-1][0], "messages": messages})
        await self._journal.keep_steering(said)
        return said


class BetweenCalls(RunHooks[Any]):
    """Looks up before each model call, where the input is the exact transcript; tells of handoffs."""

    def __init__(self, journal: RunJournal, story: RunStory, steering: Steering, turns: int) -> None:
        self.taken = 0
        """Model calls since it was made."""
        self._journal = journal
        self._story = story
        self._steering = steering
        self._turns = turns

    async def on_llm_start(
        self, context: Any, agent: Agent[Any], system_prompt: str | None, input_items: list[TResponseInputItem]
    ) -> None:
        """Raises ``SliceFull`` or ``Spoken`` instead of making the call."""
        # A replay takes milliseconds; ended in the middle, its rest would be paid for again in the next slice.
        if self.taken >= self._turns or (_draining() and not self._journal.replaying):
            raise SliceFull(agent.name, list(input_items))
        if messages := await self._steering.news():
            self._story.steered(agent.name, self._journal.ordinal)
            words = steering_prompt([without_credentials(message, "(a credential, taken out)") for message in messages])
            raise Spoken(agent.name, [*input_items, {"role": "user", "content": words}])
        self.taken += 1

    async def on_handoff(self, context: Any, from_agent: Any, to_agent: Any) -> None:
        self._story.handoff(from_agent.name, to_agent.name)


def _draining() -> bool:
    """Whether the worker was told to stop."""
    return activity.in_activity() and activity.is_worker_shutdown()
