"""Tasks that wait for their reviews need no worker, and lose nothing with one."""

from pathlib import Path

import httpx2
import pytest

from services.scripted_model.server import serve
from services.supervisor import supervised
from services.worker import connect
from tests.bench.parked_copies import park_copies
from tests.bench.parked_script import ParkedScript
from tests.bench.parked_service import ParkedService
from tests.bench.parked_wakes import wake
from tests.fakes.intake import eventually
from tests.fakes.stack import remote, settings_for

TASKS = 20
pytestmark = pytest.mark.slow


async def test_parked_tasks_outlive_their_worker_and_every_one_of_them_goes_on(tmp_path: Path) -> None:
    bare, data = remote(tmp_path, {"README.md": "# notes\n"}), tmp_path / "data"
    async with (
        serve(ParkedScript()) as model,
        supervised(settings_for(data, model.base_url), scripted=True) as stack,
        httpx2.AsyncClient(base_url=stack.url, headers={"authorization": f"Bearer {stack.token}"}, timeout=60) as http,
    ):
        client = await connect(stack.temporal_address, "default")
        service = ParkedService(data, stack.url, http, client)
        whole = (await http.post("/tasks", json={"repo": str(bare), "title": "Note"})).json()["id"]
        await service.until_parked(1, 60)
        names = {whole, *await park_copies(data, stack.url, client, [whole], range(1, TASKS))}
        await service.until_parked(TASKS, 60)
        await service.kill_worker()
        assert (await service.listed())[0] == names
        await eventually(lambda: _all_run(service, names), 60)
        woken = await wake(service, sorted(names), rate=20)
        assert [one.task_id for one in woken if one.seconds is None] == []
        assert await service.astray(list(names), 90) == []


async def _all_run(service: ParkedService, names: set[str]) -> bool:
    # The run store hears of a state before Temporal does: one whose worker was killed in between is told again.
    return await service.running(names) == names
