"""What a delivery may be about. A hint says where to look, never what is there."""

from dataclasses import dataclass

from mcp_servers.repo.hosted import HostedRepository


@dataclass(frozen=True, slots=True)
class PullRequestHint:
    """Something happened to a pull request, a commit or a branch of a repository; whatever is given may lead to a task."""

    kind: str
    """``github`` or ``gitlab``."""
    place: HostedRepository
    why: str
    """In a few words, e.g. ``pull_request_review submitted``."""
    number: int = 0
    commit: str = ""
    """A head commit that it is about."""
    branch: str = ""
    """A head branch that it is about."""
    pushed: str = ""
    """The commit that a branch points at since now: when this service put it there, it is no news."""
    base: str = ""
    """A branch that moved and may be somebody's base."""
    base_is_default: bool = False


@dataclass(frozen=True, slots=True)
class TicketHint:
    """Somebody asks for a task with a ticket."""

    system: str
    host: str
    """Where the ticket is, with the port where it is not the usual one."""
    key: str
    """The ticket there: its number in its repository, its key in Jira, its id in Linear."""
    title: str
    description: str
    """As Markdown."""
    url: str
    labels: tuple[str, ...] = ()
    """And the type of the ticket, where it has one."""
    requester: str = ""
    repository: HostedRepository | None = None
    """Where the ticket lives beside the code."""
    project: str = ""
    """The project or team it belongs to, where it lives elsewhere."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """It is about nothing of ours."""

    reason: str


Reading = PullRequestHint | TicketHint | Ignored
