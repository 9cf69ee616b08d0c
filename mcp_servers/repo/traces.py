"""What tasks left outside of the run store: looked at after a restore, when the two may be of different ages."""

import asyncio

import pygit2

from contracts.errors import Conflict, ForeignCommits, NotFound, PatchwrightError
from contracts.forge import Forge, PullRequest
from contracts.traces import BranchOfOurs, TaskTraces, TracesRequest
from contracts.workspace import Workspace
from mcp_servers.object_store import Mirror, Mirrors, mirror_name
from mcp_servers.repo.pushing import pushed_by_us, refuse_foreign, remember_push
from mcp_servers.repo.remotes import Credentials, fetch, ref_on


async def task_traces(mirrors: Mirrors, forge: Forge, wanted: TracesRequest, credentials: Credentials) -> TaskTraces:
    """Look at the forge, the remote and the mirror. A remote that does not answer is said in ``problem``."""
    shown = await _pull_request(forge, wanted)
    reviews = tuple(await forge.reviews(shown.id)) if shown else ()
    there = await asyncio.to_thread(_in_git, mirrors, wanted, credentials)
    return there.model_copy(update={"pull_request": shown, "reviews": reviews})


async def _pull_request(forge: Forge, wanted: TracesRequest) -> PullRequest | None:
    if found := await forge.find(wanted.repo, wanted.branch):
        return found
    if not wanted.pull_request_id:
        return None
    try:
        return await forge.get(wanted.pull_request_id)
    except NotFound:
        return None


def _in_git(mirrors: Mirrors, wanted: TracesRequest, credentials: Credentials) -> TaskTraces:
    # Made when it is missing: without a repository at hand git could not ask the remote either.
    mirror = mirrors.create(mirror_name(wanted.repo))
    workspace = Workspace(mirror=mirror.path.name.removesuffix(".git"), name=wanted.name)
    traces = TaskTraces(
        workspace_commit=mirror.target(workspace.ref),
        missing_commits=tuple(commit for commit in wanted.commits if not _holds(mirror, commit)),
    )
    try:
        remote = ref_on(mirror, wanted.repo, f"refs/heads/{wanted.branch}", credentials)
    except PatchwrightError as error:
        return traces.model_copy(update={"problem": error.message})
    ours = bool(remote) and pushed_by_us(mirror, wanted.branch, remote)
    return traces.model_copy(update={"remote_commit": remote, "pushed_by_us": ours})


def _holds(mirror: Mirror, commit: str) -> bool:
    try:
        return bool(mirror.tree_of(commit))
    except (NotFound, pygit2.GitError):
        return False


def trust_branch(mirrors: Mirrors, known: BranchOfOurs, credentials: Credentials) -> None:
    """Fetch a branch of the remote and know its commit as pushed by this service.

    Raises ``Conflict`` when the branch stands elsewhere by now, ``GuardrailTripped`` for one that is not ours to write.
    """
    refuse_foreign(known.branch, ())
    mirror = mirrors.create(mirror_name(known.repo))
    fetch(mirror, known.repo, credentials)
    found = mirror.target(f"refs/remotes/origin/{known.branch}")
    if found != known.commit:
        raise Conflict(f"The branch {known.branch} of {known.repo} stands at {found[:12] or 'nothing'}, not {known.commit[:12]}.")
    remember_push(mirror, known.branch, known.commit)


def adopt_branch(
    mirrors: Mirrors, remote: str, branch: str, base_branch: str, credentials: Credentials, expected: str = ""
) -> tuple[str, str]:
    """Fetch a branch of ours and know its commit as one to build upon; the commit, and what of the base branch it stands on.

    People bring a branch up to date, or rebase it: what they took over from the base is no part of the change.
    Raises ``NotFound`` when the remote has no such branch, ``GuardrailTripped`` for one that is not ours to write, and
    ``ForeignCommits`` when another commit stands there than the one that is ``expected``.
    """
    refuse_foreign(branch, ())
    mirror = mirrors.create(mirror_name(remote))
    fetch(mirror, remote, credentials)
    found = mirror.target(f"refs/remotes/origin/{branch}")
    if expected and found and found != expected:
        raise ForeignCommits(f"The branch {branch} of {remote} stands at {found[:12]} by now, not at {expected[:12]}.")
    if not found:
        raise NotFound(f"The branch {branch} of {remote} is gone; push it again, or close the task.")
    remember_push(mirror, branch, found)
    tip = mirror.target(f"refs/remotes/origin/{base_branch}") if base_branch else ""
    return found, mirror.merge_base(tip, found) if tip else ""
