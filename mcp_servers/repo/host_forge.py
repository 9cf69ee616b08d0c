"""A forge on a host as everybody asks it: each deed in a thread, for its libraries block, and in its repository's turn."""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from contracts.checks import ChecksReport
from contracts.ci import CiCheck, CiReport, JobLog
from contracts.errors import Conflict, InvalidInput, NotFound
from contracts.forge import KeptComment, PullRequest, PullRequestDraft, PullRequestState, ShownCheck
from contracts.review import Review, Thread, ThreadAnswer
from contracts.ticket import TicketPlace
from contracts.ticket_search import AskedTicket, FoundTickets, TicketSearch
from contracts.watching import Look, Watch
from mcp_servers.repo.hosted import HostedPullRequest, HostedRepository, hosted_repository
from mcp_servers.repo.looking import Shared, looks
from mcp_servers.repo.shown_report import shown_report

R = TypeVar("R")
THREADS = 8
"""Repositories of one host that are spoken about at once."""


MERGEABLE_PAUSES = (0.5, 1.5)
"""Seconds before a pull request is read again of which the forge does not know whether it merges."""


class Remarks(Protocol):
    """What people say at one pull request. Blocks."""

    def reviews(self) -> list[Review]:
        """Verdicts that count, oldest first."""
        ...

    def threads(self) -> list[Thread]:
        """What is said on lines and beside them, oldest first."""
        ...

    def answer(self, answers: list[ThreadAnswer]) -> None:
        """Answer in the threads, each once; addressed ones are resolved where that is possible."""
        ...


class HostRepository(ABC):
    """What can be done with one repository of a host. Every deed blocks; ``number`` is a pull request's or a ticket's."""

    def __init__(self, place: HostedRepository) -> None:
        self.place = place
        # A deed looks before it writes. Two at once would both see nothing.
        self.turn = threading.Lock()

    @abstractmethod
    def publish(self, wanted: PullRequestDraft) -> PullRequest:
        """Open the pull request of the head branch, or bring the open one up to date, whoever opened it."""

    @abstractmethod
    def find(self, head_branch: str, repo: str) -> PullRequest | None:
        """The open pull request of a head branch."""

    @abstractmethod
    def get(self, number: int) -> PullRequest:
        """A pull request. Raises ``NotFound``."""

    @abstractmethod
    def remarks(self, number: int) -> Remarks:
        """What people say at a pull request."""

    @abstractmethod
    def base_tip(self, found: PullRequest) -> str:
        """Where its base branch stands; the forge itself tells of it as it was when the head was pushed."""

    @abstractmethod
    def mark_ready(self, number: int) -> PullRequest:
        """An open pull request is no draft any more."""

    @abstractmethod
    def close(self, number: int) -> PullRequest:
        """Close an open pull request."""

    @abstractmethod
    def add_labels(self, number: int, labels: list[str]) -> None:
        """Add labels; the forge makes those that the repository does not have."""

    @abstractmethod
    def ask_for_review(self, number: int, reviewers: list[str]) -> None:
        """Ask people for a review. Raises ``InvalidInput`` for who cannot review there."""

    @abstractmethod
    def keep_comment(self, number: int, key: str, body: str) -> KeptComment:
        """The one comment of a key on a pull request."""

    @abstractmethod
    def keep_ticket_comment(self, number: int, key: str, body: str) -> KeptComment:
        """The one comment of a key on a ticket. Raises ``NotFound``."""

    @abstractmethod
    def show_check(self, check: ShownCheck) -> None:
        """Our verdict on a commit."""

    @abstractmethod
    def ci(self, number: int, commit: str) -> CiReport:
        """The checks of a commit; empty: the head."""

    @abstractmethod
    def job_log(self, check: CiCheck) -> JobLog:
        """What a check printed. Raises ``NotFound``."""

    @abstractmethod
    def rerun(self, check: CiCheck) -> None:
        """Run a check once more. Raises ``Conflict`` where the forge does not, ``StillRunning``."""

    @abstractmethod
    def trigger(self, number: int, name: str) -> None:
        """Start a required check that never began. Raises ``Conflict`` when the forge does not."""

    @abstractmethod
    def search_tickets(self, search: TicketSearch) -> FoundTickets:
        """Open tickets that ask for a task, of the lists that changed since the search before."""

    @abstractmethod
    def asked_ticket(self, search: TicketSearch, number: int) -> AskedTicket:
        """A ticket and who asked for a task with it. Raises ``NotFound``."""

    @abstractmethod
    def look(self, number: int, watch: Watch, shared: Shared) -> Look:
        """Whether anything changed at a pull request since the look before."""

    @property
    @abstractmethod
    def spent(self) -> int:
        """Requests so far that the forge counts."""


