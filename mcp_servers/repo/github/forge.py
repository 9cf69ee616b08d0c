"""GitHub as a forge."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from contracts.errors import InvalidInput
from mcp_servers.repo.git_access import git_access
from mcp_servers.repo.github.app import Credential
from mcp_servers.repo.github.connection import Endpoint, GitHubConnection
from mcp_servers.repo.github.repository import GitHubRepository
from mcp_servers.repo.host_forge import HostForge
from mcp_servers.repo.hosted import HostedRepository, hosted_repository
from mcp_servers.repo.pace import Pace, Paces


class GitHubForge(HostForge):
    """The repositories of one GitHub host, by one App or token."""

    kind = "github"

    def __init__(
        self,
        host: str,
        endpoint: Endpoint,
        credential: Credential,
        seconds_between_writes: float = 1.0,
        clone_url: str = "",
        paces: Paces | None = None,
    ) -> None:
        super().__init__(host)
        self._endpoint = endpoint
        self.credential = credential
        # The API and git speak the same scheme: a token for TLS never goes out without it.
        self._clone_url = clone_url or f"{urlsplit(endpoint.api_url).scheme}://{host}"
        self._paces, self._between = paces or Paces(), seconds_between_writes

    def repository(self, place: HostedRepository) -> GitHubRepository:
        """A repository of this host. Raises ``InvalidInput`` for a path that is not ``owner/name``."""
        if place.path.count("/") != 1:
            raise InvalidInput(f"{place.path} is no repository of {self.host}; it should look like OWNER/NAME.")
        connection = GitHubConnection(self._endpoint, place.path, self.credential, self._pace(place))
        return GitHubRepository(place, connection, self.credential, f"{self._clone_url}/{place.path}.git")

    def git_access(self, remote: str) -> Mapping[str, str]:
        """What git needs in its environment to fetch from and push to a repository here. Blocks."""
        meant = hosted_repository(remote)
        if meant is None or meant.host != self.host or not remote.startswith(f"{urlsplit(self._clone_url).scheme}:"):
            return {}
        token = self.credential.token(meant.path)
        return git_access(self._clone_url, "x-access-token", token, self._endpoint.verify, self._endpoint.proxy())

    def _pace(self, meant: HostedRepository) -> Pace:
        """An App is limited where it is installed, at an owner; a person's token wherever it is used."""
        name = f"{self.host}/{meant.owner}" if self.credential.is_app else self.host
        return self._paces.of(name, self._between)
