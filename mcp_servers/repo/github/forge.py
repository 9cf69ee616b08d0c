"""GitHub as a forge."""

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
from mcp_servers.repo.github import asking, ci, documents, rerunning, watching
from mcp_servers.repo.github.app import Credential
from mcp_servers.repo.github.connection import Endpoint, GitHubConnection
from mcp_servers.repo.github.people import People
from mcp_servers.repo.github.threads import Remarks
from mcp_servers.repo.github.words import pull_request
from mcp_servers.repo.hosted import HostedPullRequest, HostedRepository, hosted_repository
from mcp_servers.repo.looking import Shared, looks
from mcp_servers.repo.marks import described, mark, marked
from mcp_servers.repo.pace import Pace, Paces
from mcp_servers.repo.shown_report import shown_report

R = TypeVar("R")
THREADS = 8
"""Repositories that are spoken about at once."""
MERGEABLE_PAUSES = (0.5, 1.5)
"""Seconds before a pull request is read again that GitHub does not know to be mergeable or not."""


class _Repository:
    """What is kept for one repository: its connection, its people, and whose turn it is."""

    def __init__(self, place: HostedRepository, connection: GitHubConnection, credential: Credential) -> None:
        self.place = place
        self.connection = connection
        self.people = People(connection, lambda: credential.login(connection))
        # A deed looks before it writes. Two at once would both see nothing.
        self.turn = threading.Lock()


