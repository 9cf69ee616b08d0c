"""Pushing a branch: never a default branch, never over a commit that somebody else put there, twice is once."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from git.exc import GitCommandError

from contracts.errors import Conflict, GuardrailTripped, RemoteUnavailable, RepositoryUnusable
from contracts.task import is_branch_name
from mcp_servers.object_store import Mirror, remote_failure
from mcp_servers.repo.opening import Credentials, no_credentials

OWN = "patchwright/"
"""The service writes branches below this name and no others."""
PUSH_SECONDS = 600
ASK_SECONDS = 60


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What a remote says right now."""

    default_branch: str
    commit: str
    """Where the branch asked for stands; empty when there is none."""


def push_branch(
    mirror: Mirror, remote: str, branch: str, commit: str, *, expected: str = "", protected: Iterable[str] = (),
    credentials: Credentials = no_credentials,
) -> str:
    """Put a branch of the remote at a commit and return the commit.

    It must not exist there, or stand at ``expected`` or at a commit that this service pushed. Raises
    ``GuardrailTripped`` for a branch that is not ours to write, ``Conflict`` for somebody else's commit on it.
    """
    refuse_foreign(branch, protected)
    wanted = mirror.resolve(commit)
    now = ask(mirror, remote, branch, credentials)
    refuse_foreign(branch, (*protected, now.default_branch))
    if now.commit == wanted:
        _remember(mirror, branch, wanted)
        return wanted
    if now.commit and now.commit != expected and not _pushed_by_us(mirror, branch, now.commit):
        raise Conflict(f"The branch {branch} of {remote} stands at {now.commit[:12]}, which this service did not push; "
                       "nothing was overwritten. Look at that commit, then delete the branch or push to another one.")
    # Remembered first: a push whose answer is lost must still be known as ours.
    _remember(mirror, branch, wanted)
    push_ref(mirror, remote, f"refs/heads/{branch}", wanted, now.commit, credentials)
    return wanted


def push_ref(mirror: Mirror, remote: str, ref: str, commit: str, lease: str, credentials: Credentials) -> None:
    """Put one ref of the remote at a commit, provided that it still stands at ``lease`` (empty: does not exist)."""
    runner = mirror.git
    runner.update_environment(**credentials(remote))
    try:
        runner.push("--porcelain", "--no-verify", f"--force-with-lease={ref}:{lease}", "--end-of-options", remote,
                    f"{commit}:{ref}", kill_after_timeout=PUSH_SECONDS)
    except GitCommandError as error:
        failure = _push_failure(remote, ref, f"{error.stdout}\n{error.stderr}")
        # The same push asked for twice at once: whichever came second finds the work done.
        if not (isinstance(failure, Conflict) and ref_on(mirror, remote, ref, credentials) == commit):
            raise failure from error


def ask(mirror: Mirror, remote: str, branch: str, credentials: Credentials) -> RemoteState:
    """The remote's default branch and where a branch stands, in one question."""
    return RemoteState(*_asked(mirror, remote, f"refs/heads/{branch}", credentials))


def ref_on(mirror: Mirror, remote: str, ref: str, credentials: Credentials) -> str:
    """Where any ref of the remote stands; an empty string when there is none."""
    return _asked(mirror, remote, ref, credentials)[1]


def refuse_foreign(branch: str, protected: Iterable[str]) -> None:
    """Raise ``GuardrailTripped`` when a branch is not ours to write."""
    if not branch.startswith(OWN) or not is_branch_name(branch):
        raise GuardrailTripped(f"{branch!r} cannot be written: branches must be below '{OWN}', e.g. '{OWN}my-change'.")
    if branch in protected:
        raise GuardrailTripped(f"{branch!r} cannot be written: it is the repository's default branch or the base branch.")


def _asked(mirror: Mirror, remote: str, ref: str, credentials: Credentials) -> tuple[str, str]:
    runner = mirror.git
    runner.update_environment(**credentials(remote))
    try:
        told = str(runner.ls_remote("--symref", "--end-of-options", remote, "HEAD", ref, kill_after_timeout=ASK_SECONDS))
    except GitCommandError as error:
        raise remote_failure(remote, str(error.stderr)) from error
    default = re.search(r"^ref: refs/heads/(\S+)\tHEAD$", told, re.MULTILINE)
    at = re.search(rf"^([0-9a-f]{{40,64}})\t{re.escape(ref)}$", told, re.MULTILINE)
    return default[1] if default else "", at[1] if at else ""


def _remember(mirror: Mirror, branch: str, commit: str) -> None:
    mirror.pin(f"refs/pushed/{branch}/{commit}", commit)


def _pushed_by_us(mirror: Mirror, branch: str, commit: str) -> bool:
    return bool(mirror.target(f"refs/pushed/{branch}/{commit}"))


def _push_failure(remote: str, ref: str, told: str) -> Conflict | RepositoryUnusable | RemoteUnavailable:
    if "stale info" in told or "fetch first" in told or "cannot lock ref" in told:
        return Conflict(f"{ref} of {remote} moved while it was pushed; nothing was overwritten. Look at it and try again.")
    refused = re.search(r"^!.*\[(?:remote )?rejected\] \((.*)\)$", told, re.MULTILINE)
    if refused:
        said = " ".join(line.strip() for line in re.findall(r"remote: (.+)", told))
        return RepositoryUnusable(f"{remote} refused {ref}: {refused[1]}. {said}".strip())
    return remote_failure(remote, told)
