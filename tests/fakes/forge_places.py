"""Places where a forge is tried: each with a real repository, a workspace, people, and what is really there in the end."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from contracts.forge import Forge, PullRequest, PullRequestDraft
from contracts.review import InlineComment, ReviewRequest, Verdict
from contracts.workspace import OpenedWorkspace
from mcp_servers.object_store import Mirrors, NewBlob
from mcp_servers.repo.github.app import PERMISSIONS, AppInstallation
from mcp_servers.repo.github.connection import Endpoint
from mcp_servers.repo.github.forge import GitHubForge
from mcp_servers.repo.gitlab.forge import GitLabForge
from mcp_servers.repo.local_forge import LocalForge
from mcp_servers.repo.opening import open_workspace
from mcp_servers.repo.proposing import Proposals
from mcp_servers.repo.remotes import Credentials, fetch, no_credentials
from tests.fakes.forge_server import FakeForge, ForgeServer
from tests.fakes.github import FakeGitHub
from tests.fakes.gitlab import FakeGitLab

REPOSITORY = "makers/thing"


def git(folder: Path, *arguments: str) -> str:
    names = ("GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL")
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **dict.fromkeys(names, "person")},
    )
    return done.stdout.strip()


def bare_repository(bare: Path, work: Path) -> None:
    """A bare repository with one commit on ``main``, that takes pushes over HTTP."""
    work.mkdir(parents=True)
    git(work, "init", "-q", "-b", "main")
    (work / "a.txt").write_text("one\ntwo\nthree\n")
    git(work, "add", ".")
    git(work, "commit", "-qm", "First")
    bare.parent.mkdir(parents=True, exist_ok=True)
    git(work, "clone", "-q", "--bare", str(work), str(bare))
    git(bare, "config", "http.receivepack", "true")


def push_to_main(bare: Path, folder: Path, files: dict[str, str | None], branch: str = "main") -> str:
    """A person's commit on the base branch; None deletes a file. Returns its id."""
    work = Path(tempfile.mkdtemp(dir=folder))
    git(folder, "clone", "-q", "-b", branch, str(bare), str(work))
    for name, content in files.items():
        path = work / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is None:
            path.unlink()
        else:
            path.write_text(content)
    git(work, "add", "-A")
    git(work, "commit", "-qm", "A person's")
    git(work, "push", "-q", "origin", "HEAD")
    return git(work, "rev-parse", "HEAD")


class Ending(dict[str, Any]):
    """What is really there, as the server itself has it."""


class Place(Protocol):
    """A forge with a repository, and people."""

    kind: str
    forge: Forge
    remote: str
    bare: Path

    def review(self, made: PullRequest, verdict: Verdict, body: str, *remarks: tuple[str, int, str]) -> Any: ...

    def ending(self, made: PullRequest) -> Ending: ...


class Workbench:
    """Commits and publishes as the service does, over real git."""

    def __init__(self, folder: Path, place: Place, credentials: Credentials = no_credentials) -> None:
        self.place = place
        self.mirrors = Mirrors(folder / "mirrors")
        self.credentials = credentials
        self.proposals = Proposals(self.mirrors, place.forge, credentials)
        self._opened: OpenedWorkspace | None = None

    @property
    def opened(self) -> OpenedWorkspace:
        if self._opened is None:
            self._opened = open_workspace(self.mirrors, self.place.remote, "main", "task", self.credentials)
        return self._opened

    def commit(self, content: str) -> str:
        mirror = self.mirrors.of(self.opened.workspace)
        return mirror.amend(self.opened.workspace, f"Write {len(content)}", lambda _: {"a.txt": NewBlob(content.encode())})

    def fetch(self) -> None:
        """Bring the mirror up to date, as whoever looks at the base branch does."""
        fetch(self.mirrors.of(self.opened.workspace), self.place.remote, self.credentials)

    def draft(self, commit: str, **changes: Any) -> PullRequestDraft:
        facts = {"title": "Say more", "body": "It says more now.", "head_branch": "patchwright/more", "task_id": "pw-1"} | changes
        return PullRequestDraft(repo=self.place.remote, base_branch="main", head_commit=commit, **facts)

    async def publish(self, commit: str, **changes: Any) -> PullRequest:
        return await self.proposals.publish(self.draft(commit, **changes))


class LocalPlace:
    kind = "local"

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "remote.git"
        bare_repository(self.bare, folder / "work")
        self.remote = str(self.bare)
        self.forge = LocalForge(folder / "forge.sqlite", Mirrors(folder / "mirrors"), base_url="http://localhost:8000")

    async def review(self, made: PullRequest, verdict: Verdict, body: str, *remarks: tuple[str, int, str]) -> None:
        comments = tuple(InlineComment(path=path, line=line, body=text) for path, line, text in remarks)
        await self.forge.submit_review(made.id, ReviewRequest(verdict=verdict, body=body, comments=comments, reviewer="ada"))

    async def ending(self, made: PullRequest) -> Ending:
        now, threads = await self.forge.get(made.id), await self.forge.threads(made.id)
        return Ending(
            pulls=len(await self.forge.list()),
            branch=git(self.bare, "rev-parse", f"refs/heads/{now.head_branch}"),
            draft=now.draft,
            labels=sorted(now.labels),
            reviewers=sorted(now.reviewers),
            comments=sorted((await self.forge.comments(made.id)).values()),
            checks=sorted((one.commit, one.state.value) for one in (await self.forge.shown_checks(made.id)).values()),
            answers=[len(thread.messages) - 1 for thread in threads],
            resolved=[thread.resolved for thread in threads],
        )


