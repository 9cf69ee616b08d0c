"""Putting a change before people: branch, pull request, checks and answers in threads."""

from activities.bound_plan import bound_plan
from activities.capabilities import CallScope, Capabilities
from activities.edge import deed
from activities.editing import ChangedFiles, Threads, WholeDiff
from activities.evidence.ledger import EvidenceLedger
from activities.hosts_tried import HostsTried
from activities.plain_words import one_line
from activities.pull_request.composition import compose
from activities.pull_request.inviting import Invitations
from activities.pull_request.status_comment import StatusComments
from activities.readable_words import readable
from activities.shelf import Shelf
from activities.stores.run_store import RunStore
from contracts.audit import Judged
from contracts.checks import ChecksReport
from contracts.deciding import decide
from contracts.deeds import Publish
from contracts.errors import GuardrailTripped, NotFound
from contracts.event import EventKind, NewEvent
from contracts.forge import PullRequest, PullRequestDraft
from contracts.loosening import LOOSENED, Loosenings
from contracts.remarks import GivenAnswers
from contracts.review import ThreadAnswer
from contracts.steps import ClosingRequest, PublishRequest, PublishResult
from contracts.word import Word


class PublishingDeeds:
    """``OpenPR`` and ``ClosePR``."""

    def __init__(
        self,
        run_store: RunStore,
        shelf: Shelf,
        capabilities: Capabilities,
        public_url: str = "",
        evidence: EvidenceLedger | None = None,
    ) -> None:
        self.run_store = run_store
        self._shelf = shelf
        self._capabilities = capabilities
        self._status = StatusComments(run_store, capabilities, public_url)
        self._evidence = evidence
        self._hosts_tried = HostsTried(run_store)
        self._invitations = Invitations(run_store, capabilities)

    @deed("OpenPR")
    async def publish(self, request: PublishRequest) -> PublishResult:
        """Push the branch, open the pull request or bring it up to date, show the checks, answer the threads."""
        opened = request.preparation.opened
        scope, key = CallScope.of(request.preparation), f"{request.task.id}/publish/{request.commit}/{request.draft}"
        checks = await self._shelf.read(ChecksReport, request.checks) if request.checks else None
        await self._permitted(request, checks, key)
        draft = PullRequestDraft(
            repo=opened.remote,
            head_branch=request.task.branch,
            base_branch=opened.base_branch,
            head_commit=request.commit,
            title=one_line(request.task.request.title),
            body=await self._body(request, checks, scope, key),
            draft=request.draft and request.preparation.recipe.pull_request.draft,
            task_id=request.task.id,
        )
        asked = {"draft": draft.model_dump(mode="json"), "allowed_operations": list(request.allowed_operations)}
        published = await self._capabilities.ask(
            PullRequest, "publish_pull_request", asked, scope, key
        )
        if checks is not None:
            report = {"pull_request_id": published.id, "report": checks.model_dump(mode="json")}
            report["url"] = self._status.page(request.task.id)
            await self._capabilities.ask(Word, "report_checks", report, scope, f"{key}/checks")
        await self._answer(request, published, scope, key)
        await self._tell(request, published)
        await self._accompany(request, published, checks, scope, key)
        return PublishResult(
            pull_request_id=published.id, url=published.url, head_commit=published.head_commit, hosted=published.hosted
        )

    async def _permitted(self, request: PublishRequest, checks: ChecksReport | None, key: str) -> None:
        """Log what the policy says about publishing this commit. Raises ``GuardrailTripped`` when that is no."""
        policy = request.preparation.policy
        shown = checks.results if checks is not None and checks.commit == request.commit else ()
        passed = tuple(result.name for result in shown if result.passed)
        wanted = Publish(step="OpenPR", commit=request.commit, passed_checks=passed)
        decision = decide(policy, wanted)
        judged = Judged(key=f"{key}/{policy.sha256[:16]}", deed=wanted, decision=decision, policy_sha256=policy.sha256)
        await self.run_store.audit.append(request.task.id, [judged])
        if not decision.allowed:
            raise GuardrailTripped(decision.reason)

    @deed("ClosePR")
    async def close(self, request: ClosingRequest) -> None:
        """Close the pull request without merging; the branch stays."""
        scope, asked = CallScope.of(request.preparation), {"pull_request_id": request.pull_request_id}
        await self._capabilities.ask(PullRequest, "close_pull_request", asked, scope, f"{request.task.id}/close")

    async def _body(self, request: PublishRequest, checks: ChecksReport | None, scope: CallScope, key: str) -> str:
        plan = await bound_plan(self._shelf, request.plan, request.plan_sha256)
        span = {"old": request.preparation.opened.base_commit, "new": request.commit}
        files = (await self._capabilities.ask(ChangedFiles, "changed_files", span, scope, f"{key}/files")).files
        ticket = await self.run_store.ticket(request.task.id)
        whole = await self._capabilities.ask(WholeDiff, "whole_diff", span, scope, f"{key}/diff")
        models = await self._models(request.task.id)
        evidence = await self._evidence.keep(request, checks, models) if self._evidence else None
        loosened = await self._shelf.each(Loosenings, request.task.id, "JudgeChange", LOOSENED)
        body = compose(
            ticket, request.preparation, plan, request.summary, files, checks, request.spent,
            diff=whole.diff, models=models, page=self._status.page(request.task.id),
            approvals=request.approvals, operations=request.allowed_operations, plan_sha256=request.plan_sha256,
            audit=await self.run_store.audit.head(request.task.id), evidence=evidence,
            waived=loosened[-1].waived if loosened else (), blocked=await self._hosts_tried.blocked(request.task.id),
        )  # fmt: skip
        await self._shelf.keep(request.task.id, "OpenPR", "pull-request.md", body.encode("utf-8", "replace"), "text/markdown")
        return body

    async def _models(self, task_id: str) -> list[str]:
        """The models that worked on a task, the first one first."""
        calls = await self.run_store.events_of_kinds(task_id, [EventKind.MODEL_CALL])
        return list(dict.fromkeys(str(call.data["model"]) for call in calls if call.data.get("model")))

    async def _accompany(
        self, request: PublishRequest, published: PullRequest, checks: ChecksReport | None, scope: CallScope, key: str
    ) -> None:
        """What hangs on a pull request beside its words: labels, the people who are asked, how things stand."""
        wishes, task_id = request.preparation.recipe.pull_request, request.task.id
        await self._invitations.label(task_id, published, wishes, scope, key)
        if published.hosted and not published.draft:
            await self._invitations.invite(task_id, published, wishes, scope, key)
        if published.hosted:
            await self._status.published(task_id, published, checks, scope)

    async def _answer(self, request: PublishRequest, published: PullRequest, scope: CallScope, key: str) -> None:
        if request.answers is None:
            return
        said = await self._shelf.read(GivenAnswers, request.answers)
        answers = [
            ThreadAnswer(
                thread_id=a.thread_id,
                body=readable(a.body) or "(nothing said)",
                commit=request.commit if a.addressed else "",
                addressed=a.addressed,
            )
            for a in said.answers
            if a.body.strip()
        ]
        answers = await self._said(published.id, answers, scope, f"{key}/answers")
        for given in answers:
            heard = [remark for remark in said.heard if remark.thread_id == given.thread_id]
            await self.run_store.remarks.settle(request.task.id, heard, given.body, given.commit)
        await self.run_store.append(
            request.task.id,
            [
                NewEvent(
                    kind=EventKind.THREAD_ANSWER,
                    text=f"Answered thread {a.thread_id}: {a.body[:200]}",
                    step="OpenPR",
                    agent="fixer",
                    key=f"answer/{a.thread_id}/{request.commit}",
                    data={"thread_id": a.thread_id, "commit": a.commit, "addressed": a.addressed},
                )
                for a in answers
            ],
        )

    async def _said(
        self, pull_request_id: str, answers: list[ThreadAnswer], scope: CallScope, key: str
    ) -> list[ThreadAnswer]:
        """Answer; those whose threads are still there. A person may have deleted one in the meantime."""
        asked = {"pull_request_id": pull_request_id, "answers": [answer.model_dump(mode="json") for answer in answers]}
        try:
            await self._capabilities.ask(Word, "answer_threads", asked, scope, key)
            return answers
        except NotFound:
            there = await self._capabilities.ask(Threads, "list_threads", {"pull_request_id": pull_request_id}, scope, key)
            ids = {thread.id for thread in there.threads}
            left = [answer for answer in answers if answer.thread_id in ids]
            if len(left) == len(answers):
                raise
            return await self._said(pull_request_id, left, scope, f"{key}/left")

    async def _tell(self, request: PublishRequest, published: PullRequest) -> None:
        standing = "draft" if published.draft else "ready for review"
        await self.run_store.append(
            request.task.id,
            [
                NewEvent(
                    kind=EventKind.PULL_REQUEST,
                    text=f"Pull request {published.id} ({standing}) at {published.head_commit[:12]}",
                    step="OpenPR",
                    key=f"pr/{published.head_commit}/{published.draft}",
                    data={
                        "id": published.id,
                        "url": published.url,
                        "head_commit": published.head_commit,
                        "draft": published.draft,
                        "base_branch": published.base_branch,
                        "base_commit": request.preparation.opened.base_commit,
                        "summary": request.summary,
                    },
                )
            ],
        )
