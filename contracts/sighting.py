"""What a task sees when it looks at its pull request on a forge: small, so that a workflow's history can carry it."""

from enum import StrEnum

from pydantic import Field

from contracts.ci import CiState
from contracts.forge import PullRequestState
from contracts.word import Word


class CommandKind(StrEnum):
    """What people can tell the service in a comment: ``/patchwright KIND …``."""

    FIX = "fix"
    """Do what the rest of the comment says."""
    RETRY = "retry"
    """Go on after a halt; run what failed once more."""
    STOP = "stop"
    """Leave the pull request to people."""
    EXPLAIN = "explain"
    """Say what was changed and why."""
    APPROVE = "approve"
    """Allow the paths outside the plan whose digest the rest names."""
    PLAN = "plan"
    """Show the plan and what has become of it."""


class SlashCommand(Word):
    """One command of a person who may write to the repository."""

    message_id: str
    """The forge's own id of the message; a command is carried out once."""
    kind: CommandKind
    text: str = Field(default="", max_length=2_000)
    """What follows the kind."""
    author: str = ""


class Sighting(Word):
    """A pull request as it is right now, and what of it nobody has dealt with."""

    state: PullRequestState
    draft: bool
    head_commit: str
    foreign_commit: str = ""
    """The head commit, when this service did not push it: a person's work, never overwritten."""
    base_update: bool = False
    """Whether that commit does nothing but merge the base branch, as a forge's own button does."""
    commands: tuple[SlashCommand, ...] = ()
    """Commands that are not carried out yet, oldest first; ten at most, the rest next time."""
    open_remarks: int = 0
    """Remarks of people who may write that have no answer yet; commands are none."""
    asked_by: str = ""
    """Who said the newest of them."""
    approved_by: tuple[str, ...] = ()
    """People who may write whose newest verdict approves the head commit."""
    refused_by: tuple[str, ...] = ()
    """People who may write whose newest verdict asks for changes."""
    ci: CiState = CiState.NONE
    """Of the head commit, our own verdict left out."""
    ci_failed: tuple[str, ...] = ()
    """Names of the checks that failed, sorted; twenty at most."""
    ci_key: str = ""
    """``CiReport.key``: changes when a check failed anew, also for the same commit."""
    ci_missing: tuple[str, ...] = ()
    """Names of required checks that have not begun."""
    base_branch: str = ""
    """The branch it is to be merged into: people may choose another one."""
    base_commit: str = ""
    """The tip of the base branch."""
    conflicts: bool = False
    """Whether the forge says that the branch cannot be merged as it is."""
