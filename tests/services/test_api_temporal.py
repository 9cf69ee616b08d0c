"""The task service on a real Temporal server."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client

import services.tasks
from contracts.task import TaskRequest, TicketSource
from services.tasks import WORKFLOW, OrchestratorUnavailable
from services.temporal_server import temporal_server
from services.worker import connect
from tests.fakes.service import open_service


async def test_a_ticket_becomes_one_workflow_that_people_find_by_its_attributes(temporal_client: Client, tmp_path: Path) -> None:
    service = await open_service(tmp_path)
    service.tasks.temporal = temporal_client
    request = TaskRequest(repo="/srv/shop.git", title="Ünïcode " * 37, source=TicketSource(system="jira", key=str(tmp_path)))
    answers = await asyncio.gather(*(service.tasks.submit(request) for _ in range(5)))
    (name,) = {record.task.id for record, _ in answers}
    described = await temporal_client.get_workflow_handle(name).describe()
    assert (described.workflow_type, described.id) == (WORKFLOW, name)
    assert {
        pair.key.name: pair.value for pair in described.typed_search_attributes if pair.key.name.startswith("Patchwright")} == {
        "PatchwrightState": "queued", "PatchwrightRepo": "/srv/shop.git", "PatchwrightKind": "feature"}
    assert (await service.runs.get(name)).workflow_run_id == described.run_id
    await service.tasks.pause(name)
    await service.tasks.cancel(name)
    await temporal_client.get_workflow_handle(name).terminate()
    with pytest.raises(services.tasks.Conflict, match="ended"):
        await service.tasks.pause(name)
    await service.database.close()


async def test_a_server_that_is_away_is_told_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.tasks, "PATIENCE", timedelta(seconds=1))
    service = await open_service(tmp_path)
    service.tasks.temporal = await Client.connect("127.0.0.1:1", lazy=True)
    began = time.monotonic()
    with pytest.raises(OrchestratorUnavailable):
        await service.tasks.submit(TaskRequest(repo="/srv/shop.git", title="Later"))
    assert time.monotonic() - began < 5
    assert not await service.tasks.reachable()
    async with temporal_server(tmp_path / "temporal.db", "default") as server:
        service.tasks.temporal = await connect(server.address, "default")
        assert await service.tasks.reachable()
    with pytest.raises(OrchestratorUnavailable):
        await service.tasks.start_unstarted()
    assert not await service.tasks.reachable()
    assert len(await service.runs.unstarted()) == 1
    await service.database.close()
