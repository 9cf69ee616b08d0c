"""One project on GitLab, and what we do there. Blocks."""

from typing import Any
from urllib.parse import quote

from contracts.ci import CiCheck, CiReport, JobLog
from contracts.errors import Conflict, InvalidInput, NotFound
from contracts.forge import KeptComment, PullRequest, PullRequestDraft, ShownCheck
from contracts.review import Review, Thread, ThreadAnswer
from contracts.ticket_search import AskedTicket, FoundTickets, TicketSearch
from contracts.watching import Look, Watch
from mcp_servers.repo.gitlab import asking, ci, watching
from mcp_servers.repo.gitlab.connection import GitLabConnection
from mcp_servers.repo.gitlab.people import People
from mcp_servers.repo.gitlab.threads import Remarks
from mcp_servers.repo.gitlab.words import is_draft, merge_request, titled, username
from mcp_servers.repo.host_forge import HostRepository
from mcp_servers.repo.hosted import HostedRepository
from mcp_servers.repo.looking import Shared
from mcp_servers.repo.marks import described, is_retitled, mark, marked


class GitLabProject(HostRepository):
    """A project, its connection and its people."""

    def __init__(self, place: HostedRepository, connection: GitLabConnection, remote: str) -> None:
        super().__init__(place)
        self._connection = connection
        self._people = People(connection)
        self._remote = remote

    @property
    def spent(self) -> int:
        """Requests so far that GitLab had to work for."""
        return self._connection.spent

    # -- the merge request -------------------------------------------------------------------------------------

    def publish(self, wanted: PullRequestDraft) -> PullRequest:
        """Open the merge request of the head branch, or bring the open one up to date, whoever opened it."""
        told = self._open(wanted.head_branch) or self._opened(wanted)
        draft, present = wanted.draft and is_draft(told), told.get("description") or ""
        title = told["title"] if is_retitled(present, titled(told["title"], draft=False)) else wanted.title
        facts = {
            "title": titled(title, draft),
            "description": described(present, wanted.body, wanted.task_id, wanted.title),
            "target_branch": wanted.base_branch,
        }
        if changed := {name: value for name, value in facts.items() if (told.get(name) or "") != value}:
            told = self._edit(told["iid"], "bringing the merge request up to date", **changed)
        # What GitLab tells may still be of the head before the push.
        return merge_request(told, wanted.repo, self.place).model_copy(update={"head_commit": wanted.head_commit})

    def find(self, head_branch: str, repo: str) -> PullRequest | None:
        """The open merge request of a head branch."""
        told = self._open(head_branch)
        return merge_request(told, repo, self.place) if told else None

    def get(self, number: int) -> PullRequest:
        """A merge request. Raises ``NotFound``."""
        return self._word(self._told(number))

    def base_tip(self, found: PullRequest) -> str:
        """Where its target branch stands."""
        try:
            where = f"repository/branches/{quote(found.base_branch, safe='')}"
            return self._connection.get(where, "reading the branch")["commit"]["id"]
        except NotFound:
            return ""

    def mark_ready(self, number: int) -> PullRequest:
        """An open merge request is no draft any more."""
        told = self._told(number)
        if is_draft(told):
            told = self._edit(number, "marking the merge request ready", title=titled(told["title"], draft=False))
        return self._word(told)

    def close(self, number: int) -> PullRequest:
        """Close an open merge request."""
        return self._word(self._edit(number, "closing the merge request", state_event="close"))

    def add_labels(self, number: int, labels: list[str]) -> None:
        """Add labels; GitLab makes those that the project does not have."""
        present = set(self._told(number)["labels"])
        if new := [label for label in labels if label not in present]:
            self._edit(number, "adding labels", add_labels=",".join(new))

    def ask_for_review(self, number: int, reviewers: list[str]) -> None:
        """Ask people by their user names. Raises ``InvalidInput`` for somebody who cannot review there."""
        present = {username(user): user["id"] for user in self._told(number).get("reviewers") or ()}
        new = {name: self._people.id_of(name) for name in reviewers if name not in present}
        if not new:
            return
        told = self._edit(number, "asking for a review", reviewer_ids=[*present.values(), *new.values()])
        taken = {user["id"] for user in told.get("reviewers") or ()}
        if refused := [name for name, id_ in new.items() if id_ not in taken]:
            raise InvalidInput(
                f"GitLab did not take {', '.join(refused)}: they must be members of the project, and the free "
                "tier takes one reviewer."
            )

    # -- what is said ------------------------------------------------------------------------------------------

    def keep_comment(self, number: int, key: str, body: str) -> KeptComment:
        """The one note of a key on a merge request."""
        return self._kept_note(f"merge_requests/{number}", key, body)

    def keep_ticket_comment(self, number: int, key: str, body: str) -> KeptComment:
        """The one note of a key on an issue. Raises ``NotFound``."""
        return self._kept_note(f"issues/{number}", key, body)

    def reviews(self, number: int) -> list[Review]:
        """Approvals and requests for changes that count, oldest first."""
        return self._remarks(number).reviews()

    def threads(self, number: int) -> list[Thread]:
        """Discussions on lines and beside them, oldest first."""
        return self._remarks(number).threads()

    def answer(self, number: int, answers: list[ThreadAnswer]) -> None:
        """Answer in the discussions, each once; addressed ones are resolved."""
        self._remarks(number).answer(answers)

    # -- checks ------------------------------------------------------------------------------------------------

    def show_check(self, check: ShownCheck) -> None:
        """Our status on a commit."""
        ci.show_status(self._connection, check)

    def ci(self, number: int, commit: str) -> CiReport:
        """Jobs and statuses of a commit; empty: the head."""
        told = self._told(number)
        head = told["sha"]
        if commit not in ("", head):
            return ci.report(self._connection, commit, None)
        rules = self._connection.get("", "reading the project")
        needed = bool(rules.get("only_allow_merge_if_pipeline_succeeds"))
        return ci.report(self._connection, head, told.get("head_pipeline"), needed)

    def job_log(self, check: CiCheck) -> JobLog:
        """What a job printed. Raises ``NotFound``."""
        return ci.job_log(self._connection, check)

    def rerun(self, check: CiCheck) -> None:
        """Run a job once more. Raises ``Conflict`` when GitLab does not."""
        ci.rerun(self._connection, check)

    def trigger(self, number: int, name: str) -> None:
        """Start the merge request's pipeline. Raises ``Conflict`` when GitLab does not."""
        ci.trigger(self._connection, number, self._told(number))

    # -- looking -----------------------------------------------------------------------------------------------

    def search_tickets(self, search: TicketSearch) -> FoundTickets:
        """Open issues that ask for a task, of the lists that changed since the search before."""
        return asking.search(self._connection, search)

    def asked_ticket(self, search: TicketSearch, number: int) -> AskedTicket:
        """An issue and who asked for a task with it. Raises ``NotFound``."""
        return asking.asked(self._connection, search, number)

    def look(self, number: int, watch: Watch, shared: Shared) -> Look:
        """Whether anything changed since the look before."""
        return watching.look(self._connection, number, watch, shared)

    # -- how ---------------------------------------------------------------------------------------------------

    def _told(self, number: int) -> dict[str, Any]:
        return self._connection.get(f"merge_requests/{number}", "reading the merge request")

    def _edit(self, number: int, deed: str, **facts: Any) -> dict[str, Any]:
        return self._connection.put(f"merge_requests/{number}", deed, **facts)

    def _word(self, told: dict[str, Any]) -> PullRequest:
        return merge_request(told, self._remote, self.place)

    def _remarks(self, number: int) -> Remarks:
        return Remarks(self._connection, self._people, number)

    def _open(self, head_branch: str) -> dict[str, Any] | None:
        asked = {"state": "opened", "source_branch": head_branch}
        found = self._connection.pages("merge_requests", "finding the merge request", **asked)
        # A fork may have a branch of that name, too.
        return next((told for told in found if told["source_project_id"] == told["target_project_id"]), None)

    def _opened(self, wanted: PullRequestDraft) -> dict[str, Any]:
        # GitLab opens a merge request of nothing without a word.
        span = {"from": wanted.base_branch, "to": wanted.head_branch}
        if not self._connection.get("repository/compare", "comparing the branches", **span)["commits"]:
            raise InvalidInput(f"{wanted.head_branch} has no commit beyond {wanted.base_branch}; there is nothing to propose.")
        try:
            return self._connection.post(
                "merge_requests",
                "opening the merge request",
                source_branch=wanted.head_branch,
                target_branch=wanted.base_branch,
                title=titled(wanted.title, wanted.draft),
                description=described("", wanted.body, wanted.task_id, wanted.title),
            )
        except Conflict:
            # Our own request whose answer was lost, or somebody who was faster.
            if found := self._open(wanted.head_branch):
                return found
            raise

    def _kept_note(self, on: str, key: str, body: str) -> KeptComment:
        ours, wanted, notes = mark("comment", key), marked(body, mark("comment", key)), f"{on}/notes"
        told = self._connection.pages(notes, "reading the notes", sort="asc", order_by="created_at")
        found = next((note for note in told if ours in (note.get("body") or "") and self._people.is_ours(note)), None)
        if found is None:
            found = self._connection.post(notes, "writing a note", body=wanted)
        elif found["body"] != wanted:
            found = self._connection.put(f"{notes}/{found['id']}", "changing a note", body=wanted)
        url = f"{self._connection.get(on, 'reading where a note is')['web_url']}#note_{found['id']}"
        return KeptComment(id=str(found["id"]), body=body, url=url)
