"""A dangerous operation goes out once a person allowed exactly that one: everything real but the model."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape
from pathlib import Path
from typing import Any

import httpx2
import pytest

from contracts.audit import AuditEntry
from tests.fakes.service import sign_in
from tests.fakes.stack import Service, WritesFiles, git, remote, running

pytestmark = pytest.mark.slow
FILES: dict[str, str | bytes] = {"a.py": "A = 1\n", "tests/test_a.py": "import unittest\n"}
ASKS = {"allowed_operations": ["infrastructure"], "separate_approver": True}
TICKET = "write notes.md: hi\nwrite Dockerfile: FROM alpine"


@asynccontextmanager
async def asked(folder: Path) -> AsyncIterator[tuple[Service, str, str]]:
    """A task of ada's that halted and asks about its Dockerfile: by the operation's name."""
    async with running(folder / "data", WritesFiles(), default_policy=ASKS) as service:
        task = await service.submit(remote(folder, FILES), description=TICKET)
        yield service, task, await question(service, task)


async def question(service: Service, task: str) -> str:
    """The one operation that the halted task asks about."""
    shown = await service.until(task, "halted")
    asks = (await service.http.get(f"/tasks/{task}/plan")).json()["asks"]
    (name,) = asks["operations"]
    assert asks["subject"] == "operation" and name in shown["reason"] and name.startswith("operation.infrastructure:Dockerfile:")
    return name


async def token_of(service: Service, person: str, *roles: str) -> str:
    made = await service.http.post("/tokens", json={"person": person, "roles": roles})
    assert made.status_code == 201, made.text
    return made.json()["secret"]


async def allow(service: Service, task: str, name: str, token: str = "") -> httpx2.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    return await service.http.post(f"/tasks/{task}/signals/resume", json={"allow": [name]}, headers=headers)


async def audit(service: Service, task: str) -> list[AuditEntry]:
    told = (await service.http.get(f"/tasks/{task}/audit")).json()
    assert told["whole"], told["problem"]
    return [AuditEntry.model_validate(entry) for entry in told["entries"]]


async def description(service: Service, shown: dict[str, Any]) -> str:
    answer = await service.http.get(f"/prs/{shown['pull_request']['id']}", headers={"accept": "application/json"})
    return answer.json()["description"]


async def test_over_the_api_another_person_allows_exactly_one_operation_and_no_other(tmp_path: Path) -> None:
    async with asked(tmp_path) as (service, task, first):
        own = await allow(service, task, first)
        assert own.status_code == 403 and "another person" in own.json()["detail"]
        assert (await service.show(task))["state"] == "halted"
        grace = await token_of(service, "grace", "operator", "reviewer")
        assert (await allow(service, task, f"{first[:-10]}0123456789", grace)).status_code == 409
        assert (await allow(service, task, first, grace)).status_code == 202
        shown = await service.until(task, "awaiting_review", past="halted")
        assert f"Operation `{first}`: approved by `grace` at " in await description(service, shown)

        await service.review(task, "request_changes", "write Dockerfile: FROM debian")
        other = await question(service, task)
        assert other != first, "other words in the same file are another operation"
        assert git(tmp_path / "remote.git", "show", f"patchwright/{task}:Dockerfile") == "FROM alpine"
        assert (await allow(service, task, first, grace)).status_code == 409
        assert (await allow(service, task, other, grace)).status_code == 202
        shown = await service.until(task, "awaiting_review", past="halted")
        told = await description(service, shown)
        assert f"Operation `{other}`: approved by `grace`" in told and first not in told
        assert git(tmp_path / "remote.git", "show", f"patchwright/{task}:Dockerfile") == "FROM debian"

        said = [(entry.told, entry.rule, entry.allowed) for entry in await audit(service, task) if " approves " in entry.told]
        by, rules = "approves the operation", ("review.separate_approver", "review.operations")
        assert said == [
            (f"ada {by} {first}", rules[0], False),
            *((f"grace {by} {name}", rule, True) for name in (first, other) for rule in rules),
        ]
        assert f"The operation {other} was approved by grace at" in await service.story(task)


async def test_on_the_page_a_person_ticks_what_may_be(tmp_path: Path) -> None:
    async with asked(tmp_path) as (service, task, name):
        for token, stands in ((service.stack.token, 403), (await token_of(service, "grace", "operator"), 303)):
            async with httpx2.AsyncClient(base_url=service.stack.url, headers={"Accept": "text/html"}) as browser:
                assert (await sign_in(browser, token)).status_code == 303
                page = (await browser.get(f"/t/{task}")).text
                offered = re.findall(r'type="checkbox" name="allow" value="([^"]+)"', page)
                assert [unescape(one) for one in offered] == [name]
                form = re.search(r'name="form_token" value="([0-9a-f]+)"', page)
                assert form
                fields = {"form_token": form[1], "max_model_calls": "", "allow": [name]}
                answer = await browser.post(f"/t/{task}/resume", data=fields, headers={"Origin": service.stack.url})
                assert answer.status_code == stands, answer.text
                assert stands == 303 or "another person" in answer.text
        shown = await service.until(task, "awaiting_review", past="halted")
        assert f"Operation `{name}`: approved by `grace`" in await description(service, shown)
        async with httpx2.AsyncClient(base_url=service.stack.url, headers={"Accept": "text/html"}) as browser:
            await sign_in(browser, service.stack.token)
            assert f"The operation {name} was approved by grace" in unescape((await browser.get(f"/t/{task}")).text)
