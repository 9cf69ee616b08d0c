"""GitLab as a forge."""

from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

from contracts.redaction import NOTHING_HELD, Redactor
from mcp_servers.repo.git_access import git_access
from mcp_servers.repo.gitlab.connection import GitLabConnection
from mcp_servers.repo.gitlab.project import GitLabProject
from mcp_servers.repo.host_forge import HostForge
from mcp_servers.repo.hosted import HostedRepository, hosted_repository
from mcp_servers.repo.pace import Paces
from mcp_servers.repo.proxies import Proxy, no_proxy

ROLE = "Developer"
SCOPES = {
    "api": "merge requests, notes, discussions, labels, commit statuses, jobs, their logs and reruns, pipelines that never began",
    "write_repository": "fetch the repository, push the task's branch",
}
"""What a project's token must have, each with its reason."""


class GitLabForge(HostForge):
    """The projects of one GitLab host, by one token."""

    kind = "gitlab"

    def __init__(
        self,
        host: str,
        url: str,
        token: Callable[[], str],
        *,
        verify: bool | str = True,
        seconds_between_writes: float = 0.2,
        proxy: Proxy = no_proxy,
        paces: Paces | None = None,
        renew: Callable[[], bool] = bool,
        clean: Redactor = NOTHING_HELD,
    ) -> None:
        """``renew``: forget a token that was refused, and whether the next may be another."""
        super().__init__(host)
        self._url, self._token, self._verify = url.rstrip("/"), token, verify
        self._proxy, self._renew, self._clean = proxy, renew, clean
        self._pace = (paces or Paces()).of(host, seconds_between_writes)

    def repository(self, place: HostedRepository) -> GitLabProject:
        """A project of this host."""
        connection = GitLabConnection(
            self._url, place.path, self._token, self._pace, verify=self._verify, proxy=self._proxy, renew=self._renew,
            clean=self._clean,
        )
        return GitLabProject(place, connection, f"{self._url}/{place.path}.git")

    def git_access(self, remote: str) -> Mapping[str, str]:
        """What git needs in its environment to fetch from and push to a project here."""
        meant = hosted_repository(remote)
        # A token for TLS never goes out without it.
        if meant is None or meant.host != self.host or not remote.startswith(f"{urlsplit(self._url).scheme}:"):
            return {}
        return git_access(self._url, "oauth2", self._token(), self._verify, self._proxy())
