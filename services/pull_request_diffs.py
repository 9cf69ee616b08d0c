"""The diff of a pull request, from the service's own mirror."""

import asyncio

from contracts.forge import PullRequest
from mcp_servers.object_store import Mirror, Mirrors, mirror_name


class MirrorDiffs:
    """Keeps the API's ``DiffSource`` promise."""

    def __init__(self, mirrors: Mirrors) -> None:
        self._mirrors = mirrors

    async def diff(self, pull_request: PullRequest) -> str:
        """The unified diff from base to head, as git prints it. Raises ``NotFound`` when the mirror is gone."""
        return await asyncio.to_thread(self._diff, pull_request)

    def _diff(self, pull_request: PullRequest) -> str:
        mirror: Mirror = self._mirrors.open(mirror_name(pull_request.repo))
        return mirror.diff(pull_request.base_commit, pull_request.head_commit)
