"""The whole service below one process: ``python -m tests.bench.service DATA_DIR BASE_URL API WIRING``; it ends with stdin.

``WIRING`` is ``processes``, what ``./patchwright up --processes`` runs, or ``one``, what ``./patchwright up`` runs. Two limits
that would end a run of 300 turns on purpose are raised: the turns of the coder's card, and the model calls of a task.
"""

import asyncio
import json
import os
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from contracts.policy import Policy
from services.event_loop import run
from services.instance import Stack
from services.settings import IsolatedSettings


def opened(settings: IsolatedSettings, wiring_name: str) -> AbstractAsyncContextManager[Stack]:
    """The service in the wanted wiring; only that one is loaded. Raises ``ValueError`` for an unknown one."""
    if wiring_name == "processes":
        from services import supervisor

        supervisor.ROLE_MODULE = "tests.bench.role"
        return supervisor.supervised(settings, scripted=True)
    if wiring_name == "one":
        from services import embedded, wiring
        from tests.bench.role import patient_cards

        wiring.agent_cards = patient_cards
        return embedded.stack(settings, scripted=True)
    raise ValueError(f"There is no wiring {wiring_name!r}.")


def worker_of(settings: IsolatedSettings) -> int:
    """Process id of the worker: the process that runs the agent."""
    if not settings.processes_file.is_file():
        return os.getpid()
    return json.loads(settings.processes_file.read_text())["roles"]["worker"]["pid"]


async def main(data_dir: Path, base_url: str, api: str, wiring_name: str) -> None:
    """Run until stdin ends; each line that comes before is answered with how the service stands."""
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
    async with opened(settings, wiring_name) as stack:
        said = {"url": stack.url, "token": stack.token, "sandbox": stack.sandbox, "temporal": stack.temporal_address}
        asked = "\n"
        while asked:
            print(json.dumps({**said, "worker": worker_of(settings)}), flush=True)
            asked = await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4]))
    sys.stdout.flush()
    os._exit(0)
