"""The whole service before a foreign model: submit a ticket, play its part, and see where the task comes to rest."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

from services import embedded
from tests.fakes.foreign_model import ForeignModel, Habits, Part, foreign_model
from tests.fakes.stack import RESTING, Service, git, settings_for


@dataclass(frozen=True)
class Played:
    """One ticket after its part was played."""

    service: "ForeignService"
    title: str
    task: str
    repo: Path
    shown: dict[str, Any]

    @property
    def state(self) -> str:
        """Where the task stands."""
        return self.shown["state"]

    @property
    def reason(self) -> str:
        """Why, as people read it."""
        return self.shown["reason"]

    @property
    def branch(self) -> str:
        """The head branch of its pull request."""
        return f"patchwright/{self.task}"

    @property
    def outputs(self) -> list[str]:
        """What its tool calls came back with."""
        return self.service.model.outputs(self.title)

    def output(self, *parts: str) -> str:
        """The first output that holds all of these texts."""
        found = next((text for text in self.outputs if all(part in text for part in parts)), None)
        assert found is not None, f"No output holds {parts}. There are:\n" + "\n---\n".join(text[:400] for text in self.outputs)
        return found

    def file(self, path: str) -> bytes:
        """A file as the pull request has it."""
        return self.git_bytes("show", f"{self.branch}:{path}")

    def changed(self, base: str = "main") -> set[str]:
        """Status and path of everything the pull request changes."""
        told = self.git_bytes("diff", "--no-renames", "--name-status", "-z", f"{base}...{self.branch}").decode(
            "utf-8", "surrogateescape"
        )
        words = told.split("\0")[:-1]
        return {f"{status} {path}" for status, path in zip(words[::2], words[1::2], strict=True)}

    def git_bytes(self, *arguments: str) -> bytes:
        """git's answer from the remote."""
        return git_bytes(self.repo, *arguments)

    async def pull_request(self) -> dict[str, Any]:
        """The pull request as ``GET /prs/{id}`` shows it."""
        number = self.shown["pull_request"]["id"]
        return (await self.service.http.get(f"/prs/{number}", headers={"accept": "application/json"})).json()


class ForeignService(Service):
    """A running service whose model is somebody else's."""

    model: ForeignModel  # type: ignore[assignment]

    async def play(
        self, title: str, repo: Path, part: Part, *, at: str = "", review: bool = False, seconds: float = 60, **more: Any
    ) -> Played:
        """Submit a ticket and follow it to its rest; with ``review`` through one request for changes and an approval."""
        self.model.parts[title] = part
        task = await self.submit(at or repo, title, **{"source": {"system": "tests", "key": title}, **more})
        shown = await self.rest(task, seconds)
        if review:
            assert shown["state"] == "awaiting_review", f"{shown['state']}: {shown['reason']}"
            for verdict, state in (("request_changes", "awaiting_review"), ("approve", "ready_to_merge")):
                before = await self._states(task)
                await self.review(task, verdict, "Please mend it.")
                shown = await self.rest(task, seconds, before)
                assert shown["state"] == state, f"{shown['state']}: {shown['reason']}\n{await self.story(task)}"
        return Played(self, title, task, repo, shown)

    async def rest(self, task: str, seconds: float, past: int = 0) -> dict[str, Any]:
        """The task at rest, after more than ``past`` changes of its state. Fails with its story when it goes on for too long."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    shown = await self.show(task)
                    if shown["state"] in RESTING and await self._states(task) > past:
                        again = await self.show(task)
                        if again["state"] in RESTING:
                            return again
                    await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"The task did not come to rest within {seconds} s:\n{await self.story(task)}") from None

    async def _states(self, task: str) -> int:
        return sum(event["kind"] == "state" for event in await self.events(task))


@asynccontextmanager
async def foreign_service(folder: Path, habits: Habits | None = None, **more: Any) -> AsyncIterator[ForeignService]:
    """The service, up until the block ends."""
    async with foreign_model(habits) as model, embedded.stack(settings_for(folder, model.base_url, **more)) as stack:
        headers = {"authorization": f"Bearer {stack.token}"}
        async with httpx2.AsyncClient(base_url=stack.url, headers=headers, timeout=60) as http:
            yield ForeignService(stack, http, model)  # type: ignore[arg-type]


@asynccontextmanager
async def in_a_task_of_its_own(folder: Path) -> AsyncIterator[ForeignService]:
    """The same for a fixture of many tests: pytest ends a fixture in another task, which MCP refuses."""
    ready: asyncio.Future[ForeignService] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()

    async def run() -> None:
        async with foreign_service(folder) as service:
            ready.set_result(service)
            await stop.wait()

    running = asyncio.create_task(run())
    await asyncio.wait({running, ready}, return_when=asyncio.FIRST_COMPLETED)
    if running.done():
        await running
    try:
        yield await ready
    finally:
        stop.set()
        await running


def git_bytes(folder: Path, *arguments: str) -> bytes:
    """git's answer as bytes: not every repository is UTF-8."""
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True).stdout


def untouched(repo: Path) -> bool:
    """Whether the remote has nothing but its own branch."""
    return git(repo, "for-each-ref", "--format=%(refname)") == "refs/heads/main"


def patch(*lines: str) -> str:
    """A patch in the form of ``docs/tools.md``."""
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"])
