"""A forge as the stage of a whole story: a project with a defect, people, CI, webhooks, and what is there in the end."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from contracts.forge import PullRequest
from tests.fakes.forge_life import LivingForge
from tests.fakes.forge_places import PRIVATE_KEY, REPOSITORY, GitHubPlace, GitLabPlace, github_place, gitlab_place
from tests.fakes.forge_server import Asked
from tests.fakes.scripted_ci import CiCommit, Outcome
from tests.fakes.stack import Service, WritesFiles, running

FILES = {
    "calc.py": "def add(a, b):\n    return a - b\n",
    "tests/test_calc.py": "import unittest\n\nfrom calc import add\n\n\nclass Add(unittest.TestCase):\n"
    "    def test_zero(self):\n        self.assertEqual(add(1, 0), 1)\n",
    "README.md": "# calc\n",
}
WANTED = (
    "write tests/test_calc.py: import unittest\\n\\nfrom calc import add\\n\\n\\nclass Add(unittest.TestCase):\\n"
    "    def test_zero(self):\\n        self.assertEqual(add(1, 0), 1)\\n\\n"
    "    def test_two(self):\\n        self.assertEqual(add(1, 1), 2)\n"
    "write calc.py: def add(a, b):\\n    return a + b"
)
QUICK = {"review_quiet_seconds": 0.3, "ci_start_minutes": 0.2}
SECRETS = {"github": "a secret of ours", "gitlab": "whsec_" + base64.b64encode(b"k" * 32).decode()}


def judged(commit: CiCommit) -> Outcome:
    """CI of the project."""
    good = "a + b" in commit.file("calc.py")
    return Outcome(good, "add(1, 1) is 2\n" if good else "Traceback: add(1, 1) is 0\n1 failed\n")


class Stage:
    """One forge with one project; the pull request is the newest there."""

    def __init__(self, place: GitHubPlace | GitLabPlace) -> None:
        self._place = place
        self.kind, self.remote, self.secret = place.kind, place.remote, SECRETS[place.kind]
        self.server: Any = place.server
        self.forge: LivingForge = self.server
        self.repo = REPOSITORY if place.kind == "github" else f"group/{REPOSITORY}"
        self.repository: Any = place.repository if isinstance(place, GitHubPlace) else place.project
        self.forge.permit(self.repo, "ada", "write")
        self.forge.push(self.repo, "main", "ada", FILES)
        self.forge.ci.check("adds", judged)

    def settings(self, folder: Path) -> dict[str, Any]:
        """What the service is configured with; secrets are files in ``folder``."""
        folder.mkdir(exist_ok=True)
        credential, hook = folder / "credential", folder / "hook"
        credential.write_text(PRIVATE_KEY if self.kind == "github" else self.server.token)
        hook.write_text(self.secret)
        access = {"app_id": "7", "app_key_file": str(credential)} if self.kind == "github" else {"token_file": str(credential)}
        forge = {"kind": self.kind, "api_url": self.server.url, "seconds_between_writes": 0, **access}
        return {
            "forges": {self._place.host: forge},
            "webhooks": {self.kind: {"secrets": [{"file": str(hook)}]}},
            "default_policy": QUICK,
        }

    # -- the pull request --------------------------------------------------------------------------------------

    @property
    def _pulls(self) -> dict[int, Any]:
        return self.repository.pulls if self.kind == "github" else self.repository.merges

    @property
    def opened(self) -> bool:
        return bool(self._pulls)

    @property
    def number(self) -> int:
        return max(self._pulls)

    @property
    def _pull(self) -> Any:
        return self._pulls[self.number]

    @property
    def draft(self) -> bool:
        return self._pull.draft

    @property
    def branch(self) -> str:
        return self._pull.head if self.kind == "github" else self._pull.source

    def file(self, path: str) -> str:
        """A file at the head; its last line ends."""
        return self.repository.file(self.repository.sha(self.branch), path)

    def contains(self, commit: str) -> bool:
        """Whether the head was built upon a commit."""
        return not self.repository.commits(self.branch, commit)

    @property
    def base(self) -> str:
        return self.repository.sha("main")

    @property
    def branches(self) -> set[str]:
        """Every branch but the default one."""
        return set(self.repository.heads()) - {"main"}

    async def ending(self) -> dict[str, Any]:
        """What is there, as the server itself has it."""
        made = PullRequest.model_construct(number=self.number)
        return {**await self._place.ending(made), "branches": len(self.branches)}

    def update_branch(self, person: str, **more: str) -> str:
        """A person presses the forge's button that merges the base branch; with ``more`` files, by hand and with more in it."""
        before, branch = self.repository.sha(self.branch), self.branch
        after = self.repository.merge(branch, self.base, person, f"Merge main into {branch}")
        self.server.moved(self.repo, person, branch, before, after)
        return self.forge.push(self.repo, branch, person, more) if more else after

    @property
    def said(self) -> list[str]:
        """What we said beside the lines of the pull request."""
        if self.kind == "github":
            return [one.body for one in self._pull.comments if one.author == f"{self.server.app_slug}[bot]"]
        return [note.body for note in self._pull.notes if note.author == self.server.login]

    def ticket_comments(self, number: int) -> list[str]:
        """What we said below a ticket."""
        issue = self.repository.issues[number]
        if self.kind == "github":
            return [one.body for one in issue.comments if one.author == f"{self.server.app_slug}[bot]"]
        return [note.body for note in issue.notes if note.author == self.server.login]

    def write_kind(self, asked: Asked) -> str:
        """Which sort of write a request is, whatever it is about."""
        if asked.path.endswith("graphql"):
            return re.sub(r"\W+", " ", str(asked.json["query"])).split()[1]
        return f"{asked.method} {re.sub(r'[0-9a-f]{16,}|[0-9]+', 'N', asked.path)}"


@contextmanager
def github_stage(folder: Path) -> Iterator[Stage]:
    """A story on GitHub."""
    with github_place(folder) as place:
        yield Stage(place)


@contextmanager
def gitlab_stage(folder: Path) -> Iterator[Stage]:
    """A story on GitLab."""
    with gitlab_place(folder) as place:
        yield Stage(place)


STAGES = {"github": github_stage, "gitlab": gitlab_stage}


@asynccontextmanager
async def serving(stage: Stage, folder: Path, script: WritesFiles | None = None, **more: Any) -> AsyncIterator[Service]:
    """The service, with the stage's forge configured; its webhooks arrive."""
    async with running(folder / "data", script or WritesFiles(), **stage.settings(folder), **more) as service:
        stage.forge.webhooks.to(f"{service.stack.url}/webhooks/{stage.kind}", stage.secret)
        try:
            yield service
        except BaseException:
            for task in (await service.http.get("/tasks")).json()["tasks"]:
                print(await service.story(task["id"]))
            raise


async def until(holds: Callable[[], bool], seconds: float = 120) -> None:
    """Wait for something that the forge alone knows."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.05)
