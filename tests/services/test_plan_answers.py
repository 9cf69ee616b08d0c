"""People answer exactly what they read: API, page and command line refuse a stale digest and say what changed since."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx2
import pytest
from pydantic import BaseModel

from contracts.approval import Question, RecordedAnswer, Subject, outside_paths
from contracts.artifact import ArtifactRef
from contracts.change import FileStatus
from contracts.event import EventKind, NewEvent
from contracts.plan import ChangePlan, PlannedEdit, plan_sha256
from contracts.plan_cover import CoveredFile
from contracts.plan_map import MappedHunks, PlanMap
from contracts.task import Task, TaskState
from tests.fakes.service import Service, sign_in

UNTIL = datetime(2031, 5, 6, 7, 8, 9, tzinfo=UTC)
FIRST = {"goal": "An empty cart costs nothing"}
SECOND = {"goal": "An empty cart is refused", "edits": (PlannedEdit(path="shop/till.py", intent="refuse it"),)}


@pytest.fixture
async def browser(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    async with service.client(token="", follow_redirects=True) as client:
        client.headers["Accept"] = "text/html"
        await sign_in(client)
        yield client


def read(page: httpx2.Response) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", page.text)).split())


async def asked_about(service: Service, **plan: object) -> tuple[Task, str]:
    """A task whose plan waits."""
    task = await service.accepted()
    made = await service.planned(task, **plan)
    return task, plan_sha256(made)


async def replanned(service: Service, task: Task) -> str:
    """The same task with a newer plan that waits, asked about until a certain time."""
    plan = ChangePlan(**{"tests": ("tests/test_cart.py::test_empty",), **SECOND})
    sha256 = plan_sha256(plan)
    await service.tasks.artifacts.put(task.id, "PlanChanges", plan.model_dump_json().encode(), "application/json", "plan-2.json")
    asks = Question(subject=Subject.PLAN, sha256=sha256, until=UNTIL)
    await service.moved(task, TaskState.AWAITING_PLAN_APPROVAL, plan_sha256=sha256, asks=asks)
    return sha256


async def test_a_yes_to_an_older_plan_is_refused_with_what_changed_since(api: httpx2.AsyncClient, service: Service) -> None:
    task, first = await asked_about(service, **FIRST)
    second = await replanned(service, task)
    refused = await api.post(f"/tasks/{task.id}/signals/plan", json={"plan_sha256": first, "approved": True})
    assert refused.status_code == 409
    told = refused.json()["detail"].split("\n")
    assert first in told[0] and second in told[0]
    assert "~ goal: “An empty cart costs nothing” became “An empty cart is refused”" in told
    assert "- edit shop/cart.py: start at 0" in told and "+ edit shop/till.py: refuse it" in told
    assert service.temporal.said == []


@pytest.mark.parametrize("named", ["0" * 64, "PREFIX", "UPPER"])
async def test_what_is_no_digest_of_its_plans_is_no_answer(api: httpx2.AsyncClient, service: Service, named: str) -> None:
    task, digest = await asked_about(service)
    said = {"PREFIX": digest[:63], "UPPER": digest.upper()}.get(named, named)
    refused = await api.post(f"/tasks/{task.id}/signals/plan", json={"plan_sha256": said, "approved": True})
    assert refused.status_code == (409 if named == "0" * 64 else 422)
    assert service.temporal.said == []


async def test_the_plan_says_what_it_waits_for_until_when_and_what_people_said(api: httpx2.AsyncClient, service: Service) -> None:
    task, _ = await asked_about(service)
    second = await replanned(service, task)
    said = RecordedAnswer(subject=Subject.PLAN, sha256="1" * 64, approved=False, person="ada", reason="too wide", at=UNTIL)
    note = NewEvent(kind=EventKind.APPROVAL, text=said.sentence, key="k", data=said.model_dump(mode="json"))
    await service.runs.append(task.id, [note])
    shown = (await api.get(f"/tasks/{task.id}/plan")).json()
    assert (shown["sha256"], shown["plan"]["goal"]) == (second, "An empty cart is refused")
    assert (shown["asks"]["sha256"], shown["asks"]["until"]) == (second, "2031-05-06T07:08:09Z")
    assert [one["person"] for one in shown["approvals"]] == ["ada"]
    await service.moved(task, TaskState.EDITING)
    assert (await api.get(f"/tasks/{task.id}/plan")).json()["asks"] is None
    late = await api.post(f"/tasks/{task.id}/signals/plan", json={"plan_sha256": second, "approved": True})
    assert late.status_code == 409 and "rejected by ada" in late.json()["detail"]


async def test_a_plan_whose_bytes_were_changed_is_not_shown_for_the_one_that_waits(
    api: httpx2.AsyncClient, browser: httpx2.AsyncClient, service: Service
) -> None:
    task, digest = await asked_about(service)
    (made,) = [one.ref for one in await service.tasks.artifacts.of_task(task.id) if one.step == "PlanChanges"]
    file = service.tasks.artifacts.root / made.sha256[:2] / made.sha256
    file.write_bytes(file.read_bytes().replace(b"shop/cart.py", b"shop/evil.py"))
    assert (await api.get(f"/tasks/{task.id}/plan")).json()["plan"] is None
    page = await browser.get(f"/t/{task.id}")
    assert "cannot be read any more" in read(page) and 'value="approve"' not in page.text and digest in page.text


async def test_the_page_binds_its_form_and_a_stale_one_gets_a_clear_page(browser: httpx2.AsyncClient, service: Service) -> None:
    task, first = await asked_about(service, **FIRST)
    second = await replanned(service, task)
    page = await browser.get(f"/t/{task.id}")
    assert second in read(page) and "2031-05-06 07:08:09 UTC" in read(page)
    assert f'name="plan_sha256" value="{second}"' in page.text
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)
    assert token
    form = {"form_token": token[1], "plan_sha256": first, "answer": "approve"}
    stale = await browser.post(f"/t/{task.id}/plan", data=form, headers={"Origin": "http://localhost"})
    assert stale.status_code == 409 and "became “An empty cart is refused”" in read(stale)
    assert f'href="/t/{task.id}"' in stale.text
    unclear = await browser.post(f"/t/{task.id}/plan", data={**form, "answer": ""}, headers={"Origin": "http://localhost"})
    assert unclear.status_code == 422 and service.temporal.said == [], "what is no yes is not for that a no"


async def kept(service: Service, task: Task, words: BaseModel, name: str) -> ArtifactRef:
    return await service.tasks.artifacts.put(task.id, "JudgeChange", words.model_dump_json().encode(), "application/json", name)


async def outside(service: Service) -> tuple[Task, str]:
    """A halted task whose change goes outside its plan."""
    task, plan = await asked_about(service)
    found = outside_paths(plan, ["deploy/run.sh", "<b>.py"])
    ref = await kept(service, task, found, "outside.json")
    files = (CoveredFile(path="shop/cart.py", status=FileStatus.MODIFIED, steps=(1,), how="named by the plan"),
             CoveredFile(path="<b>.py", status=FileStatus.ADDED, outside=("<b>.py",)))  # fmt: skip
    hunks = (MappedHunks(path="shop/cart.py", steps=(1,), why="start at 0", places=("3–9",)),)
    made = PlanMap(plan_sha256=plan, base_commit="b" * 40, commit="c" * 40, files=files, hunks=hunks)
    await kept(service, task, made, "plan-map-c.json")
    asks = Question(subject=Subject.PATHS, sha256=found.sha256, paths=ref)
    await service.moved(task, TaskState.HALTED, asks=asks, reason="The change goes outside its plan.")
    return task, found.sha256


async def test_paths_outside_a_plan_are_answered_by_their_digest(api: httpx2.AsyncClient, service: Service) -> None:
    task, digest = await outside(service)
    shown = (await api.get(f"/tasks/{task.id}/plan")).json()
    assert (shown["asks"]["sha256"], shown["outside"]) == (digest, ["<b>.py", "deploy/run.sh"])
    done = await api.post(f"/tasks/{task.id}/signals/paths", json={"paths_sha256": digest, "approved": True, "person": "mallory"})
    assert done.status_code == 202, done.text
    ((_, door, (said,)),) = service.temporal.said
    assert (door, said.paths_sha256, said.approved) == ("approve_paths", digest, True)
    assert said.person not in ("", "mallory"), "whose credential it is, not what the body claims"
    await service.moved(task, TaskState.EDITING)
    late = await api.post(f"/tasks/{task.id}/signals/paths", json={"paths_sha256": digest, "approved": True})
    assert late.status_code == 409 and "asks about no paths" in late.json()["detail"]


async def test_the_page_shows_the_paths_and_the_steps_of_the_change(browser: httpx2.AsyncClient, service: Service) -> None:
    task, digest = await outside(service)
    page = await browser.get(f"/t/{task.id}")
    told = read(page)
    assert "deploy/run.sh" in told and digest in told and "&lt;b&gt;.py" in page.text and "<b>.py" not in page.text
    assert "named by the plan (1)" in told and "3–9" in told and "outside the plan" in told
    token = re.search(r'name="form_token" value="([0-9a-f]+)"', page.text)
    assert token
    form = {"form_token": token[1], "paths_sha256": digest, "answer": "reject", "reason": "no"}
    await browser.post(f"/t/{task.id}/paths", data=form, headers={"Origin": "http://localhost"})
    ((_, door, (said,)),) = service.temporal.said
    assert (door, said.approved, said.reason) == ("approve_paths", False, "no")


async def test_a_plan_view_stays_small_beside_many_answers(api: httpx2.AsyncClient, service: Service) -> None:
    task, _ = await asked_about(service)
    for number in range(60):
        said = RecordedAnswer(subject=Subject.PATHS, sha256="2" * 64, approved=True, at=UNTIL + timedelta(seconds=number))
        note = NewEvent(kind=EventKind.APPROVAL, text=said.sentence, key=f"{number}", data=said.model_dump(mode="json"))
        await service.runs.append(task.id, [note])
    assert len((await api.get(f"/tasks/{task.id}/plan")).json()["approvals"]) == 50
