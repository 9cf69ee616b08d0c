"""The whole service on real parts, with a scripted model: for tests that drive its front door."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2

from contracts.plan import ChangePlan, PlannedEdit
from contracts.policy import Policy
from services import embedded
from services.scripted_model.script import ModelRequest, Script, Turn
from services.scripted_model.server import ScriptedModelServer, serve
from services.settings import IsolatedSettings, Settings

RESTING = {
    "awaiting_plan_approval",
    "awaiting_review",
    "paused",
    "halted",
    "ready_to_merge",
    "merged",
    "closed",
    "failed",
    "cancelled",
    "expired",
}
QUICK = {"proof_rounds": 1, "mutation_seconds": 0}
"""What most stories are not about; each round of a proof is a sandbox of its own."""
WRITE = re.compile(r"^write (\S+): (.*)$", re.MULTILINE)


def settings_for(folder: Path, base_url: str, **more: Any) -> Settings:
    """Settings that take nothing from the environment and only free ports; proofs are as short as the policy allows."""
    policy = Policy.model_validate({**QUICK, **more.pop("default_policy", {})})
    return IsolatedSettings(
        data_dir=folder,
        port=0,
        temporal_port=0,
        temporal_ui_port=0,
        token_person="ada",
        openai_base_url=base_url,
        default_policy=policy,
        **{"log_level": "error", "model_retries": 2, **more},
    )


class Service:
    """A running service as its users reach it."""

    def __init__(self, stack: embedded.Stack, http: httpx2.AsyncClient, model: ScriptedModelServer) -> None:
        self.stack, self.http, self.model = stack, http, model

    async def submit(self, repo: Path | str, title: str = "Mend it", **more: Any) -> str:
        """Post a task and return its id."""
        answer = await self.http.post("/tasks", json={"repo": str(repo), "title": title, **more})
        assert answer.status_code == 202, answer.text
        return answer.json()["id"]

    async def show(self, task: str) -> dict[str, Any]:
        """The task as the API shows it."""
        return (await self.http.get(f"/tasks/{task}")).json()

    async def until(self, task: str, *states: str, seconds: float = 90, past: str = "") -> dict[str, Any]:
        """Follow the task's events until it stands in one of the states; any other resting state but ``past`` is a failure."""
        after = 0
        async with asyncio.timeout(seconds):
            while True:
                shown = await self.show(task)
                if shown["state"] in states:
                    return shown
                if shown["state"] in RESTING and shown["state"] not in (
                    "awaiting_review",
                    "awaiting_plan_approval",
                    "paused",
                    past,
                ):
                    raise AssertionError(f"{shown['state']}: {shown['reason']}\n{await self.story(task)}")
                async with self.http.stream(
                    "GET", f"/tasks/{task}/events", headers={"accept": "text/event-stream", "last-event-id": str(after)}
                ) as events:
                    async for line in events.aiter_lines():
                        if line.startswith("id:"):
                            after = int(line[3:])
                        if line.startswith("event: state") or line.startswith("event:state") or "end" in line[:12]:
                            break

    async def events(self, task: str) -> list[dict[str, Any]]:
        """All events of a task."""
        found: list[dict[str, Any]] = []
        while True:
            page = (await self.http.get(f"/tasks/{task}/events", params={"after": found[-1]["seq"] if found else 0})).json()[
                "events"
            ]
            if not page:
                return found
            found += page

    async def story(self, task: str) -> str:
        """The event log as text."""
        return "\n".join(f"{e['kind']}: {e['text']}" for e in await self.events(task))

    async def review(self, task: str, verdict: str, body: str = "", **more: Any) -> None:
        """Send a review."""
        answer = await self.http.post(
            f"/tasks/{task}/signals/review", json={"verdict": verdict, "body": body, "reviewer": "ada", **more}
        )
        assert answer.status_code == 202, answer.text


@asynccontextmanager
async def running(
    folder: Path, script: Script, *, model: ScriptedModelServer | None = None, **more: Any
) -> AsyncIterator[Service]:
    """The service, up until the block ends; a second one on the same folder goes on where the first one stopped."""
    if model is None:
        async with serve(script) as made, running(folder, script, model=made, **more) as service:
            yield service
        return
    async with embedded.stack(settings_for(folder, model.base_url, **more), scripted=True) as stack:
        headers = {"authorization": f"Bearer {stack.token}"}
        async with httpx2.AsyncClient(base_url=stack.url, headers=headers, timeout=60) as http:
            yield Service(stack, http, model)


def remote(folder: Path, files: dict[str, str | bytes], branch: str = "main") -> Path:
    """A bare repository with one commit."""
    work, bare = folder / "work", folder / "remote.git"
    git(folder, "init", "-q", "-b", branch, str(work))
    for name, content in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    git(work, "add", "-A")
    git(work, "-c", "user.name=Ada", "-c", "user.email=ada@example.com", "commit", "-q", "--allow-empty", "-m", "Begin")
    git(folder, "clone", "-q", "--bare", str(work), str(bare))
    return bare


def git(folder: Path, *arguments: str) -> str:
    """git as a user of the repository runs it."""
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


class WritesFiles:
    """A script that does what the ticket says in lines of the form ``write PATH: TEXT``, and answers each thread."""

    def answer(self, request: ModelRequest) -> Turn:
        wanted = WRITE.findall(request.said)
        steps = getattr(self, request.agent)(request, wanted)
        return steps[min(request.turn, len(steps) - 1)]

    def planner(self, request: ModelRequest, wanted: list[tuple[str, str]]) -> list[Turn]:
        edits = tuple(PlannedEdit(path=path, intent=f"say {text}") for path, text in dict(wanted).items())
        return [Turn.call("list_files"), Turn.json(ChangePlan(goal="Write what the ticket says", edits=edits))]

    def coder(self, request: ModelRequest, wanted: list[tuple[str, str]]) -> list[Turn]:
        return [
            *(
                Turn.call("write_file", path=path, content=text.replace("\\n", "\n") + "\n")
                for path, text in dict(wanted).items()
            ),
            Turn(text="Wrote what the ticket says."),
        ]

    def fixer(self, request: ModelRequest, wanted: list[tuple[str, str]]) -> list[Turn]:
        threads = re.findall(r"^\[thread ([^\]]+)\]", request.said, re.MULTILINE)
        answers = [{"thread_id": thread, "body": "Done.", "addressed": True} for thread in threads]
        edits = (
            [Turn.call("write_file", path=path, content=text.replace("\\n", "\n") + "\n") for path, text in wanted[-1:]]
            if wanted
            else []
        )
        return [*edits, Turn(text=json.dumps({"summary": "Mended.", "answers": answers}))]