class HostForge(ABC):
    """Keeps ``contracts.forge.Forge`` for the repositories of one host."""

    kind: str
    """``github`` or ``gitlab``."""

    def __init__(self, host: str) -> None:
        self.host = host
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix=self.kind)
        self._repositories: dict[str, HostRepository] = {}

    @abstractmethod
    def repository(self, place: HostedRepository) -> HostRepository:
        """A repository of this host as it is used from now on. Raises ``InvalidInput`` for what can be none."""

    @abstractmethod
    def git_access(self, remote: str) -> Mapping[str, str]:
        """What git needs in its environment to fetch from and push to a repository here. Blocks."""

    def spent(self) -> int:
        """Requests so far that the forge counts: what it answered with 304 costs nothing on GitHub."""
        return sum(repository.spent for repository in self._repositories.values())

    # -- the pull request --------------------------------------------------------------------------------------

    async def publish(self, wanted: PullRequestDraft) -> PullRequest:
        """Open the pull request of the head branch, or bring the open one up to date, whoever opened it."""
        return await self._of_remote(wanted.repo, lambda place: place.publish(wanted))

    async def find(self, repo: str, head_branch: str) -> PullRequest | None:
        """The open pull request of a head branch."""
        return await self._of_remote(repo, lambda place: place.find(head_branch, repo))

    async def get(self, pull_request_id: str) -> PullRequest:
        """One pull request, with where its base branch stands now. Raises ``NotFound``."""
        found = await self._of(pull_request_id, lambda place, number: place.get(number))
        for seconds in MERGEABLE_PAUSES:
            if found.mergeable is not None or found.state is not PullRequestState.OPEN:
                break
            # Being asked makes the forge find out, in the background; nothing tells when it has.
            await asyncio.sleep(seconds)
            found = await self._of(pull_request_id, lambda place, number: place.get(number))
        tip = await self._of(pull_request_id, lambda place, _, told=found: place.base_tip(told))
        return found.model_copy(update={"base_tip": tip})

    async def mark_ready(self, pull_request_id: str) -> PullRequest:
        """No draft any more. Raises ``Conflict`` when it is not open."""

        def deed(place: HostRepository, number: int) -> PullRequest:
            now = place.get(number)
            if now.state is not PullRequestState.OPEN:
                raise Conflict(f"{pull_request_id} is {now.state}; only an open pull request can be marked ready.")
            return place.mark_ready(number)

        return await self._of(pull_request_id, deed)

    async def close(self, pull_request_id: str) -> PullRequest:
        """Close without merging; closing twice is closing once. Raises ``Conflict`` for a merged one."""

        def deed(place: HostRepository, number: int) -> PullRequest:
            now = place.get(number)
            if now.state is PullRequestState.MERGED:
                raise Conflict(f"{pull_request_id} is merged; it cannot be closed any more.")
            return now if now.state is PullRequestState.CLOSED else place.close(number)

        return await self._of(pull_request_id, deed)

    async def add_labels(self, pull_request_id: str, labels: list[str]) -> None:
        """Add labels; those that are there stay."""
        await self._of(pull_request_id, lambda place, number: place.add_labels(number, labels))

    async def ask_for_review(self, pull_request_id: str, reviewers: list[str]) -> None:
        """Ask people for a review. Raises ``InvalidInput`` for who cannot review there."""
        await self._of(pull_request_id, lambda place, number: place.ask_for_review(number, reviewers))

    # -- what is said ------------------------------------------------------------------------------------------

    async def keep_comment(self, pull_request_id: str, key: str, body: str) -> KeptComment:
        """The one comment of a key: made the first time, edited in place afterwards."""
        return await self._of(pull_request_id, lambda place, number: place.keep_comment(number, key, body))

    async def keep_ticket_comment(self, place: TicketPlace, key: str, body: str) -> KeptComment:
        """The one comment of a key on a ticket. Raises ``NotFound``."""
        where = HostedRepository(self.host, place.repository)
        return await self._in_turn(where, lambda there: there.keep_ticket_comment(int(place.key), key, body))

    async def reviews(self, pull_request_id: str) -> list[Review]:
        """Verdicts that count, oldest first."""
        return await self._of(pull_request_id, lambda place, number: place.remarks(number).reviews())

    async def threads(self, pull_request_id: str) -> list[Thread]:
        """What people say on lines and beside them, oldest first."""
        return await self._of(pull_request_id, lambda place, number: place.remarks(number).threads())

    async def answer(self, pull_request_id: str, answers: list[ThreadAnswer]) -> None:
        """Answer in the threads, each once; addressed ones are resolved where that is possible."""
        await self._of(pull_request_id, lambda place, number: place.remarks(number).answer(answers))

    # -- checks ------------------------------------------------------------------------------------------------

    async def show_check(self, pull_request_id: str, check: ShownCheck) -> None:
        """Our verdict on a commit."""
        await self._of(pull_request_id, lambda place, _: place.show_check(check))

    async def report_checks(self, pull_request_id: str, report: ChecksReport, url: str = "") -> None:
        """Show the checks of a commit as our verdict on it."""
        await self.show_check(pull_request_id, shown_report(report, url))

    async def ci(self, pull_request_id: str, commit: str = "") -> CiReport:
        """The checks of a commit; empty: the head."""
        return await self._of(pull_request_id, lambda place, number: place.ci(number, commit))

    async def job_log(self, pull_request_id: str, check: CiCheck) -> JobLog:
        """What a check printed. Raises ``NotFound``."""
        return await self._of(pull_request_id, lambda place, _: place.job_log(check))

    async def rerun(self, pull_request_id: str, check: CiCheck) -> None:
        """Run a check once more. Raises ``Conflict`` where the forge does not, ``StillRunning``."""
        await self._of(pull_request_id, lambda place, _: place.rerun(check))

    async def trigger(self, pull_request_id: str, name: str) -> None:
        """Start a required check that never began. Raises ``Conflict`` when the forge does not."""
        await self._of(pull_request_id, lambda place, number: place.trigger(number, name))

    # -- looking -----------------------------------------------------------------------------------------------

    async def search_tickets(self, search: TicketSearch) -> FoundTickets:
        """Open tickets that ask for a task, of the lists that changed since the search before."""
        where = HostedRepository(self.host, search.repository)
        return await self._in_turn(where, lambda place: place.search_tickets(search))

    async def asked_ticket(self, search: TicketSearch, number: int) -> AskedTicket:
        """A ticket and who asked for a task with it. Raises ``NotFound``."""
        where = HostedRepository(self.host, search.repository)
        return await self._in_turn(where, lambda place: place.asked_ticket(search, number))

    async def look(self, watches: Sequence[Watch]) -> list[Look]:
        """Whether anything changed at pull requests since the look before."""

        async def glance(meant: HostedRepository, number: int, watch: Watch, shared: Shared) -> Look:
            return await self._in_turn(meant, lambda place: place.look(number, watch, shared))

        return await looks(watches, glance)

    # -- how ---------------------------------------------------------------------------------------------------

    def forget(self) -> None:
        """Make each repository anew when it is asked next: what was known of its people and answers is gone."""
        self._repositories.clear()

    async def _of(self, pull_request_id: str, deed: Callable[[HostRepository, int], R]) -> R:
        meant = HostedPullRequest.of(pull_request_id)
        if (meant.kind, meant.repository.host) != (self.kind, self.host):
            raise NotFound(f"There is no pull request {pull_request_id!r} on {self.host}.")
        return await self._in_turn(meant.repository, lambda place: deed(place, meant.number))

    async def _of_remote(self, remote: str, deed: Callable[[HostRepository], R]) -> R:
        meant = hosted_repository(remote)
        if meant is None or meant.host != self.host:
            raise InvalidInput(f"{remote} is no repository of {self.host}.")
        return await self._in_turn(meant, deed)

    async def _in_turn(self, meant: HostedRepository, deed: Callable[[HostRepository], R]) -> R:
        key = meant.path.lower()
        place = self._repositories.get(key) or self._repositories.setdefault(key, self.repository(meant))

        def done() -> R:
            with place.turn:
                return deed(place)

        return await asyncio.get_running_loop().run_in_executor(self._threads, done)
