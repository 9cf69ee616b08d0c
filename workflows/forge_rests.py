"""A halted or paused task goes on hearing people at its pull request."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from contracts.approval import PathsApproval
from contracts.deciding import decide
from contracts.deeds import Approval
from contracts.forge import PullRequestState
from contracts.forge_logins import login_forms, logins_of
from contracts.handoff import HandoffKind
from contracts.sighting import CommandKind, Sighting, SlashCommand
from contracts.steps import SightingRequest
from contracts.task import TaskState
from workflows import calls
from workflows.commands import deciding, halted_outcome
from workflows.failures import AWAY_PAUSE
from workflows.forge_deeds import ForgeDeeds
from workflows.handing_over import again_in
from workflows.steps import Ended

LOGINS = "logins-are-held-against-every-name-of-the-requester"
KNOWN_HERE = "If that is not you, say it on the task's page or with ./patchwright approve: there you are known by your own name."


class ForgeRests(ForgeDeeds):
    """What a task does while people decide whether it goes on."""

    # -- looking ---------------------------------------------------------------------------------------------

    @property
    def hinted(self) -> bool:
        """Whether somebody said that there is news since the last look."""
        return self.standing.hints > self.standing.heard_hints

    def observe(self) -> Awaitable[Sighting]:
        """Ask the forge how the pull request stands."""
        asked = SightingRequest(
            task=self.task,
            preparation=self.ready,
            pull_request_id=self.standing.pull_request_id,
            published=self.standing.published,
        )
        return calls.observe_pr(asked, self.standing.pull_request_id)

    def unless_people_ended(self, seen: Sighting) -> None:
        """Raise ``Ended`` when a person merged or closed the pull request."""
        if seen.state is PullRequestState.MERGED:
            raise Ended(TaskState.MERGED, f"A person merged {self.standing.pull_request_url}".strip())
        if seen.state is PullRequestState.CLOSED:
            raise Ended(TaskState.CLOSED, "A person closed the pull request.")

    # -- halted ----------------------------------------------------------------------------------------------

    @property
    def _released(self) -> bool:
        return self.going_on or bool(self.standing.closed)

    async def until_resumed(self, patience: timedelta, reason: str) -> None:
        """Tell people at the pull request why it halted, and hear what they say there, too."""
        if not self.standing.hosted:
            return await super().until_resumed(patience, reason)
        self.handing_over = self.handing_over or self.note(HandoffKind.HALT, reason)
        until, untold = workflow.now() + patience, 1.0
        while not self._released:
            untold = untold and await self.write_note(self.handing_over)
            unheard = await self._heard_while_halted(reason) if self.hinted and not self._released else 0
            if not self._released:
                await self._halted(until, max(untold, unheard))
        if not self.standing.closed:
            await self.take_back()

    async def _halted(self, until: datetime, seconds: float) -> None:
        """Wait for people, or for so many seconds until something is tried again. Raises ``TimeoutError``."""
        left = (until - workflow.now()).total_seconds()
        if left <= 0:
            raise TimeoutError
        try:
            await workflow.wait_condition(
                lambda: self._released or (self.hinted and not seconds),
                timeout=timedelta(seconds=max(1.0, min(left, seconds or left))),
                timeout_summary="AwaitForge" if seconds else "AwaitResume",
            )
        except TimeoutError:
            if workflow.now() >= until:
                raise
        if not self._released and workflow.info().is_continue_as_new_suggested():
            # Nothing starts a new run in the middle of a halt: a long history is spared.
            await self._rested(AWAY_PAUSE.total_seconds(), lambda: self._released)

    async def _heard_while_halted(self, reason: str) -> float:
        """Do what people say there; in how many seconds they are to be heard again where the forge does not let us, else 0."""
        hints = self.standing.hints
        try:
            seen = await self.observe()
            self.unless_people_ended(seen)
            last = deciding(seen.commands)
            goes_on = last is not None and last.kind is not CommandKind.STOP
            stops = last is not None and not goes_on
            for command in seen.commands:
                yes = self._yes_of(command)
                told = self._said_to_yes(yes, stops) if yes else halted_outcome(command, goes_on, reason)
                await calls.answer_command(self.command_request(command, told), f"/patchwright {command.kind}")
                if yes and not stops and not self._forge_refusal(yes):
                    self.answer_paths(yes)
                if command.kind is CommandKind.FIX and command.text:
                    self.steer(f"{command.author} at the pull request: {command.text}"[:2_000])
        except ActivityError as error:
            self.unless_ended()
            return again_in(error)  # what was said there is not lost
        self.now_is(heard_hints=hints)
        if goes_on:
            self.resumed()
        return 0

    def _yes_of(self, command: SlashCommand) -> PathsApproval | None:
        """What an ``approve`` says yes to, by the whole digest; None for other commands."""
        if command.kind is not CommandKind.APPROVE:
            return None
        named = command.text.strip().strip("`").lower()
        return PathsApproval.model_construct(paths_sha256=named, approved=True, person=command.author)

    def _said_to_yes(self, yes: PathsApproval, stops: bool) -> str:
        return "It was told to stop." if stops else self._forge_refusal(yes) or "These paths are allowed; it goes on."

    def _forge_refusal(self, yes: PathsApproval) -> str:
        """Why a yes at the pull request does not count. A login is held against every name that the requester has here."""
        if refused := self.paths_refusal(yes):
            return refused
        requester = (*self.requester, *logins_of(self.requester))
        wanted = Approval(what="paths", subject=yes.paths_sha256, approver=login_forms(yes.person), requester=requester)
        decision = decide(self.policy, wanted)
        # Where it says yes nothing is noted in the history: tasks that began before go on as they began.
        return "" if decision.allowed or not workflow.patched(LOGINS) else f"{decision.reason} {KNOWN_HERE}"

    # -- paused ----------------------------------------------------------------------------------------------

    async def while_paused(self) -> None:
        """Wait until nobody pauses the task any more. What people say meanwhile waits, too; a merge ends it."""
        if not self.standing.hosted:
            return await super().while_paused()
        looked = self.standing.heard_hints
        while self.standing.paused and not self.standing.closed:
            await workflow.wait_condition(lambda before=looked: self._unpaused or self.standing.hints > before)
            if self._unpaused:
                return
            hints = self.standing.hints
            try:
                self.unless_people_ended(await self.observe())
                looked, seconds = hints, 0.0
            except ActivityError as error:
                self.unless_ended()
                seconds = again_in(error)
            if workflow.info().is_continue_as_new_suggested():
                seconds = max(seconds, AWAY_PAUSE.total_seconds())
            if seconds:
                await self._rested(seconds, lambda: self._unpaused)

    @property
    def _unpaused(self) -> bool:
        return not self.standing.paused or bool(self.standing.closed)

    async def _rested(self, seconds: float, enough: Callable[[], bool]) -> None:
        """Leave the forge alone for so long."""
        try:
            await workflow.wait_condition(enough, timeout=timedelta(seconds=seconds), timeout_summary="AwaitForge")
        except TimeoutError:
            return
