"""One repository on GitHub, and what we do there. Blocks."""

from typing import Any
from urllib.parse import quote

from contracts.ci import CiCheck, CiReport, JobLog
from contracts.errors import InvalidInput, NotFound
from contracts.forge import KeptComment, PullRequest, PullRequestDraft, ShownCheck
from contracts.review import Review, Thread, ThreadAnswer
from contracts.ticket_search import AskedTicket, FoundTickets, TicketSearch
from contracts.watching import Look, Watch
from mcp_servers.repo.github import asking, ci, documents, rerunning, watching
from mcp_servers.repo.github.app import Credential
from mcp_servers.repo.github.connection import GitHubConnection
from mcp_servers.repo.github.people import People
from mcp_servers.repo.github.threads import Remarks
from mcp_servers.repo.github.words import pull_request
from mcp_servers.repo.host_forge import HostRepository
from mcp_servers.repo.hosted import HostedRepository
from mcp_servers.repo.looking import Shared
from mcp_servers.repo.marks import described, is_retitled, mark, marked


class GitHubRepository(HostRepository):
    """A repository, its connection and its people."""

    def __init__(self, place: HostedRepository, connection: GitHubConnection, credential: Credential, remote: str) -> None:
        super().__init__(place)
        self._connection = connection
        self._people = People(connection, lambda: credential.login(connection))
        self._is_app = credential.is_app
        self._remote = remote

    @property
    def spent(self) -> int:
        """Requests so far that counted against the quota."""
        return self._connection.spent

    # -- the pull request --------------------------------------------------------------------------------------

    def publish(self, wanted: PullRequestDraft) -> PullRequest:
        """Open the pull request of the head branch, or bring the open one up to date, whoever opened it."""
        told = self._open(wanted.head_branch) or self._opened(wanted)
        present = told.get("body") or ""
        title = told["title"] if is_retitled(present, told["title"]) else wanted.title
        body = described(present, wanted.body, wanted.task_id, wanted.title)
        # What GitHub tells of a body has its own line ends.
        changed = {"title": title} if told["title"] != title else {}
        if (told.get("body") or "").replace("\r\n", "\n") != body:
            changed["body"] = body
        if told["base"]["ref"] != wanted.base_branch:
            changed["base"] = wanted.base_branch
        if changed:
            told = self._connection.patch(f"pulls/{told['number']}", "bringing the pull request up to date", **changed)
        if not wanted.draft:
            told = self._ready(told)
        # The list and the answer to an edit may still tell of the head before the push.
        return pull_request(told, wanted.repo, self.place).model_copy(update={"head_commit": wanted.head_commit})

    def find(self, head_branch: str, repo: str) -> PullRequest | None:
        """The open pull request of a head branch."""
        told = self._open(head_branch)
        return pull_request(told, repo, self.place) if told else None

    def get(self, number: int) -> PullRequest:
        """A pull request. Raises ``NotFound``."""
        return self._word(self._told(number))

    def base_tip(self, found: PullRequest) -> str:
        """Where its base branch stands."""
        try:
            where = f"branches/{quote(found.base_branch, safe='')}"
            return self._connection.get(where, "reading the branch")["commit"]["sha"]
        except NotFound:
            return ""

    def mark_ready(self, number: int) -> PullRequest:
        """An open pull request is no draft any more."""
        return self._word(self._ready(self._told(number)))

    def close(self, number: int) -> PullRequest:
        """Close an open pull request."""
        return self._word(self._connection.patch(f"pulls/{number}", "closing the pull request", state="closed"))

    def add_labels(self, number: int, labels: list[str]) -> None:
        """Add labels; GitHub makes those that the repository does not have."""
        present = {label["name"].lower() for label in self._told(number)["labels"]}
        if new := [label for label in labels if label.lower() not in present]:
            self._connection.post(f"issues/{number}/labels", "adding labels", labels=new)

    def ask_for_review(self, number: int, reviewers: list[str]) -> None:
        """Ask people (``login``) and teams (``org/team`` or ``@team``). Raises ``InvalidInput`` for who cannot review there."""
        now = self.get(number)
        asked = {name.lower() for name in (*now.reviewers, now.author)}
        named = [f"@{name.rpartition('/')[2]}" if "/" in name else name for name in reviewers]
        new = [name for name in named if name.lower() not in asked]
        people, teams = [n for n in new if n[0] != "@"], [n[1:] for n in new if n[0] == "@"]
        if new:
            self._connection.post(
                f"pulls/{number}/requested_reviewers",
                f"asking {', '.join(new)} for a review",
                **({"reviewers": people} if people else {}),
                **({"team_reviewers": teams} if teams else {}),
            )

    # -- what is said ------------------------------------------------------------------------------------------

    def keep_comment(self, number: int, key: str, body: str) -> KeptComment:
        """The one comment of a key on a pull request; an issue, too, is one of its numbers."""
        ours, wanted = mark("comment", key), marked(body, mark("comment", key))
        told = self._connection.pages(f"issues/{number}/comments", "reading the comments")
        found = next((one for one in told if ours in (one.get("body") or "") and self._people.is_us(one.get("user"))), None)
        if found is None:
            found = self._connection.post(f"issues/{number}/comments", "writing a comment", body=wanted)
        elif found["body"].replace("\r\n", "\n") != wanted:
            found = self._connection.patch(f"issues/comments/{found['id']}", "changing a comment", body=wanted)
        return KeptComment(id=str(found["id"]), body=body, url=found["html_url"])

    def keep_ticket_comment(self, number: int, key: str, body: str) -> KeptComment:
        """The one comment of a key on an issue. Raises ``NotFound``."""
        return self.keep_comment(number, key, body)

    def reviews(self, number: int) -> list[Review]:
        """Submitted reviews that were not dismissed, oldest first."""
        return self._remarks(number).reviews()

    def threads(self, number: int) -> list[Thread]:
        """Threads on lines, words of reviews and comments beside them, oldest first."""
        return self._remarks(number).threads()

    def answer(self, number: int, answers: list[ThreadAnswer]) -> None:
        """Answer in the threads, each once; addressed threads on lines are resolved."""
        self._remarks(number).answer(answers)

    # -- checks ------------------------------------------------------------------------------------------------

    def show_check(self, check: ShownCheck) -> None:
        """Our check run on a commit; a status where the credential is no App."""
        (ci.show_run if self._is_app else ci.show_status)(self._connection, check)

    def ci(self, number: int, commit: str) -> CiReport:
        """Check runs and statuses of a commit; empty: the head."""
        told = self._told(number)
        return ci.report(self._connection, commit or told["head"]["sha"], quote(told["base"]["ref"], safe=""))

    def job_log(self, check: CiCheck) -> JobLog:
        """What a check printed. Raises ``NotFound``."""
        return ci.job_log(self._connection, check)

    def rerun(self, check: CiCheck) -> None:
        """Run a job of Actions once more. Raises ``Conflict`` for anything else, ``StillRunning``."""
        rerunning.rerun(self._connection, check)

    def trigger(self, number: int, name: str) -> None:
        """Start the workflow that a required check comes from. Raises ``Conflict`` when it cannot be started by hand."""
        head = self._told(number)["head"]
        rerunning.trigger(self._connection, head["ref"], head["sha"], name)

    # -- looking -----------------------------------------------------------------------------------------------

    def search_tickets(self, search: TicketSearch) -> FoundTickets:
        """Open issues that ask for a task, of the lists that changed since the search before."""
        return asking.search(self._connection, search)

    def asked_ticket(self, search: TicketSearch, number: int) -> AskedTicket:
        """An issue and who asked for a task with it. Raises ``NotFound``."""
        return asking.asked(self._connection, search, number)

    def look(self, number: int, watch: Watch, shared: Shared) -> Look:
        """Whether anything changed since the look before; free of quota where nothing did."""
        return watching.look(self._connection, number, watch, shared)

    # -- how ---------------------------------------------------------------------------------------------------

    def _told(self, number: int) -> dict[str, Any]:
        return self._connection.get(f"pulls/{number}", "reading the pull request")

    def _word(self, told: dict[str, Any]) -> PullRequest:
        return pull_request(told, self._remote, self.place)

    def _remarks(self, number: int) -> Remarks:
        return Remarks(self._connection, self._people, number)

    def _open(self, head_branch: str) -> dict[str, Any] | None:
        # Without the owner GitHub ignores the filter and tells of all.
        head = f"{self.place.owner}:{head_branch}"
        found = self._connection.get("pulls", "finding the pull request", state="open", head=head)
        return next((told for told in found if told["head"]["ref"] == head_branch), None)

    def _opened(self, wanted: PullRequestDraft) -> dict[str, Any]:
        body = described("", wanted.body, wanted.task_id, wanted.title)
        asked = {"title": wanted.title, "body": body, "head": wanted.head_branch, "base": wanted.base_branch}
        try:
            return self._connection.post("pulls", "opening the pull request", **asked, draft=wanted.draft)
        except InvalidInput as refused:
            if "No commits between" in refused.message:
                raise InvalidInput(
                    f"{wanted.head_branch} has no commit beyond {wanted.base_branch}; there is nothing to propose."
                ) from None
            if "already exists" in refused.message and (found := self._open(wanted.head_branch)):
                # Our own request whose answer was lost, or somebody who was faster.
                return found
            if wanted.draft and "draft" in refused.message.lower():
                # Some plans know no drafts in private repositories.
                return self._connection.post("pulls", "opening the pull request", **asked, draft=False)
            raise

    def _ready(self, told: dict[str, Any]) -> dict[str, Any]:
        if told.get("draft"):
            self._connection.graphql(documents.MARK_READY, "marking the pull request ready", pullRequest=told["node_id"])
        return {**told, "draft": False}
