"""What a policy does to whole tasks: everything real but the model."""

import re
from pathlib import Path

import pytest

from contracts.audit import AuditEntry, broken_link
from tests.fakes.stack import Service, WritesFiles, git, remote, running

pytestmark = pytest.mark.slow
FILES = {"a.py": "A = 1\n", "tests/test_a.py": "import unittest\n"}


async def audit_of(service: Service, task: str) -> list[AuditEntry]:
    told = (await service.http.get(f"/tasks/{task}/audit")).json()
    assert told["whole"], told["problem"]
    return [AuditEntry.model_validate(entry) for entry in told["entries"]]


async def test_a_pull_request_names_the_policy_and_the_audit_entry_it_was_published_under(tmp_path: Path) -> None:
    async with running(tmp_path / "data", WritesFiles()) as service:
        task = await service.submit(remote(tmp_path, FILES), description="write notes.md: hi")
        shown = await service.until(task, "awaiting_review")
        pull = (await service.http.get(f"/prs/{shown['pull_request']['id']}", headers={"accept": "application/json"})).json()
        entries = await audit_of(service, task)
        published = next(entry for entry in entries if entry.rule == "code.publishing_steps")
        named = re.search(r"policy `([0-9a-f]{64})`, audit log up to `([0-9a-f]{64})`", pull["description"])
        assert named is not None and published.allowed
        assert named.groups() == (published.policy_sha256, published.sha256)
        assert broken_link(entries, named[2]) == ""
        events = (await service.http.get(f"/tasks/{task}/events")).json()["events"]
        assert published.policy_sha256 in [event["data"].get("policy_sha256") for event in events]


async def test_a_repository_that_allows_analysis_only_gets_a_plan_and_nothing_else(tmp_path: Path) -> None:
    bare = remote(tmp_path, FILES | {".patchwright.yaml": "policy: {modes: {analysis_only: true}}\n"})
    async with running(tmp_path / "data", WritesFiles()) as service:
        task = await service.submit(bare, description="write notes.md: hi", policy={"modes": {"analysis_only": False}})
        shown = await service.until(task, "halted")
        assert "analysis only" in shown["reason"] and shown["plan"]["sha256"]
        assert [entry.rule for entry in await audit_of(service, task) if not entry.allowed] == ["modes.analysis_only"]
    assert git(bare, "branch", "--list", "patchwright/*") == ""