def app_key() -> tuple[str, str]:
    """A fresh RSA key: private and public, as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


PRIVATE_KEY, PUBLIC_KEY = app_key()


class GitHubPlace:
    kind = "github"

    def __init__(self, folder: Path, server: FakeGitHub) -> None:
        self.server = server
        self.path = REPOSITORY
        self.repository = server.add_repository(REPOSITORY)
        self.bare = self.repository.bare
        bare_repository(self.bare, folder / "work")
        server.app_key, server.app_permissions = PUBLIC_KEY, {name: needed.level for name, needed in PERMISSIONS.items()}
        self.remote = f"{server.url}/{REPOSITORY}.git"
        self.endpoint = Endpoint(server.url)
        self.host = server.url.partition("://")[2]
        self.forge = self.forge_with(AppInstallation(self.endpoint, "7", lambda: PRIVATE_KEY))

    def forge_with(self, credential: Any) -> GitHubForge:
        return GitHubForge(self.host, self.endpoint, credential, seconds_between_writes=0, clone_url=self.server.url)

    async def review(self, made: PullRequest, verdict: Verdict, body: str, *remarks: tuple[str, int, str]) -> None:
        state = {Verdict.APPROVE: "APPROVED", Verdict.REQUEST_CHANGES: "CHANGES_REQUESTED", Verdict.COMMENT: "COMMENTED"}
        self.server.review(REPOSITORY, made.number, "ada", state[verdict], body, remarks)

    async def ending(self, made: PullRequest) -> Ending:
        pull = self.repository.pulls[made.number]
        ours = f"{self.server.app_slug}[bot]"
        said = [one.body for one in pull.comments if one.author == ours]
        beside = [body for body in said if "patchwright:thread" in body]
        runs = {
            (run.sha, {"success": "passed", "failure": "failed", None: "running"}.get(run.conclusion, "neutral")): run
            for run in self.repository.runs.values()
            if run.app == self.server.app_slug
        }
        return Ending(
            pulls=len(self.repository.pulls),
            branch=self.repository.sha(pull.head),
            draft=pull.draft,
            labels=sorted(pull.labels),
            reviewers=sorted(pull.reviewers),
            comments=sorted(body.partition("\n\n<!--")[0] for body in said if body not in beside),
            checks=sorted(runs),
            answers=[len(beside), *(sum(one.author == ours for one in thread.comments) for thread in pull.threads)],
            resolved=["patchwright:addressed" in body for body in beside] + [thread.resolved for thread in pull.threads],
        )


@contextmanager
def github_place(folder: Path) -> Iterator[GitHubPlace]:
    """A GitHub with one repository and our App installed for it."""
    with ForgeServer(FakeGitHub(folder / "github")) as server:
        assert isinstance(server, FakeGitHub)
        yield GitHubPlace(folder, server)


class GitLabPlace:
    kind = "gitlab"

    def __init__(self, folder: Path, server: FakeGitLab) -> None:
        self.server = server
        self.path = f"group/{REPOSITORY}"
        self.project = server.add_project(self.path)
        self.bare = self.project.bare
        bare_repository(self.bare, folder / "work")
        self.remote = f"{server.url}/{self.project.path}.git"
        self.host = server.url.partition("://")[2]
        self.forge = GitLabForge(self.host, server.url, lambda: server.token, seconds_between_writes=0)

    async def review(self, made: PullRequest, verdict: Verdict, body: str, *remarks: tuple[str, int, str]) -> None:
        for path, line, text in remarks:
            self.server.remark(self.project, made.number, "ada", text, path, line)
        if body:
            self.server.note(self.project, made.number, "ada", body)
        if verdict is not Verdict.COMMENT:
            self.server.judge(self.project, made.number, "ada", approves=verdict is Verdict.APPROVE)

    async def ending(self, made: PullRequest) -> Ending:
        merge = self.project.merges[made.number]
        ours = self.server.login
        said = [one.notes[0].body for one in merge.discussions if one.notes[0].author == ours]
        asked = [one for one in merge.discussions if one.notes[0].author != ours and not one.notes[0].system]
        states = {"success": "passed", "failed": "failed"}
        return Ending(
            pulls=len(self.project.merges),
            branch=self.project.sha(merge.source),
            draft=merge.title.startswith("Draft: "),
            labels=sorted(merge.labels),
            reviewers=sorted(merge.reviewers),
            comments=sorted(body.partition("\n\n<!--")[0] for body in said),
            checks=sorted((one.sha, states.get(one.status, one.status)) for one in self.project.latest("Patchwright")),
            answers=[sum(note.author == ours for note in one.notes) for one in asked],
            resolved=[one.resolved for one in asked],
        )


@contextmanager
def gitlab_place(folder: Path) -> Iterator[GitLabPlace]:
    """A GitLab with one project in a subgroup, and a project's token."""
    with ForgeServer(FakeGitLab(folder / "gitlab")) as server:
        assert isinstance(server, FakeGitLab)
        yield GitLabPlace(folder, server)


PLACES = {"github": github_place, "gitlab": gitlab_place}
"""Those on a host, by kind."""


def server_of(place: Any) -> FakeForge | None:
    """The server behind a place; None for the local forge."""
    return getattr(place, "server", None)
