"""Every forge of this service as one: a repository's host says which one is meant, and so does a pull request's id."""

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from contracts.checks import ChecksReport
from contracts.ci import CiCheck, CiReport, JobLog
from contracts.errors import InvalidInput, NotFound
from contracts.forge import Forge, KeptComment, PullRequest, PullRequestDraft, ShownCheck
from contracts.review import Review, Thread, ThreadAnswer
from contracts.watching import Look, Watch
from mcp_servers.repo.host_forge import HostForge
from mcp_servers.repo.hosted import SEPARATOR, HostedPullRequest, hosted_repository
from mcp_servers.repo.looking import in_groups, problem


class Forges:
    """Keeps ``contracts.forge.Forge``; whatever lives on no host that is known belongs to the local forge."""

    def __init__(self, local: Forge, hosted: Mapping[str, HostForge]) -> None:
        self._local = local
        self._hosted = {host.lower(): forge for host, forge in hosted.items()}

    @property
    def hosted(self) -> Mapping[str, HostForge]:
        """Those that live on a host, by that host."""
        return self._hosted

    def git_access(self, remote: str) -> Mapping[str, str]:
        """What git needs in its environment to reach a remote; nothing for hosts without a forge. Blocks."""
        forge = self._hosted_of(remote)
        return forge.git_access(remote) if forge else {}

    async def publish(self, wanted: PullRequestDraft) -> PullRequest:
        """Open the pull request of the head branch, or bring the open one up to date."""
        return await self._of_remote(wanted.repo).publish(wanted)

    async def find(self, repo: str, head_branch: str) -> PullRequest | None:
        """The open pull request of a head branch."""
        return await self._of_remote(repo).find(repo, head_branch)

    async def get(self, pull_request_id: str) -> PullRequest:
        """One pull request. Raises ``NotFound``."""
        return await self._of(pull_request_id).get(pull_request_id)

    async def mark_ready(self, pull_request_id: str) -> PullRequest:
        """No draft any more."""
        return await self._of(pull_request_id).mark_ready(pull_request_id)

    async def close(self, pull_request_id: str) -> PullRequest:
        """Close without merging."""
        return await self._of(pull_request_id).close(pull_request_id)

    async def add_labels(self, pull_request_id: str, labels: list[str]) -> None:
        """Add labels."""
        await self._of(pull_request_id).add_labels(pull_request_id, labels)

    async def ask_for_review(self, pull_request_id: str, reviewers: list[str]) -> None:
        """Ask people for a review."""
        await self._of(pull_request_id).ask_for_review(pull_request_id, reviewers)

    async def keep_comment(self, pull_request_id: str, key: str, body: str) -> KeptComment:
        """The one comment of a key."""
        return await self._of(pull_request_id).keep_comment(pull_request_id, key, body)

    async def show_check(self, pull_request_id: str, check: ShownCheck) -> None:
        """Our verdict beside a commit."""
        await self._of(pull_request_id).show_check(pull_request_id, check)

    async def report_checks(self, pull_request_id: str, report: ChecksReport, url: str = "") -> None:
        """The checks of a commit."""
        await self._of(pull_request_id).report_checks(pull_request_id, report, url)

    async def reviews(self, pull_request_id: str) -> list[Review]:
        """All reviews that count, oldest first."""
        return await self._of(pull_request_id).reviews(pull_request_id)

    async def threads(self, pull_request_id: str) -> list[Thread]:
        """All that people remarked, oldest first."""
        return await self._of(pull_request_id).threads(pull_request_id)

    async def answer(self, pull_request_id: str, answers: list[ThreadAnswer]) -> None:
        """Answer in the threads."""
        await self._of(pull_request_id).answer(pull_request_id, answers)

    async def ci(self, pull_request_id: str, commit: str = "") -> CiReport:
        """What the forge's checks say about a commit."""
        return await self._of(pull_request_id).ci(pull_request_id, commit)

    async def job_log(self, pull_request_id: str, check: CiCheck) -> JobLog:
        """What a check printed."""
        return await self._of(pull_request_id).job_log(pull_request_id, check)

    async def rerun(self, pull_request_id: str, check: CiCheck) -> None:
        """Run a check once more."""
        await self._of(pull_request_id).rerun(pull_request_id, check)

    async def trigger(self, pull_request_id: str, name: str) -> None:
        """Start a required check that never began."""
        await self._of(pull_request_id).trigger(pull_request_id, name)

    async def look(self, watches: Sequence[Watch]) -> list[Look]:
        """Look at pull requests of any host again, each host by itself; what is wrong is in the looks.

        Raises ``NotFound`` for an id of no host.
        """
        hosts = [HostedPullRequest.of(watch.pull_request_id).repository.host for watch in watches]
        return await in_groups(hosts, lambda host, group: self._looks(host, [watches[at] for at in group]))

    async def _looks(self, host: str, watches: Sequence[Watch]) -> list[Look]:
        if host not in self._hosted:
            unknown = NotFound(f"No forge is configured for {host}.")
            return [problem(watch, unknown) for watch in watches]
        return await self._hosted[host].look(watches)

    def _of_remote(self, remote: str) -> Forge:
        return self._hosted_of(remote) or self._local

    def _hosted_of(self, remote: str) -> HostForge | None:
        """The forge of a remote's host. A git server of another kind may call its repositories as it likes."""
        try:
            meant = hosted_repository(remote)
        except InvalidInput:
            if urlsplit(remote).netloc.rpartition("@")[2].lower() in self._hosted:
                raise
            return None
        return self._hosted.get(meant.host) if meant else None

    def _of(self, pull_request_id: str) -> Forge:
        if SEPARATOR not in pull_request_id:
            return self._local
        host = HostedPullRequest.of(pull_request_id).repository.host
        if host not in self._hosted:
            raise NotFound(f"There is no pull request {pull_request_id!r}: no forge is configured for {host}.")
        return self._hosted[host]