class GitHubForge:
    """Keeps ``contracts.forge.Forge`` for the repositories of one GitHub host."""

    def __init__(
        self,
        host: str,
        endpoint: Endpoint,
        credential: Credential,
        seconds_between_writes: float = 1.0,
        clone_url: str = "",
        paces: Paces | None = None,
    ) -> None:
        self._host = host
        self._endpoint = endpoint
        self._credential = credential
        # The API and git speak the same scheme: a token for TLS never goes out without it.
        self._clone_url = clone_url or f"{urlsplit(endpoint.api_url).scheme}://{host}"
        self._paces, self._between = paces or Paces(), seconds_between_writes
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="github")
        self._repositories: dict[str, _Repository] = {}

    async def publish(self, wanted: PullRequestDraft) -> PullRequest:
        """Open the pull request of the head branch, or bring the open one up to date, whoever opened it."""
        return await self._of_remote(wanted.repo, lambda place: self._published(place, wanted))

    async def find(self, repo: str, head_branch: str) -> PullRequest | None:
        """The open pull request of a head branch."""

        def found(place: _Repository) -> PullRequest | None:
            told = _open(place, head_branch)
            return pull_request(told, repo, place.place) if told else None

        return await self._of_remote(repo, found)

    async def get(self, pull_request_id: str) -> PullRequest:
        """One pull request. Raises ``NotFound``."""

        def deed(place: _Repository, number: int) -> PullRequest:
            found = self._word(place, _get(place, number))
            for seconds in MERGEABLE_PAUSES:
                if found.mergeable is not None or found.state is not PullRequestState.OPEN:
                    break
                # Being asked makes GitHub find out, in the background; nothing tells when it has.
                time.sleep(seconds)
                found = self._word(place, _get(place, number))
            return found.model_copy(update={"base_tip": _tip(place, found.base_branch)})

        return await self._of(pull_request_id, deed)

    async def mark_ready(self, pull_request_id: str) -> PullRequest:
        """No draft any more. Raises ``Conflict`` when it is not open."""

        def deed(place: _Repository, number: int) -> PullRequest:
            told = _get(place, number)
            if told["state"] != "open":
                raise Conflict(f"{pull_request_id} is {told['state']}; only an open pull request can be marked ready.")
            return self._word(place, _ready(place, told))

        return await self._of(pull_request_id, deed)

    async def close(self, pull_request_id: str) -> PullRequest:
        """Close without merging; closing twice is closing once. Raises ``Conflict`` for a merged one."""

        def deed(place: _Repository, number: int) -> PullRequest:
            now = self._word(place, _get(place, number))
            if now.state is PullRequestState.MERGED:
                raise Conflict(f"{pull_request_id} is merged; it cannot be closed any more.")
            if now.state is PullRequestState.CLOSED:
                return now
            return self._word(place, place.connection.patch(f"pulls/{number}", "closing the pull request", state="closed"))

        return await self._of(pull_request_id, deed)

    async def add_labels(self, pull_request_id: str, labels: list[str]) -> None:
        """Add labels; GitHub makes those that the repository does not have."""

        def deed(place: _Repository, number: int) -> None:
            present = {label["name"].lower() for label in _get(place, number)["labels"]}
            if new := [label for label in labels if label.lower() not in present]:
                place.connection.post(f"issues/{number}/labels", "adding labels", labels=new)

        await self._of(pull_request_id, deed)

    async def ask_for_review(self, pull_request_id: str, reviewers: list[str]) -> None:
        """Ask people (``login``) and teams (``org/team`` or ``@team``). Raises ``InvalidInput`` for who cannot review there."""

        def deed(place: _Repository, number: int) -> None:
            now = self._word(place, _get(place, number))
            asked = {name.lower() for name in (*now.reviewers, now.author)}
            named = [f"@{name.rpartition('/')[2]}" if "/" in name else name for name in reviewers]
            new = [name for name in named if name.lower() not in asked]
            people, teams = [n for n in new if n[0] != "@"], [n[1:] for n in new if n[0] == "@"]
            if new:
                place.connection.post(
                    f"pulls/{number}/requested_reviewers",
                    f"asking {', '.join(new)} for a review",
                    **({"reviewers": people} if people else {}),
                    **({"team_reviewers": teams} if teams else {}),
                )

        await self._of(pull_request_id, deed)

    async def keep_comment(self, pull_request_id: str, key: str, body: str) -> KeptComment:
        """The one comment of a key: made the first time, edited in place afterwards."""

        def deed(place: _Repository, number: int) -> KeptComment:
            return _kept_comment(place, number, key, body)

        return await self._of(pull_request_id, deed)

    async def keep_ticket_comment(self, place: TicketPlace, key: str, body: str) -> KeptComment:
        """The one comment of a key on an issue. Raises ``NotFound``."""
        where = HostedRepository(self._host, place.repository)
        return await self._in_turn(where, lambda at: _kept_comment(at, int(place.key), key, body))

    async def show_check(self, pull_request_id: str, check: ShownCheck) -> None:
        """Our check run on a commit; a status where the credential is no App."""
        show = ci.show_run if self._credential.is_app else ci.show_status
        await self._of(pull_request_id, lambda place, _: show(place.connection, check))

    async def report_checks(self, pull_request_id: str, report: ChecksReport, url: str = "") -> None:
        """Show the checks of a commit as our check run."""
        await self.show_check(pull_request_id, shown_report(report, url))

    async def reviews(self, pull_request_id: str) -> list[Review]:
        """Submitted reviews that were not dismissed, oldest first."""
        return await self._of(pull_request_id, lambda place, number: _remarks(place, number).reviews())

    async def threads(self, pull_request_id: str) -> list[Thread]:
        """Threads on lines, words of reviews and comments beside them, oldest first."""
        return await self._of(pull_request_id, lambda place, number: _remarks(place, number).threads())

    async def answer(self, pull_request_id: str, answers: list[ThreadAnswer]) -> None:
        """Answer in the threads, each once; addressed threads on lines are resolved."""
        await self._of(pull_request_id, lambda place, number: _remarks(place, number).answer(answers))

    async def ci(self, pull_request_id: str, commit: str = "") -> CiReport:
        """Check runs and statuses of a commit; empty: the head."""

        def deed(place: _Repository, number: int) -> CiReport:
            told = _get(place, number)
            return ci.report(place.connection, commit or told["head"]["sha"], quote(told["base"]["ref"], safe=""))

        return await self._of(pull_request_id, deed)

    async def job_log(self, pull_request_id: str, check: CiCheck) -> JobLog:
        """What a check printed. Raises ``NotFound``."""
        return await self._of(pull_request_id, lambda place, _: ci.job_log(place.connection, check))

    async def rerun(self, pull_request_id: str, check: CiCheck) -> None:
        """Run a job of Actions once more. Raises ``Conflict`` for anything else, ``StillRunning``."""
        await self._of(pull_request_id, lambda place, _: rerunning.rerun(place.connection, check))

    async def trigger(self, pull_request_id: str, name: str) -> None:
        """Start the workflow that a required check comes from. Raises ``Conflict`` when it cannot be started by hand."""

        def deed(place: _Repository, number: int) -> None:
            head = _get(place, number)["head"]
            rerunning.trigger(place.connection, head["ref"], head["sha"], name)

        await self._of(pull_request_id, deed)

    async def search_tickets(self, search: TicketSearch) -> FoundTickets:
        """Open issues that ask for a task, of the lists that changed since the search before."""
        where = HostedRepository(self._host, search.repository)
        return await self._in_turn(where, lambda place: asking.search(place.connection, search))

    async def asked_ticket(self, search: TicketSearch, number: int) -> AskedTicket:
        """An issue and who asked for a task with it. Raises ``NotFound``."""
        where = HostedRepository(self._host, search.repository)
        return await self._in_turn(where, lambda place: asking.asked(place.connection, search, number))

    async def look(self, watches: Sequence[Watch]) -> list[Look]:
        """Whether anything changed at pull requests since the look before; free of quota where nothing did."""

        async def glance(meant: HostedRepository, number: int, watch: Watch, shared: Shared) -> Look:
            return await self._in_turn(meant, lambda place: watching.look(place.connection, number, watch, shared))

        return await looks(watches, glance)

    def git_access(self, remote: str) -> Mapping[str, str]:
        """What git needs in its environment to fetch from and push to a repository here. Blocks."""
        meant = hosted_repository(remote)
        if meant is None or meant.host != self._host or not remote.startswith(f"{urlsplit(self._clone_url).scheme}:"):
            return {}
        token = self._credential.token(meant.path)
        return git_access(self._clone_url, "x-access-token", token, self._endpoint.verify, self._endpoint.proxy())

    def spent(self) -> int:
        """Requests so far that counted against the quota."""
        return sum(repository.connection.spent for repository in self._repositories.values())

    # -- how ---------------------------------------------------------------------------------------------------

    async def _of(self, pull_request_id: str, deed: Callable[[_Repository, int], R]) -> R:
        meant = HostedPullRequest.of(pull_request_id)
        if (meant.kind, meant.repository.host) != ("github", self._host):
            raise NotFound(f"There is no pull request {pull_request_id!r} on {self._host}.")
        return await self._in_turn(meant.repository, lambda place: deed(place, meant.number))

    async def _of_remote(self, remote: str, deed: Callable[[_Repository], R]) -> R:
        meant = hosted_repository(remote)
        if meant is None or meant.host != self._host or meant.path.count("/") != 1:
            raise InvalidInput(f"{remote} is no repository of {self._host}.")
        return await self._in_turn(meant, deed)

    async def _in_turn(self, meant: HostedRepository, deed: Callable[[_Repository], R]) -> R:
        key = meant.path.lower()
        place = self._repositories.get(key)
        if place is None:
            connection = GitHubConnection(self._endpoint, meant.path, self._credential, self._pace(meant))
            place = self._repositories.setdefault(key, _Repository(meant, connection, self._credential))

        def done() -> R:
            with place.turn:
                return deed(place)

        return await asyncio.get_running_loop().run_in_executor(self._threads, done)

    def _pace(self, meant: HostedRepository) -> Pace:
        """An App is limited where it is installed, at an owner; a person's token wherever it is used."""
        name = f"{self._host}/{meant.owner}" if self._credential.is_app else self._host
        return self._paces.of(name, self._between)

    def _published(self, place: _Repository, wanted: PullRequestDraft) -> PullRequest:
        told = _open(place, wanted.head_branch) or _opened(place, wanted)
        body = described(told.get("body") or "", wanted.body, wanted.task_id)
        # What GitHub tells of a body has its own line ends.
        changed = {"title": wanted.title} if told["title"] != wanted.title else {}
        if (told.get("body") or "").replace("\r\n", "\n") != body:
            changed["body"] = body
        if told["base"]["ref"] != wanted.base_branch:
            changed["base"] = wanted.base_branch
        if changed:
            told = place.connection.patch(f"pulls/{told['number']}", "bringing the pull request up to date", **changed)
        if told.get("draft") and not wanted.draft:
            told = _ready(place, told)
        # The list and the answer to an edit may still tell of the head before the push.
        published = pull_request(told, wanted.repo, place.place)
        return published.model_copy(update={"head_commit": wanted.head_commit})

    def _word(self, place: _Repository, told: dict[str, Any]) -> PullRequest:
        return pull_request(told, f"{self._clone_url}/{place.place.path}.git", place.place)


