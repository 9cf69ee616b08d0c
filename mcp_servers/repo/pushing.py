"""Pushing a branch: never a default branch, never over a commit that somebody else put there, twice is once."""

from collections.abc import Callable, Iterable

from contracts.errors import ForeignCommits, GuardrailTripped
from contracts.task import is_branch_name
from mcp_servers.object_store import Mirror
from mcp_servers.repo.remotes import Credentials, ask, no_credentials, push_ref

OWN = "patchwright/"
"""The service writes branches below this name and no others."""


def push_branch(
    mirror: Mirror, remote: str, branch: str, commit: str, *, expected: str = "", protected: Iterable[str] = (),
    credentials: Credentials = no_credentials, gate: Callable[[str], None] = lambda commit: None,
) -> str:
    """Put a branch of the remote at a commit and return the commit.

    It must not exist there, or stand at ``expected`` or at a commit that this service pushed. ``gate`` is asked right before
    something goes out, and raises when that must not happen. Raises
    ``GuardrailTripped`` for a branch that is not ours to write, ``ForeignCommits`` for somebody else's commit on it.
    """
    refuse_foreign(branch, protected)
    wanted = mirror.resolve(commit)
    now = ask(mirror, remote, branch, credentials)
    refuse_foreign(branch, (*protected, now.default_branch))
    if now.commit == wanted:
        remember_push(mirror, branch, wanted)
        return wanted
    if now.commit and now.commit != expected and not pushed_by_us(mirror, branch, now.commit):
        raise ForeignCommits(f"The branch {branch} of {remote} stands at {now.commit[:12]}, which this service did not push; "
                             "nothing was overwritten. Look at that commit, then delete the branch or push to another one.")
    gate(wanted)
    # Remembered first: a push whose answer is lost must still be known as ours.
    remember_push(mirror, branch, wanted)
    push_ref(mirror, remote, f"refs/heads/{branch}", wanted, now.commit, credentials)
    return wanted


def refuse_foreign(branch: str, protected: Iterable[str]) -> None:
    """Raise ``GuardrailTripped`` when a branch is not ours to write."""
    if not branch.startswith(OWN) or not is_branch_name(branch):
        raise GuardrailTripped(f"{branch!r} cannot be written: branches must be below '{OWN}', e.g. '{OWN}my-change'.")
    if branch in protected:
        raise GuardrailTripped(f"{branch!r} cannot be written: it is the repository's default branch or the base branch.")


def remember_push(mirror: Mirror, branch: str, commit: str) -> None:
    """Keep in mind, and in the mirror, that this service pushed a commit to a branch."""
    mirror.pin(f"refs/pushed/{branch}/{commit}", commit)


def pushed_by_us(mirror: Mirror, branch: str, commit: str) -> bool:
    """Whether this service pushed a commit to a branch."""
    return bool(mirror.target(f"refs/pushed/{branch}/{commit}"))
