"""Tools of the service that show something at a pull request, or read what the forge's own checks say."""

from collections.abc import Awaitable, Callable

from mcp.server.mcpserver import MCPServer

from contracts.ci import CiCheck, CiReport, JobLog
from contracts.forge import Forge, KeptComment, PullRequest, ShownCheck
from contracts.watching import Looks, Watch
from contracts.word import Word
from mcp_servers.failures import tell_failures
from mcp_servers.repo.answers import Done
from mcp_servers.repo.gate import ChangeGate


def add_forge_tools(server: MCPServer, forge: Forge, gate: ChangeGate) -> None:
    """Register them; ``gate`` takes credentials out of what they say."""
    tools = _ForgeTools(forge, gate)

    def offer(*offered: Callable[..., Awaitable[Word]]) -> None:
        for tool in offered:
            server.tool()(tell_failures(tool))

    offer(tools.mark_ready, tools.add_labels, tools.ask_for_review, tools.keep_comment, tools.show_check)
    offer(tools.ci_report, tools.job_log, tools.rerun_check, tools.trigger_check, tools.look_at_pull_requests)


class _ForgeTools:
    def __init__(self, forge: Forge, gate: ChangeGate) -> None:
        self._forge, self._gate = forge, gate

    async def mark_ready(self, pull_request_id: str) -> PullRequest:
        """For the service: the pull request is no draft any more."""
        return await self._forge.mark_ready(pull_request_id)

    async def add_labels(self, pull_request_id: str, labels: list[str]) -> Done:
        """For the service: add labels to a pull request."""
        await self._forge.add_labels(pull_request_id, labels)
        return Done()

    async def ask_for_review(self, pull_request_id: str, reviewers: list[str]) -> Done:
        """For the service: ask people for a review."""
        await self._forge.ask_for_review(pull_request_id, reviewers)
        return Done()

    async def keep_comment(self, pull_request_id: str, key: str, body: str) -> KeptComment:
        """For the service: the one comment of a key; made the first time, edited in place afterwards."""
        return await self._forge.keep_comment(pull_request_id, key, self._gate.clean(body))

    async def show_check(self, pull_request_id: str, check: ShownCheck) -> Done:
        """For the service: show the task's verdict beside a commit."""
        await self._forge.show_check(pull_request_id, check)
        return Done()

    async def ci_report(self, pull_request_id: str, commit: str = "") -> CiReport:
        """For the service: what the forge's own checks say about a commit (empty: the head)."""
        return await self._forge.ci(pull_request_id, commit)

    async def job_log(self, pull_request_id: str, check: CiCheck) -> JobLog:
        """For the service: what one of the forge's checks printed."""
        return await self._forge.job_log(pull_request_id, check)

    async def rerun_check(self, pull_request_id: str, check: CiCheck) -> Done:
        """For the service: run one of the forge's checks once more."""
        await self._forge.rerun(pull_request_id, check)
        return Done()

    async def trigger_check(self, pull_request_id: str, name: str) -> Done:
        """For the service: start a required check of the forge that never began."""
        await self._forge.trigger(pull_request_id, name)
        return Done()

    async def look_at_pull_requests(self, watches: list[Watch]) -> Looks:
        """For the service: whether anything changed at pull requests since the look before, whose memory is handed in."""
        return Looks(looks=tuple(await self._forge.look(watches)))
