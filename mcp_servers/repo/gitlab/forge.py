"""GitLab as a forge."""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

from contracts.checks import ChecksReport
from contracts.ci import CiCheck, CiReport, JobLog
from contracts.errors import Conflict, InvalidInput, NotFound
from contracts.forge import KeptComment, PullRequest, PullRequestDraft, PullRequestState, ShownCheck
from contracts.review import Review, Thread, ThreadAnswer
from contracts.ticket import TicketPlace
from contracts.ticket_search import AskedTicket, FoundTickets, TicketSearch
from contracts.watching import Look, Watch
from mcp_servers.repo.git_access import git_access
from mcp_servers.repo.gitlab import asking, ci, watching
from mcp_servers.repo.gitlab.connection import GitLabConnection
from mcp_servers.repo.gitlab.people import People
from mcp_servers.repo.gitlab.threads import Remarks
from mcp_servers.repo.gitlab.words import is_draft, merge_request, titled, username
from mcp_servers.repo.hosted import HostedPullRequest, HostedRepository, hosted_repository
from mcp_servers.repo.looking import Shared, looks
from mcp_servers.repo.marks import described, mark, marked
from mcp_servers.repo.pace import Paces
from mcp_servers.repo.proxies import Proxy, no_proxy
from mcp_servers.repo.shown_report import shown_report

R = TypeVar("R")
THREADS = 8
"""Projects that are spoken about at once."""
MERGEABLE_PAUSES = (0.5, 1.5)
"""Seconds before a merge request is read again that GitLab does not know to be mergeable or not."""
ROLE = "Developer"
SCOPES = {
    "api": "merge requests, notes, discussions, labels, commit statuses, jobs and their logs",
    "write_repository": "fetch the repository, push the task's branch",
}
"""What a project's token must have, each with its reason."""


class _Project:
    """What is kept for one project: its connection, its people, and whose turn it is."""

    def __init__(self, place: HostedRepository, connection: GitLabConnection) -> None:
        self.place = place
        self.connection = connection
        self.people = People(connection)
        # A deed looks before it writes. Two at once would both see nothing.
        self.turn = threading.Lock()


