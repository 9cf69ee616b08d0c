"""The task service on a real Temporal server."""

import asyncio
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

import services.tasks
import services.temporal_server
from contracts.plan import PlanApproval
from contracts.policy import Policy
from contracts.task import TaskRequest, TaskState, TicketSource
from services.tasks import WORKFLOW, OrchestratorUnavailable
from services.temporal_server import temporal_server
from services.worker import connect, ensure_search_attributes, make_workers
from tests.fakes.deeds import ScriptedDeeds
from tests.fakes.service import ADA, open_service


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


async def test_search_attributes_that_a_cluster_lacks_are_registered_once(tmp_path: Path) -> None:
    names = [f"Patchwright{letter}" for letter in "ABC"]
    async with temporal_server(tmp_path / "temporal.db", "default") as server:
        client = await connect(server.address, "default")
        await asyncio.gather(*(ensure_search_attributes(client, names) for _ in range(3)))
        await ensure_search_attributes(client, names)
        listed = await client.operator_service.list_search_attributes(ListSearchAttributesRequest(namespace="default"))
        assert set(names) < set(listed.custom_attributes)
        elsewhere = await connect(server.address, "nowhere")
        with pytest.raises(services.tasks.Conflict, match="temporal operator search-attribute create --namespace nowhere"):
            await ensure_search_attributes(elsewhere, names)


async def test_a_second_temporal_server_never_opens_the_same_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(services.temporal_server, "STOP_SECONDS", 0.5)
    async with temporal_server(tmp_path / "temporal.db", "default"):
        with pytest.raises(services.tasks.Conflict, match="Another Temporal server"):
            async with temporal_server(tmp_path / "temporal.db", "default"):
                pass
    async with temporal_server(tmp_path / "temporal.db", "default"):
        pass


async def test_the_same_plan_made_a_second_time_can_be_rejected_a_second_time(temporal_client: Client, tmp_path: Path) -> None:
    service, deeds = await open_service(tmp_path), ScriptedDeeds()
    deeds.plan_digests = ["1" * 64, "1" * 64, "2" * 64]
    deeds.on_progress = service.runs.record_progress
    service.tasks.temporal = temporal_client
    async with make_workers(temporal_client, "patchwright", deeds.all):
        deeds.policy = Policy(plan_approval=True)
        record, _ = await service.tasks.submit(TaskRequest(repo="/srv/shop.git", title="Plan it"))
        for times in (1, 2):
            await deeds.told(TaskState.AWAITING_PLAN_APPROVAL, times)
            no = PlanApproval(plan_sha256="1" * 64, approved=False, reason="no")
            await service.tasks.approve_plan(record.task.id, no, by=ADA)
        await deeds.told(TaskState.AWAITING_PLAN_APPROVAL, 3)
        await service.tasks.cancel(record.task.id)
        await temporal_client.get_workflow_handle(record.task.id).result()
    await service.database.close()


async def test_a_hundred_posts_of_one_key_are_one_task(temporal_client: Client, tmp_path: Path) -> None:
    service = await open_service(tmp_path)
    service.tasks.temporal = temporal_client
    request = TaskRequest(repo="/srv/shop.git", title="Once")
    answers = await asyncio.gather(*(service.tasks.submit(request, "key-1") for _ in range(100)))
    assert len({record.task.id for record, _ in answers}) == 1
    assert sum(created for _, created in answers) == 1
    assert len((await service.runs.list())[0]) == 1
    await temporal_client.get_workflow_handle(answers[0][0].task.id).terminate()
    await service.database.close()


async def test_a_task_that_temporal_refuses_keeps_no_other_from_starting(temporal_client: Client, tmp_path: Path) -> None:
    service = await open_service(tmp_path)
    service.temporal.away = True
    for title in ("Refused", "Fine"):
        with pytest.raises(OrchestratorUnavailable):
            await service.tasks.submit(TaskRequest(repo="/srv/shop.git", title=title))
    service.tasks.temporal = RefusesTheFirst(temporal_client)  # type: ignore[assignment]
    assert await service.tasks.start_unstarted() == 1
    await service.database.close()


class RefusesTheFirst:
    """A server that refuses one workflow, as one without the search attributes or with other limits does."""

    def __init__(self, client: Client) -> None:
        self._client, self._refused = client, False

    async def start_workflow(self, *args: Any, **kwargs: Any) -> Any:
        if not self._refused:
            self._refused = True
            raise RPCError("search attribute is not defined", RPCStatusCode.INVALID_ARGUMENT, b"")
        return await self._client.start_workflow(*args, **kwargs)
