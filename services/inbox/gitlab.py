"""GitLab's webhooks as hints."""

from collections.abc import Callable, Collection, Mapping

from mcp_servers.repo.gitlab.words import is_bot
from mcp_servers.repo.hosted import HostedRepository
from services.inbox.hints import Ignored, PullRequestHint, Reading, TicketHint
from services.inbox.payload import Json, below, host_of, number, repository_at, text, texts
from services.ticket_rules import TicketRules

MARK = "<!-- patchwright:"
CHECK_NAME = "Patchwright"
"""Of our own commit status."""
HEADS = "refs/heads/"


class GitLabReader:
    """Reads deliveries by their ``object_kind``."""

    def __init__(self, rules: TicketRules) -> None:
        self._rules = rules
        self._readers: Mapping[str, Callable[[Json, HostedRepository, str], list[Reading]]] = {
            "merge_request": self._merge_request,
            "note": self._note,
            "pipeline": self._pipeline,
            "build": self._job,
            "push": self._push,
            "issue": self._issue,
            "work_item": self._issue,
        }

    @property
    def events(self) -> Collection[str]:
        """The kinds that may be about something of ours."""
        return self._readers.keys()

    def read(self, event: str, told: Json) -> list[Reading]:
        """What a delivery hints at."""
        address = text(told, "project", "web_url") or text(told, "repository", "homepage")
        place = repository_at(address)
        if place is None:
            return [Ignored("it names no project")]
        deed = below(told, "object_attributes")
        what = text(deed, "action") or text(deed, "status") or text(told, "build_status")
        return self._readers[event](told, place, f"{event} {what}".strip())

    def _merge_request(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        merge = below(told, "object_attributes")
        pushed = bool(text(merge, "oldrev"))
        own = text(merge, "author_id") == text(told, "user", "id") and is_bot(dict(below(told, "user")))
        if own and not pushed and text(merge, "action") in ("open", "update"):
            return [Ignored("a bot did it to a merge request of its own")]
        commit = text(merge, "last_commit", "id") if pushed else ""
        return [PullRequestHint("gitlab", place, why, number(merge, "iid"), pushed=commit)]

    def _note(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        merge, note = below(told, "merge_request"), below(told, "object_attributes")
        if not merge:
            return [Ignored("a note beside no merge request")]
        author = text(told, "user", "id")
        # With a personal token we are somebody's account: only what has our mark, below our own merge request, is ours.
        marked = MARK in text(note, "note") and author == text(merge, "author_id") == text(note, "author_id")
        if marked or is_bot(dict(below(told, "user"))):
            return [Ignored("a bot said it")]
        return [PullRequestHint("gitlab", place, why, number(merge, "iid"))]

    def _pipeline(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        run = below(told, "object_attributes")
        iid = number(told, "merge_request", "iid")
        return [PullRequestHint("gitlab", place, why, iid, commit=text(run, "sha"), branch=text(run, "ref"))]

    def _job(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        if text(told, "build_name") == CHECK_NAME:
            return [Ignored("our own status")]
        return [PullRequestHint("gitlab", place, why, commit=text(told, "sha"), branch=text(told, "ref"))]

    def _push(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        ref = text(told, "ref")
        if not ref.startswith(HEADS):
            return [Ignored("a push of no branch")]
        branch = ref.removeprefix(HEADS)
        default = branch == text(told, "project", "default_branch")
        after = text(told, "after")
        return [PullRequestHint("gitlab", place, why, branch=branch, pushed=after, base=branch, base_is_default=default)]

    def _issue(self, told: Json, place: HostedRepository, why: str) -> list[Reading]:
        issue = below(told, "object_attributes")
        if not self._asked(told):
            return [Ignored("nobody asked for a task with it")]
        if below(told, "object_attributes").get("confidential") or text(told, "event_type").startswith("confidential"):
            return [Ignored("the issue is confidential, and a merge request would show what it says")]
        if text(issue, "state") not in ("opened", ""):
            return [Ignored("the issue is closed")]
        if not (iid := number(issue, "iid")):
            return [Ignored("the issue has no number")]
        return [
            TicketHint(
                system="gitlab",
                host=host_of(text(told, "project", "web_url")),
                key=str(iid),
                title=text(issue, "title"),
                description=text(issue, "description"),
                url=text(issue, "url"),
                labels=texts(told, "title", "labels") or texts(issue, "title", "labels"),
                requester=text(told, "user", "username"),
                repository=place,
            )
        ]

    def _asked(self, told: Json) -> bool:
        """Whether a label or assignee that asks for a task is there since now.

        Only what ``changes`` tells counts. What an issue is opened with is not there, and should not count: GitLab lets a
        guest do so, and later only whoever plans.
        """
        before = set(texts(told, "title", "changes", "labels", "previous"))
        labels = [name for name in texts(told, "title", "changes", "labels", "current") if name not in before]
        had = set(texts(told, "username", "changes", "assignees", "previous"))
        people = [name for name in texts(told, "username", "changes", "assignees", "current") if name not in had]
        return self._rules.starts(tuple(labels), tuple(people))
