"""GitHub's webhooks as hints."""

from collections.abc import Callable, Collection, Mapping

from mcp_servers.repo.github.words import INSIDERS
from mcp_servers.repo.hosted import HostedRepository
from services.inbox.hints import Ignored, PullRequestHint, Reading, TicketHint
from services.inbox.payload import Json, below, host_of, items, number, repository_at, text, texts
from services.ticket_rules import TicketRules

MARK = "<!-- patchwright:"
CHECK_NAME = "Patchwright"
"""Of our own check run and status: they are no news."""
HEADS = "refs/heads/"
OWN_DEEDS = ("opened", "edited", "labeled", "unlabeled", "ready_for_review", "review_requested", "assigned")
"""What a pull request's own author does to it and is no news when the author is a bot. Closing and pushing always are."""


class GitHubReader:
    """Reads deliveries; knows the ids of our Apps, so that what they do themselves is no news."""

    def __init__(self, rules: TicketRules, app_ids: Collection[str] = ()) -> None:
        self._rules = rules
        self._app_ids = frozenset(app_ids)
        self._readers: Mapping[str, Callable[[Json, HostedRepository, str], list[Reading]]] = {
            "pull_request": self._pull_request,
            "pull_request_review": self._remark,
            "pull_request_review_comment": self._remark,
            "pull_request_review_thread": self._remark,
            "issue_comment": self._remark,
            "check_run": self._check_run,
            "check_suite": self._suite,
            "workflow_run": self._workflow_run,
            "workflow_job": self._workflow_job,
            "status": self._status,
            "push": self._push,
            "issues": self._issue,
        }

    @property
    def events(self) -> Collection[str]:
        """The events that may be about something of ours."""
        return self._readers.keys()

    def read(self, event: str, told: Json) -> list[Reading]:
        """What a delivery hints at."""
        place = repository_at(text(told, "repository", "html_url"))
        if place is None:
            return [Ignored("it names no repository")]
        return self._readers[event](told, place, f"{event} {text(told, 'action')}".strip())

    def _pull_request(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        pull = below(told, "pull_request")
        author, sender = text(pull, "user", "login"), text(told, "sender", "login")
        if text(told, "action") in OWN_DEEDS and _is_bot(told) and author == sender:
            return [Ignored("a bot did it to a pull request of its own")]
        pushed = text(pull, "head", "sha") if text(told, "action") == "synchronize" else ""
        # Labels and checks of a fork's pull request are told with the base repository, where it is numbered.
        return [PullRequestHint("github", place, why, number(told, "number") or number(pull, "number"), pushed=pushed)]

    def _remark(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        pull = below(told, "pull_request") or below(told, "issue")
        if not below(told, "pull_request") and not below(told, "issue", "pull_request"):
            return [Ignored("a comment on an issue")]
        if _is_bot(told) or self._by_us(told, pull):
            return [Ignored("a bot said it")]
        return [PullRequestHint("github", place, why, number(pull, "number"))]

    def _by_us(self, told: Json, pull: Json) -> bool:
        said = below(told, "comment") or below(told, "review")
        if text(said, "performed_via_github_app", "id") in self._app_ids:
            return True
        # With a personal token we are somebody's account: only what has our mark, below our own pull request, is ours.
        sender = text(told, "sender", "login")
        ours = sender == text(said, "user", "login") == text(pull, "user", "login")
        return ours and MARK in text(said, "body") and text(told, "action") in ("created", "edited", "submitted")

    def _check_run(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        run = below(told, "check_run")
        ours = text(run, "app", "id") in self._app_ids or text(run, "name") == CHECK_NAME
        if ours and text(told, "action") in ("created", "completed"):
            return [Ignored("our own check run")]
        return [self._of_commit(place, why, run, text(run, "check_suite", "head_branch"))]

    def _suite(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        suite = below(told, "check_suite")
        return [self._of_commit(place, why, suite, text(suite, "head_branch"))]

    def _workflow_run(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        run = below(told, "workflow_run")
        return [self._of_commit(place, why, run, text(run, "head_branch"))]

    def _workflow_job(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        job = below(told, "workflow_job")
        return [self._of_commit(place, why, job, text(job, "head_branch"))]

    def _of_commit(self, place: HostedRepository, why: str, told: Json, branch: str) -> PullRequestHint:
        # The list of pull requests is often empty: the head commit leads there, too.
        first = next((number(pull, "number") for pull in items(told, "pull_requests")), 0)
        return PullRequestHint("github", place, why, first, commit=text(told, "head_sha"), branch=branch)

    def _status(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        if text(told, "context") == CHECK_NAME:
            return [Ignored("our own status")]
        return [PullRequestHint("github", place, f"{why} {text(told, 'state')}".strip(), commit=text(told, "sha"))]

    def _push(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        ref = text(told, "ref")
        if not ref.startswith(HEADS):
            return [Ignored("a push of no branch")]
        branch = ref.removeprefix(HEADS)
        default = branch == text(told, "repository", "default_branch")
        after = text(told, "after")
        return [PullRequestHint("github", place, why, branch=branch, pushed=after, base=branch, base_is_default=default)]

    def _issue(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        issue = below(told, "issue")
        if below(issue, "pull_request"):
            # Labels of a pull request are told in its own event as well.
            return [Ignored("a pull request, told as an issue")]
        gained = {"labeled": (text(told, "label", "name"),)}.get(text(told, "action"), ())
        assigned = {"assigned": (text(told, "assignee", "login"),)}.get(text(told, "action"), ())
        if not self._rules.starts(gained, assigned):
            return [Ignored("nobody asked for a task with it")]
        author = text(issue, "user", "login")
        by_author = bool(author) and author == text(told, "sender", "login") and not _is_bot(told)
        if by_author and text(issue, "author_association") not in INSIDERS:
            return [Ignored("its author, who has no say there, set it: an issue template can do that for anybody")]
        if text(issue, "state") not in ("open", ""):
            return [Ignored("the issue is closed")]
        if not (numbered := number(issue, "number")):
            return [Ignored("the issue has no number")]
        return [
            TicketHint(
                system="github",
                host=host_of(text(told, "repository", "html_url")),
                key=str(numbered),
                title=text(issue, "title"),
                description=text(issue, "body"),
                url=text(issue, "html_url"),
                labels=texts(issue, "name", "labels"),
                requester=text(told, "sender", "login"),
                repository=place,
            )
        ]


def _is_bot(told: Json) -> bool:
    return text(told, "sender", "type") == "Bot" or text(told, "sender", "login").endswith("[bot]")
