"""What a task has left outside of the run store and Temporal, as the forge, the remote and the mirror have it."""

from contracts.forge import PullRequest
from contracts.review import Review
from contracts.word import Word


class TracesRequest(Word):
    """Whose traces are looked for."""

    repo: str
    """URL or path of the remote."""
    branch: str
    """The head branch."""
    name: str
    """The task's id."""
    pull_request_id: str = ""
    """The pull request that the task is said to have; empty when nobody says so."""
    commits: tuple[str, ...] = ()
    """Commits that the mirror should hold."""


class TaskTraces(Word):
    """What was found."""

    pull_request: PullRequest | None = None
    """The open one of the head branch, else the one that was asked for."""
    reviews: tuple[Review, ...] = ()
    """Of that pull request, oldest first."""
    remote_commit: str = ""
    """Where the head branch stands on the remote; empty when it is not there."""
    pushed_by_us: bool = False
    """Whether the mirror knows that this service pushed that commit."""
    workspace_commit: str = ""
    """The workspace's newest commit in the mirror; empty when there is none."""
    missing_commits: tuple[str, ...] = ()
    """Those asked for that the mirror does not hold."""
    problem: str = ""
    """Why the remote could not be asked; empty when it was."""


class BranchOfOurs(Word):
    """A branch of the remote that this service pushed, and forgot in a restore."""

    repo: str
    branch: str
    commit: str
