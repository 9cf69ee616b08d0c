"""The API and pages over real stores, an in-memory forge and a recording Temporal."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
from fastapi import FastAPI

from activities.evidence.keys import SigningKeys
from activities.stores.access_store import AccessStore
from activities.stores.artifact_store import ArtifactStore
from activities.stores.database import Database, open_database
from activities.stores.run_store import RunStore
from contracts.access import Principal, Role, TokenRequest
from contracts.forge import PullRequest, PullRequestDraft
from contracts.plan import ChangePlan, PlannedEdit, plan_sha256
from contracts.steps import ProgressRequest
from contracts.task import Task, TaskRequest, TaskState, TicketSource, task_id
from services.access.access import Access, AccessRules
from services.api.app import create_app
from services.api.pull_requests import DiffSource
from services.tasks import TaskService
from tests.fakes.forge import InMemoryForge
from tests.fakes.temporal import RecordingTemporal

TOKEN = "a-token-for-tests"
PERSON = "ada"
"""Whom that token stands for."""
ADA = Principal(name=PERSON, roles=frozenset({Role.ADMIN}), kind="local", credential="local:")
DIFF = """\
diff --git a/shop/cart.py b/shop/cart.py
index 1111111111111111111111111111111111111111..2222222222222222222222222222222222222222 100644
--- a/shop/cart.py
+++ b/shop/cart.py
@@ -1,4 +1,5 @@ def total(items):
 def total(items):
-    return sum(items)
+    # An empty cart costs nothing.
+    return sum(items, 0)
 
 VERSION = "1"
"""


class FixedDiff:
    async def diff(self, pull_request: PullRequest) -> str:
        return DIFF


@dataclass
class Service:
    """Everything a test wants to look at."""

    app: FastAPI
    tasks: TaskService
    runs: RunStore
    forge: InMemoryForge
    temporal: RecordingTemporal
    database: Database
    access: Access

    async def token(self, person: str, *roles: Role, **more: Any) -> str:
        """The secret of a new token for somebody."""
        wanted = TokenRequest(person=person, roles=roles, **more)
        return (await self.access.store.make_token(wanted, by=PERSON))[1]

    def client(self, token: str = TOKEN, **options: Any) -> httpx2.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx2.AsyncClient(transport=httpx2.ASGITransport(self.app, raise_app_exceptions=False),
                                  base_url="http://localhost", headers=headers, **options)

    async def accepted(self, key: str = "ENG-1", **request: Any) -> Task:
        """A task that was accepted and started."""
        wanted = {"repo": "/srv/shop.git", "title": f"Ticket {key}", "source": TicketSource(system="jira", key=key)} | request
        record, _ = await self.tasks.submit(TaskRequest.model_validate(wanted))
        return record.task

    async def moved(self, task: Task, state: TaskState, **more: Any) -> None:
        """The workflow tells where it is."""
        await self.runs.record_progress(ProgressRequest(task_id=task.id, state=state, key=f"{state}-{datetime.now(UTC)}", **more))

    async def planned(self, task: Task, **changes: Any) -> ChangePlan:
        """The task waits for its plan's approval."""
        plan = ChangePlan(goal="An empty cart costs nothing", edits=(PlannedEdit(path="shop/cart.py", intent="start at 0"),),
                          risks=("Callers may rely on the exception",), tests=("tests/test_cart.py::test_empty",))
        plan = plan.model_copy(update=changes)
        await self.tasks.artifacts.put(task.id, "PlanChanges", plan.model_dump_json().encode(), "application/json", "plan.json")
        await self.moved(task, TaskState.AWAITING_PLAN_APPROVAL, plan_sha256=plan_sha256(plan))
        return plan

    async def published(self, task: Task, **changes: Any) -> PullRequest:
        """The task waits for a review of its pull request."""
        wanted = {"repo": "/srv/shop.git", "head_branch": task.branch, "base_branch": "main", "head_commit": "c" * 40,
                  "title": "Empty carts cost nothing", "body": "## What\n\nStart at `0`.", "task_id": task.id} | changes
        made = await self.forge.publish(PullRequestDraft.model_validate(wanted))
        await self.moved(task, TaskState.AWAITING_REVIEW, pull_request_id=made.id, head_commit=made.head_commit)
        return made


def access_to(database: Database, tenant: str = "", **rules: Any) -> Access:
    """Who comes in: the token of tests, and whoever gets one."""
    return Access(AccessStore(database, tenant), AccessRules(**{"token": TOKEN, "person": PERSON, **rules}))


async def sign_in(browser: httpx2.AsyncClient, offered: str = TOKEN, where: str = "/") -> httpx2.Response:
    """Paste a token (or a link's key) into the form of the login page, as a person does."""
    page = await browser.get("/login", headers={"Accept": "text/html"})
    found = re.search(r'action="/login".*?name="form_token" value="([0-9a-f]+)"', page.text, re.DOTALL)
    assert found, page.text
    return await browser.post("/login", data={"token": offered, "form_token": found[1], "next": where},
                              headers={"Origin": str(browser.base_url).rstrip("/")})


async def open_service(folder: Path, diffs: DiffSource | None = None, **rules: Any) -> Service:
    """A service on a fresh database; ``rules`` for who comes in, and how often."""
    database = await open_database(f"sqlite:///{folder}/run.db")
    runs, forge, temporal = RunStore(database), InMemoryForge("http://localhost"), RecordingTemporal()
    tasks = TaskService(runs, ArtifactStore(folder / "artifacts", database), forge, temporal=temporal,  # type: ignore[arg-type]
                        ui_url="http://localhost:8233")
    access = access_to(database, **rules)
    app = create_app(tasks, access, diffs or FixedDiff(), keys=SigningKeys(folder / "evidence"))
    return Service(app, tasks, runs, forge, temporal, database, access)


def same_ticket(key: str) -> str:
    """The id of the task of a ticket of ours."""
    return task_id("jira", key)
