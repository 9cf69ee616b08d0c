"""The whole service in a process of its own: ``python -m tests.bench.service DATA_DIR BASE_URL API``; it ends with stdin.

It is what ``./patchwright up`` runs, but for two limits that would end a run of 200 turns on purpose: the turns of the coder's
card, and the model calls of a task.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from contracts.card import AgentCard
from contracts.policy import Policy
from services import embedded, wiring
from services.settings import IsolatedSettings

TURNS = 1_000
_cards = wiring.agent_cards


def patient_cards() -> tuple[AgentCard, ...]:
    """The installation's cards with room for many turns."""
    return tuple(card.model_copy(update={"limits": card.limits.model_copy(update={"max_turns": TURNS})}) for card in _cards())


async def main(data_dir: Path, base_url: str, api: str) -> None:
    """Run until stdin ends."""
    settings = IsolatedSettings(
        data_dir=data_dir,
        port=0,
        temporal_port=0,
        temporal_ui_port=0,
        openai_base_url=base_url,
        model_api="chat" if api == "chat" else "responses",
        log_level="error",
        default_policy=Policy(max_model_calls=10_000),
    )
    async with embedded.stack(settings, scripted=True) as stack:
        said = {"url": stack.url, "token": stack.token, "sandbox": stack.sandbox, "temporal": stack.temporal_address}
        print(json.dumps(said), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    wiring.agent_cards = patient_cards
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3]))
    sys.stdout.flush()
    os._exit(0)
