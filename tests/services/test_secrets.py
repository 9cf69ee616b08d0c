"""A planted key is nowhere but on the wire to the model: not in logs, events, artifacts, histories or pull requests."""

from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse
from temporalio.client import Client

from contracts.task import TaskState
from services.scripted_model.script import Call, ModelRequest, Turn
from services.scripted_model.server import serve
from services.worker import connect
from tests.fakes.stack import WritesFiles, git, remote, running

KEY = "planted-key-5f0c1d2e3b4a59687766"
TOKEN = "planted-token-98fedcba76543210"
pytestmark = pytest.mark.slow


class Curious(WritesFiles):
    """A model that looks for keys where an agent can look."""

    def coder(self, request: ModelRequest, wanted: list[tuple[str, str]]) -> list[Turn]:
        look = Turn(
            calls=(Call("run_command", {"command": "env; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n'; ls -la / /tmp"}),)
        )
        return [look, *super().coder(request, wanted)]


def everything_below(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


async def test_a_planted_key_and_token_stay_where_they_belong(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bare, data = remote(tmp_path, {"README.md": "# calc\n"}), tmp_path / "data"
    hook = bare / "hooks" / "pre-receive"
    hook.write_text(f"#!/bin/sh\nenv > {tmp_path / 'hook-saw'}\n")
    hook.chmod(0o755)
    refused = 0

    async with serve(Curious()) as model:
        route = next(route for route in model.config.app.router.routes if route.path == "/v1/responses")
        answer = route.app

        async def echoes(scope, receive, send) -> None:
            """A gateway that is not well made: its first refusal repeats the credential it was sent."""
            nonlocal refused
            if refused == 0:
                refused += 1
                sent = Request(scope).headers["authorization"]
                error = {
                    "error": {"message": f"Incorrect API key provided: {sent}", "type": "invalid_request_error", "code": "bad"}
                }
                await JSONResponse(error, status_code=401, headers={"x-echo": sent})(scope, receive, send)
                return
            await answer(scope, receive, send)

        route.app = echoes
        more = {"openai_api_key": KEY, "token": TOKEN, "model_api": "responses", "log_level": "debug"}
        async with running(data, Curious(), model=model, **more) as service:
            task = await service.submit(bare, "Notes", description="write notes.md: hi")
            halted = await service.until(task, "halted")
            assert "Incorrect API key" in halted["reason"]
            assert KEY not in halted["reason"]
            await service.http.post(f"/tasks/{task}/signals/resume", json={})
            shown = await service.until(task, "awaiting_review", past="halted")
            pages = [
                (await service.http.get(path)).text
                for path in (
                    f"/tasks/{task}",
                    f"/tasks/{task}/events",
                    f"/prs/{shown['pull_request']['id']}",
                    "/openapi.json",
                    "/",
                )
            ]
            client: Client = await connect(service.stack.temporal_address, "default")
            history = (await client.get_workflow_handle(task).fetch_history()).to_json()
    assert refused == 1
    captured = capfd.readouterr()
    kept = everything_below(data)
    seen = {
        "stdout": captured.out.encode(),
        "stderr": captured.err.encode(),
        "history": history.encode(),
        "hook": (tmp_path / "hook-saw").read_bytes(),
        **{f"page {n}": text.encode() for n, text in enumerate(pages)},
        **kept,
    }
    assert len(kept) > 20
    for secret in (KEY, TOKEN):
        assert [name for name, content in seen.items() if secret.encode() in content] == []
    assert shown["state"] == TaskState.AWAITING_REVIEW
    assert KEY not in git(bare, "log", "--all", "-p")