class GitLabForge:
    """Keeps ``contracts.forge.Forge`` for the projects of one GitLab host."""

    def __init__(
        self,
        host: str,
        url: str,
        token: Callable[[], str],
        *,
        verify: bool | str = True,
        seconds_between_writes: float = 0.2,
        proxy: Proxy = no_proxy,
        paces: Paces | None = None,
    ) -> None:
        self._host, self._url, self._token, self._verify = host, url.rstrip("/"), token, verify
        self._proxy = proxy
        self._pace = (paces or Paces()).of(host, seconds_between_writes)
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="gitlab")
        self._projects: dict[str, _Project] = {}

    async def publish(self, wanted: PullRequestDraft) -> PullRequest:
        """Open the merge request of the head branch, or bring the open one up to date, whoever opened it."""
        return await self._of_remote(wanted.repo, lambda place: self._published(place, wanted))

    async def find(self, repo: str, head_branch: str) -> PullRequest | None:
        """The open merge request of a head branch."""

        def found(place: _Project) -> PullRequest | None:
            told = _open(place, head_branch)
            return merge_request(told, repo, place.place) if told else None

        return await self._of_remote(repo, found)

    async def get(self, pull_request_id: str) -> PullRequest:
        """One merge request. Raises ``NotFound``."""

        def deed(place: _Project, number: int) -> PullRequest:
            found = self._word(place, _get(place, number))
            for seconds in MERGEABLE_PAUSES:
                if found.mergeable is not None or found.state is not PullRequestState.OPEN:
                    break
                # Being asked makes GitLab find out, in the background; nothing tells when it has.
                time.sleep(seconds)
                found = self._word(place, _get(place, number))
            return found.model_copy(update={"base_tip": _tip(place, found.base_branch)})

        return await self._of(pull_request_id, deed)

    async def mark_ready(self, pull_request_id: str) -> PullRequest:
        """No draft any more. Raises ``Conflict`` when it is not open."""

        def deed(place: _Project, number: int) -> PullRequest:
            told = _get(place, number)
            if told["state"] != "opened":
                raise Conflict(f"{pull_request_id} is {told['state']}; only an open merge request can be marked ready.")
            if is_draft(told):
                told = _edit(place, number, "marking the merge request ready", title=titled(told["title"], draft=False))
            return self._word(place, told)

        return await self._of(pull_request_id, deed)

    async def close(self, pull_request_id: str) -> PullRequest:
        """Close without merging; closing twice is closing once. Raises ``Conflict`` for a merged one."""

        def deed(place: _Project, number: int) -> PullRequest:
            now = self._word(place, _get(place, number))
            if now.state is PullRequestState.MERGED:
                raise Conflict(f"{pull_request_id} is merged; it cannot be closed any more.")
            if now.state is PullRequestState.CLOSED:
                return now
            return self._word(place, _edit(place, number, "closing the merge request", state_event="close"))

        return await self._of(pull_request_id, deed)

    async def add_labels(self, pull_request_id: str, labels: list[str]) -> None:
        """Add labels; GitLab makes those that the project does not have."""

        def deed(place: _Project, number: int) -> None:
            present = set(_get(place, number)["labels"])
            if new := [label for label in labels if label not in present]:
                _edit(place, number, "adding labels", add_labels=",".join(new))

        await self._of(pull_request_id, deed)

    async def ask_for_review(self, pull_request_id: str, reviewers: list[str]) -> None:
        """Ask people by their user names. Raises ``InvalidInput`` for somebody who cannot review there."""

        def deed(place: _Project, number: int) -> None:
            present = {username(user): user["id"] for user in _get(place, number).get("reviewers") or ()}
            new = {name: place.people.id_of(name) for name in reviewers if name not in present}
            if not new:
                return
            told = _edit(place, number, "asking for a review", reviewer_ids=[*present.values(), *new.values()])
            taken = {user["id"] for user in told.get("reviewers") or ()}
            if refused := [name for name, id_ in new.items() if id_ not in taken]:
                raise InvalidInput(
                    f"GitLab did not take {', '.join(refused)}: they must be members of the project, and the free "
                    "tier takes one reviewer."
                )

        await self._of(pull_request_id, deed)

    async def keep_comment(self, pull_request_id: str, key: str, body: str) -> KeptComment:
        """The one note of a key: made the first time, edited in place afterwards."""
        return await self._of(pull_request_id, lambda place, number: _kept_note(place, f"merge_requests/{number}", key, body))

    async def keep_ticket_comment(self, place: TicketPlace, key: str, body: str) -> KeptComment:
        """The one note of a key on an issue. Raises ``NotFound``."""
        where = HostedRepository(self._host, place.repository)
        return await self._in_turn(where, lambda at: _kept_note(at, f"issues/{int(place.key)}", key, body))

    async def show_check(self, pull_request_id: str, check: ShownCheck) -> None:
        """Our status on a commit."""
        await self._of(pull_request_id, lambda place, _: ci.show_status(place.connection, check))

    async def report_checks(self, pull_request_id: str, report: ChecksReport, url: str = "") -> None:
        """Show the checks of a commit as our status."""
        await self.show_check(pull_request_id, shown_report(report, url))

    async def reviews(self, pull_request_id: str) -> list[Review]:
        """Approvals and requests for changes that count, oldest first."""
        return await self._of(pull_request_id, lambda place, number: _remarks(place, number).reviews())

    async def threads(self, pull_request_id: str) -> list[Thread]:
        """Discussions on lines and beside them, oldest first."""
        return await self._of(pull_request_id, lambda place, number: _remarks(place, number).threads())

    async def answer(self, pull_request_id: str, answers: list[ThreadAnswer]) -> None:
        """Answer in the discussions, each once; addressed ones are resolved."""
        await self._of(pull_request_id, lambda place, number: _remarks(place, number).answer(answers))

    async def ci(self, pull_request_id: str, commit: str = "") -> CiReport:
        """Jobs and statuses of a commit; empty: the head."""

        def deed(place: _Project, number: int) -> CiReport:
            told = _get(place, number)
            head = told["sha"]
            if commit not in ("", head):
                return ci.report(place.connection, commit, None)
            rules = place.connection.get("", "reading the project")
            needed = bool(rules.get("only_allow_merge_if_pipeline_succeeds"))
            return ci.report(place.connection, head, told.get("head_pipeline"), needed)

        return await self._of(pull_request_id, deed)

    async def job_log(self, pull_request_id: str, check: CiCheck) -> JobLog:
        """What a job printed. Raises ``NotFound``."""
        return await self._of(pull_request_id, lambda place, _: ci.job_log(place.connection, check))

    async def rerun(self, pull_request_id: str, check: CiCheck) -> None:
        """Run a job once more. Raises ``Conflict`` when GitLab does not."""
        await self._of(pull_request_id, lambda place, _: ci.rerun(place.connection, check))

    async def trigger(self, pull_request_id: str, name: str) -> None:
        """Start the merge request's pipeline. Raises ``Conflict`` when GitLab does not."""
        await self._of(pull_request_id, lambda place, number: ci.trigger(place.connection, number, _get(place, number)))

    async def search_tickets(self, search: TicketSearch) -> FoundTickets:
        """Open issues that ask for a task, of the lists that changed since the search before."""
        where = HostedRepository(self._host, search.repository)
        return await self._in_turn(where, lambda place: asking.search(place.connection, search))

    async def asked_ticket(self, search: TicketSearch, number: int) -> AskedTicket:
        """An issue and who asked for a task with it. Raises ``NotFound``."""
        where = HostedRepository(self._host, search.repository)
        return await self._in_turn(where, lambda place: asking.asked(place.connection, search, number))

    async def look(self, watches: Sequence[Watch]) -> list[Look]:
        """Whether anything changed at merge requests since the look before."""

        async def glance(meant: HostedRepository, number: int, watch: Watch, shared: Shared) -> Look:
            return await self._in_turn(meant, lambda place: watching.look(place.connection, number, watch, shared))

        return await looks(watches, glance)

    def git_access(self, remote: str) -> Mapping[str, str]:
        """What git needs in its environment to fetch from and push to a project here."""
        meant = hosted_repository(remote)
        # A token for TLS never goes out without it.
        if meant is None or meant.host != self._host or not remote.startswith(f"{urlsplit(self._url).scheme}:"):
            return {}
        return git_access(self._url, "oauth2", self._token(), self._verify, self._proxy())

    def spent(self) -> int:
        """Requests so far that GitLab had to work for."""
        return sum(project.connection.spent for project in self._projects.values())

    # -- how ---------------------------------------------------------------------------------------------------

    async def _of(self, pull_request_id: str, deed: Callable[[_Project, int], R]) -> R:
        meant = HostedPullRequest.of(pull_request_id)
        if (meant.kind, meant.repository.host) != ("gitlab", self._host):
            raise NotFound(f"There is no merge request {pull_request_id!r} on {self._host}.")
        return await self._in_turn(meant.repository, lambda place: deed(place, meant.number))

    async def _of_remote(self, remote: str, deed: Callable[[_Project], R]) -> R:
        meant = hosted_repository(remote)
        if meant is None or meant.host != self._host:
            raise InvalidInput(f"{remote} is no repository of {self._host}.")
        return await self._in_turn(meant, deed)

    async def _in_turn(self, meant: HostedRepository, deed: Callable[[_Project], R]) -> R:
        place = self._projects.get(meant.path.lower())
        if place is None:
            reached = {"verify": self._verify, "proxy": self._proxy}
            connection = GitLabConnection(self._url, meant.path, self._token, self._pace, **reached)
            place = self._projects.setdefault(meant.path.lower(), _Project(meant, connection))

        def done() -> R:
            with place.turn:
                return deed(place)

        return await asyncio.get_running_loop().run_in_executor(self._threads, done)

    def _published(self, place: _Project, wanted: PullRequestDraft) -> PullRequest:
        told = _open(place, wanted.head_branch) or _opened(place, wanted)
        draft = wanted.draft and is_draft(told)
        facts = {
            "title": titled(wanted.title, draft),
            "description": described(told.get("description") or "", wanted.body, wanted.task_id),
            "target_branch": wanted.base_branch,
        }
        if changed := {name: value for name, value in facts.items() if (told.get(name) or "") != value}:
            told = _edit(place, told["iid"], "bringing the merge request up to date", **changed)
        # What GitLab tells may still be of the head before the push.
        return merge_request(told, wanted.repo, place.place).model_copy(update={"head_commit": wanted.head_commit})

    def _word(self, place: _Project, told: dict[str, Any]) -> PullRequest:
        return merge_request(told, f"{self._url}/{place.place.path}.git", place.place)


