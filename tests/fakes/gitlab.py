"""A GitLab: real git, its REST API as far as we use it, a project's token, people, CI, and faults."""

import base64
import hashlib
from pathlib import Path

from tests.fakes.forge_server import Asked, Refused, Told
from tests.fakes.gitlab_life import GitLabLife
from tests.fakes.gitlab_routes import ROUTES
from tests.fakes.gitlab_state import Discussion, Issue, Job, Merge, Note, Project

__all__ = ["Discussion", "FakeGitLab", "Issue", "Job", "Merge", "Note", "Project"]


class FakeGitLab(GitLabLife):
    """One host with any number of projects. What people do there are its methods, see ``LivingForge``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.one_reviewer = False
        """The free tier takes one."""

    def may_use_git(self, asked: Asked, repository: str, writes: bool) -> bool:
        shown = base64.b64decode(asked.headers.get("authorization", "Basic ").partition(" ")[2]).decode()
        return shown == f"oauth2:{self.token}"

    def git_login(self, asked: Asked) -> str:
        return self.login

    def answer(self, asked: Asked) -> Told:
        if asked.headers.get("private-token") != self.token:
            raise Refused(401, {"message": "401 Unauthorized"})
        found = ROUTES.find(asked, asked.raw_path.removeprefix("/api/v4"))
        if found is None or not asked.raw_path.startswith("/api/v4/"):
            raise Refused(404, {"error": "404 Not Found"})
        route, _, names = found
        if "project" in names:
            if names["project"] not in self.projects:
                raise Refused(404, {"message": "404 Project Not Found"})
            names["project"] = self.projects[names["project"]]  # type: ignore[assignment]
        if "iid" in names:
            kind, iid = ("ticket" if "/issues/" in asked.path else "merge"), int(names.pop("iid"))
            names[kind] = self._numbered(names["project"], kind, iid)  # type: ignore[arg-type, assignment]
        return self._conditional(asked, route(self, asked, **names))

    def _numbered(self, project: Project, kind: str, iid: int) -> Issue:
        known = project.merges if kind == "merge" else project.issues
        if iid not in known:
            raise Refused(404, {"message": "404 Not found"})
        return known[iid]

    def _conditional(self, asked: Asked, told: Told) -> Told:
        if asked.method == "GET" and told.status == 200 and self.etags:
            etag = f'W/"{hashlib.sha256(told.encoded()).hexdigest()[:32]}"'
            if asked.headers.get("if-none-match") == etag:
                return Told(304, headers={"ETag": etag})
            told.headers["ETag"] = etag
        return told
