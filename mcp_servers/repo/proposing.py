"""From a commit to a pull request: branch, push and publish, each safe to ask for twice."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.errors import Conflict, InvalidInput
from contracts.forge import Forge, PullRequest, PullRequestDraft
from contracts.policy import Policy
from contracts.workspace import OpenedWorkspace
from mcp_servers.object_store import Mirror, Mirrors, mirror_name
from mcp_servers.repo.gate import ChangeGate
from mcp_servers.repo.pushing import push_branch, refuse_foreign
from mcp_servers.repo.remotes import Credentials


@dataclass(frozen=True)
class Terms:
    """By what a change is judged before it goes out."""

    base: str = ""
    """The commit that the task started from; empty: what it shares with the base branch."""
    policy: Policy = field(default_factory=Policy)
    allowed: Sequence[str] = ()
    """Names of operations that a person allowed."""


class Proposals:
    """What leaves the service: pushes to the remote and pull requests at the forge."""

    def __init__(self, mirrors: Mirrors, forge: Forge, credentials: Credentials, gate: ChangeGate | None = None) -> None:
        self.gate = gate or ChangeGate()
        self._mirrors = mirrors
        self._forge = forge
        self._credentials = credentials

    async def publish(self, draft: PullRequestDraft, terms: Terms = Terms()) -> PullRequest:
        """Push the head branch, then open the pull request or bring the open one up to date.

        Raises what ``push_branch`` raises, ``GuardrailTripped`` for what the gates refuse, and ``InvalidInput`` when there is
        nothing to propose.
        """
        clean = {"title": self.gate.clean(draft.title), "body": self.gate.clean(draft.body)}
        draft = draft.model_copy(update=clean)
        commit = await asyncio.to_thread(self._push_draft, draft, terms)
        return await self._forge.publish(draft.model_copy(update={"head_commit": commit}))

    def _push_draft(self, draft: PullRequestDraft, terms: Terms) -> str:
        mirror = self._mirrors.open(mirror_name(draft.repo))
        commit = mirror.resolve(draft.head_commit)
        # People may have chosen a base that is newer than the mirror's last fetch.
        if mirror.target(f"refs/remotes/origin/{draft.base_branch}") == commit:
            raise InvalidInput(f"{commit[:12]} is {draft.base_branch} itself; there is nothing to propose.")
        base = terms.base or mirror.target(f"refs/remotes/origin/{draft.base_branch}")
        return push_branch(mirror, draft.repo, draft.head_branch, commit, protected=(draft.base_branch,),
                           credentials=self._credentials, gate=lambda wanted: self._hold(mirror, base, wanted, terms))

    def _hold(self, mirror: Mirror, base: str, commit: str, terms: Terms) -> None:
        shared = base and (mirror.merge_base(base, commit) if not mirror.contains(commit, base) else base)
        self.gate.hold(mirror, shared, commit, terms.policy, terms.allowed)

    def push(self, opened: OpenedWorkspace, branch: str, commit: str, expected: str, terms: Terms = Terms()) -> str:
        """Push a branch of a workspace; without ``commit`` what ``create_branch`` put there, else the newest commit."""
        mirror = self._mirrors.of(opened.workspace)
        wanted = commit or mirror.target(f"refs/heads/{branch}") or mirror.head(opened.workspace)
        base = terms.base or opened.base_commit
        return push_branch(mirror, opened.remote, branch, wanted, expected=expected, credentials=self._credentials,
                           protected=(opened.default_branch, opened.base_branch),
                           gate=lambda pushed: self._hold(mirror, base, pushed, terms))


def create_branch(mirror: Mirror, opened: OpenedWorkspace, name: str, commit: str) -> str:
    """A branch in the mirror, at a commit or the workspace's newest. Raises ``Conflict`` when it stands elsewhere."""
    refuse_foreign(name, (opened.default_branch, opened.base_branch))
    wanted = mirror.resolve(commit) if commit else mirror.head(opened.workspace)
    found = mirror.pin(f"refs/heads/{name}", wanted)
    if found != wanted:
        raise Conflict(f"The branch {name} exists already, at {found[:12]}; choose another name.")
    return wanted
