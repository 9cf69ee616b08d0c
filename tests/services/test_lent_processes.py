"""With a process for each role: the forge's token and the model's key are lent, and a ticket becomes a request all the same."""

import asyncio
import json
import os
import signal
from pathlib import Path

import httpx2
import pytest

from mcp_servers.secrets.audit import entries
from services.role_secrets import LENDER
from services.scripted_model.server import serve
from services.supervisor import supervised
from tests.fakes.forge_stories import WANTED, gitlab_stage
from tests.fakes.stack import Service, WritesFiles, settings_for

pytestmark = pytest.mark.slow
KEY = "sk-lent-0123456789abcdefghijklmnopqrstuv"


async def test_a_ticket_becomes_a_request_with_lent_secrets_and_a_lender_that_died_in_between(tmp_path: Path) -> None:
    with gitlab_stage(tmp_path / "forge") as stage:
        given = stage.settings(tmp_path / "settings")
        [(host, access)] = given["forges"].items()
        token, key = Path(access.pop("token_file")), tmp_path / "model-key"
        key.write_text(KEY)
        for file in (token, key):
            file.chmod(0o600)
        given["forges"] = {host: {**access, "token_secret": "forge"}}
        given["secrets"] = {
            "forge": {"file": str(token), "holders": [{"who": "repo", "purposes": ["forge"], "seconds": 1}]},
            "model": {"file": str(key), "holders": [{"who": "ledger", "purposes": ["model"], "seconds": 1}]},
        }
        async with serve(WritesFiles()) as model:
            given["providers"] = {"default": {"base_url": model.base_url, "api_key_secret": "model"}}
            settings = settings_for(tmp_path / "data", model.base_url, **given)
            async with (
                supervised(settings, scripted=True) as stack,
                httpx2.AsyncClient(base_url=stack.url, headers={"authorization": f"Bearer {stack.token}"}, timeout=60) as http,
            ):
                roles = json.loads(settings.processes_file.read_text())["roles"]
                os.kill(roles[LENDER]["pid"], signal.SIGKILL)
                service = Service(stack, http, model)
                task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
                async with asyncio.timeout(120):
                    while not stage.opened:
                        await asyncio.sleep(0.1)
                shown = json.dumps(await service.events(task))
    lines = entries(settings.secrets_audit_file)
    assert {(line.who, line.name) for line in lines if line.verdict == "handed out"} == {("repo", "forge"), ("ledger", "model")}
    assert {line.verdict for line in lines} == {"handed out"} and len(lines) > 2
    written = settings.secrets_audit_file.read_text() + shown
    assert KEY not in written and token.read_text().strip() not in written
