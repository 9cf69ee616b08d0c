"""From a commit to a pull request: branch, push and publish, each safe to ask for twice."""

import asyncio

from contracts.errors import Conflict, InvalidInput
from contracts.forge import Forge, PullRequest, PullRequestDraft
from contracts.workspace import OpenedWorkspace
from mcp_servers.object_store import Mirror, Mirrors, mirror_name
from mcp_servers.repo.pushing import push_branch, refuse_foreign
from mcp_servers.repo.remotes import Credentials


class Proposals:
    """What leaves the service: pushes to the remote and pull requests at the forge."""

    def __init__(self, mirrors: Mirrors, forge: Forge, credentials: Credentials) -> None:
        self._mirrors = mirrors
        self._forge = forge
        self._credentials = credentials

    async def publish(self, draft: PullRequestDraft) -> PullRequest:
        """Push the head branch, then open the pull request or bring the open one up to date.

        Raises what ``push_branch`` raises, and ``InvalidInput`` when there is nothing to propose.
        """
        commit = await asyncio.to_thread(self._push_draft, draft)
        return await self._forge.publish(draft.model_copy(update={"head_commit": commit}))

    def _push_draft(self, draft: PullRequestDraft) -> str:
        mirror = self._mirrors.open(mirror_name(draft.repo))
        commit = mirror.resolve(draft.head_commit)
        # People may have chosen a base that is newer than the mirror's last fetch.
        if mirror.target(f"refs/remotes/origin/{draft.base_branch}") == commit:
            raise InvalidInput(f"{commit[:12]} is {draft.base_branch} itself; there is nothing to propose.")
        return push_branch(mirror, draft.repo, draft.head_branch, commit, protected=(draft.base_branch,),
                           credentials=self._credentials)

    def push(self, opened: OpenedWorkspace, branch: str, commit: str, expected: str) -> str:
        """Push a branch of a workspace; without ``commit`` what ``create_branch`` put there, else the newest commit."""
        mirror = self._mirrors.of(opened.workspace)
        wanted = commit or mirror.target(f"refs/heads/{branch}") or mirror.head(opened.workspace)
        return push_branch(mirror, opened.remote, branch, wanted, expected=expected, credentials=self._credentials,
                           protected=(opened.default_branch, opened.base_branch))


def create_branch(mirror: Mirror, opened: OpenedWorkspace, name: str, commit: str) -> str:
    """A branch in the mirror, at a commit or the workspace's newest. Raises ``Conflict`` when it stands elsewhere."""
    refuse_foreign(name, (opened.default_branch, opened.base_branch))
    wanted = mirror.resolve(commit) if commit else mirror.head(opened.workspace)
    found = mirror.pin(f"refs/heads/{name}", wanted)
    if found != wanted:
        raise Conflict(f"The branch {name} exists already, at {found[:12]}; choose another name.")
    return wanted