def _remarks(place: _Repository, number: int) -> Remarks:
    return Remarks(place.connection, place.people, number)


def _get(place: _Repository, number: int) -> dict[str, Any]:
    return place.connection.get(f"pulls/{number}", "reading the pull request")


def _tip(place: _Repository, branch: str) -> str:
    """Where a branch stands. A pull request itself tells of its base as it was when its head was pushed."""
    try:
        return place.connection.get(f"branches/{quote(branch, safe='')}", "reading the branch")["commit"]["sha"]
    except NotFound:
        return ""


def _open(place: _Repository, head_branch: str) -> dict[str, Any] | None:
    # Without the owner GitHub ignores the filter and tells of all.
    found = place.connection.get("pulls", "finding the pull request", state="open", head=f"{place.place.owner}:{head_branch}")
    return next((told for told in found if told["head"]["ref"] == head_branch), None)


def _opened(place: _Repository, wanted: PullRequestDraft) -> dict[str, Any]:
    body = described("", wanted.body, wanted.task_id)
    asked = {"title": wanted.title, "body": body, "head": wanted.head_branch, "base": wanted.base_branch}
    try:
        return place.connection.post("pulls", "opening the pull request", **asked, draft=wanted.draft)
    except InvalidInput as refused:
        if "No commits between" in refused.message:
            raise InvalidInput(
                f"{wanted.head_branch} has no commit beyond {wanted.base_branch}; there is nothing to propose."
            ) from None
        if "already exists" in refused.message and (found := _open(place, wanted.head_branch)):
            # Our own request whose answer was lost, or somebody who was faster.
            return found
        if wanted.draft and "draft" in refused.message.lower():
            # Some plans know no drafts in private repositories.
            return place.connection.post("pulls", "opening the pull request", **asked, draft=False)
        raise


def _ready(place: _Repository, told: dict[str, Any]) -> dict[str, Any]:
    if told.get("draft"):
        place.connection.graphql(documents.MARK_READY, "marking the pull request ready", pullRequest=told["node_id"])
    return {**told, "draft": False}


def _kept_comment(place: _Repository, number: int, key: str, body: str) -> KeptComment:
    ours, wanted = mark("comment", key), marked(body, mark("comment", key))
    told = place.connection.pages(f"issues/{number}/comments", "reading the comments")
    found = next((one for one in told if ours in (one.get("body") or "") and place.people.is_us(one.get("user"))), None)
    if found is None:
        found = place.connection.post(f"issues/{number}/comments", "writing a comment", body=wanted)
    elif found["body"].replace("\r\n", "\n") != wanted:
        found = place.connection.patch(f"issues/comments/{found['id']}", "changing a comment", body=wanted)
    return KeptComment(id=str(found["id"]), body=body, url=found["html_url"])