def _remarks(place: _Project, number: int) -> Remarks:
    return Remarks(place.connection, place.people, number)


def _get(place: _Project, number: int) -> dict[str, Any]:
    return place.connection.get(f"merge_requests/{number}", "reading the merge request")


def _tip(place: _Project, branch: str) -> str:
    """Where a branch stands. A merge request itself tells of its target as it was when its source was pushed."""
    try:
        return place.connection.get(f"repository/branches/{quote(branch, safe='')}", "reading the branch")["commit"]["id"]
    except NotFound:
        return ""


def _edit(place: _Project, number: int, deed: str, **facts: Any) -> dict[str, Any]:
    return place.connection.put(f"merge_requests/{number}", deed, **facts)


def _open(place: _Project, head_branch: str) -> dict[str, Any] | None:
    found = place.connection.pages("merge_requests", "finding the merge request", state="opened", source_branch=head_branch)
    # A fork may have a branch of that name, too.
    return next((told for told in found if told["source_project_id"] == told["target_project_id"]), None)


def _opened(place: _Project, wanted: PullRequestDraft) -> dict[str, Any]:
    # GitLab opens a merge request of nothing without a word.
    ahead = place.connection.get(
        "repository/compare", "comparing the branches", **{"from": wanted.base_branch, "to": wanted.head_branch}
    )
    if not ahead["commits"]:
        raise InvalidInput(f"{wanted.head_branch} has no commit beyond {wanted.base_branch}; there is nothing to propose.")
    try:
        return place.connection.post(
            "merge_requests",
            "opening the merge request",
            source_branch=wanted.head_branch,
            target_branch=wanted.base_branch,
            title=titled(wanted.title, wanted.draft),
            description=described("", wanted.body, wanted.task_id),
        )
    except Conflict:
        # Our own request whose answer was lost, or somebody who was faster.
        if found := _open(place, wanted.head_branch):
            return found
        raise


def _kept_note(place: _Project, on: str, key: str, body: str) -> KeptComment:
    ours, wanted, notes = mark("comment", key), marked(body, mark("comment", key)), f"{on}/notes"
    told = place.connection.pages(notes, "reading the notes", sort="asc", order_by="created_at")
    found = next((note for note in told if ours in (note.get("body") or "") and place.people.is_ours(note)), None)
    if found is None:
        found = place.connection.post(notes, "writing a note", body=wanted)
    elif found["body"] != wanted:
        found = place.connection.put(f"{notes}/{found['id']}", "changing a note", body=wanted)
    url = f"{place.connection.get(on, 'reading where a note is')['web_url']}#note_{found['id']}"
    return KeptComment(id=str(found["id"]), body=body, url=url)
