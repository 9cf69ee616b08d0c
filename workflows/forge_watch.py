"""A pull request on GitHub or GitLab: look, deal with what nobody has dealt with, wait; until a person merges or closes it."""

from contextlib import suppress
from datetime import timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError

from contracts.ci import CiState
from contracts.forge import PullRequestState
from contracts.sighting import CommandKind, Sighting
from contracts.steps import SightingRequest
from contracts.task import TaskState
from workflows import calls
from workflows.forge_deeds import ForgeDeeds
from workflows.steps import Ended, StepFailed, retry_after

AWAY = ("forge-unavailable", "remote-unavailable", "capability-unavailable")
"""Failures that mend without anybody's doing."""
AWAY_PAUSE = timedelta(minutes=10)
"""Between two looks at a forge that does not answer; the look itself has tried for an hour."""
QUIET_TIMES = 4
"""After so many times the policy's silence what was said is addressed, though people go on talking."""


class ForgeWatch(ForgeDeeds):
    """What happens between a pull request on a forge and its merge."""

    async def watch(self) -> None:
        """Follow the pull request to its end. Raises ``Ended``."""
        while True:
            seen = await self._look()
            try:
                acted = await self._acted(seen)
            except StepFailed:
                acted = True  # somebody pushed in between: the next look sees whose commit it is
            if not acted:
                await self._await_news(seen)

    async def _look(self) -> Sighting:
        """Ask the forge how things stand. Raises ``Ended`` when a person merged or closed the pull request."""
        while True:
            hints = self.standing.hints
            try:
                seen = await self.take(lambda: calls.observe_pr(self._request, self.standing.pull_request_id), passing=AWAY)
            except StepFailed as away:
                await self._forge_away(away.reason)
                continue
            self.now_is(heard_hints=hints)
            self._unless_people_ended(seen)
            return seen

    async def _forge_away(self, reason: str) -> None:
        """The forge does not answer: nobody need do anything, it is asked again in a while."""
        await self.enter(self.standing.state, "AwaitForge", reason=f"It is asked again in a while. {reason}")
        with suppress(TimeoutError):
            await workflow.wait_condition(
                lambda: bool(self.standing.closed), timeout=AWAY_PAUSE, timeout_summary="AwaitForge"
            )
        self.unless_ended()

    @property
    def _request(self) -> SightingRequest:
        return SightingRequest(
            task=self.task,
            preparation=self.ready,
            pull_request_id=self.standing.pull_request_id,
            published=self.standing.published,
        )

    def _unless_people_ended(self, seen: Sighting) -> None:
        if seen.state is PullRequestState.MERGED:
            raise Ended(TaskState.MERGED, f"A person merged {self.standing.pull_request_url}".strip())
        if seen.state is PullRequestState.CLOSED:
            raise Ended(TaskState.CLOSED, "A person closed the pull request.")

    async def _acted(self, seen: Sighting) -> bool:
        """Deal with the first thing that nobody has dealt with; whether there was one."""
        if seen.commands:
            await self.obey(seen)
        elif seen.foreign_commit:
            await self.adopt(seen)
        elif seen.open_remarks:
            await self.address(seen)
        elif not (
            (self._is_news(seen) and await self.mend_ci(seen))
            or ((seen.conflicts or self._approved(seen)) and await self.merge_base(seen))
        ):
            if self.standing.marked_ready or not self._checked(seen):
                return False
            await self.publish(draft=False)
        self.now_is(review_until=None)
        return True

    def _is_news(self, seen: Sighting) -> bool:
        """Whether the forge's checks need somebody: red, and nobody looked; or required and late."""
        if seen.ci is CiState.FAILED:
            return seen.ci_key != self.standing.excused
        if seen.ci is CiState.PASSED and self.standing.rerunning:
            return True  # green after all: which checks are flaky is written down
        late = bool(seen.ci_missing) and not self.may_begin
        return late and self.late_key(seen) != self.standing.excused

    def _checked(self, seen: Sighting) -> bool:
        """Whether the forge's checks hold nothing against it."""
        if seen.ci is CiState.FAILED:
            return seen.ci_key == self.standing.excused and not self.standing.rerunning
        if seen.ci is CiState.NONE:
            return not self.may_begin and not seen.ci_missing
        return seen.ci is CiState.PASSED

    def _approved(self, seen: Sighting) -> bool:
        return bool(seen.approved_by) and not seen.refused_by and self._checked(seen)

    # -- waiting ---------------------------------------------------------------------------------------------

    async def _await_news(self, seen: Sighting) -> None:
        """AwaitReview: a durable timer and hints. Reminds once in a while, expires in the end."""
        first = self.standing.review_until is None
        if first:
            self.now_is(review_until=workflow.now() + timedelta(days=self.policy.review_expiry_days))
        self.with_a_short_history()
        state, reason = self._standing_of(seen)
        if first or (state, reason) != (self.standing.state, self.standing.reason):
            await self.enter(state, "AwaitReview", reason=reason, notify=first or state is not self.standing.state)
        while not self._hinted:
            until = self._until(seen)
            came = await self._news_within(until)
            self.unless_ended()
            self.with_a_short_history()
            if self.standing.paused:
                await self._paused_watch()
            elif not came and self._waits_for_checks(seen):
                break
            elif not came:
                await self.enter(state, "AwaitReview", reason=reason, notify=True)
        await self._silence()

    @property
    def _hinted(self) -> bool:
        return self.standing.hints > self.standing.heard_hints

    def _standing_of(self, seen: Sighting) -> tuple[TaskState, str]:
        """Whom the task waits for, in words."""
        url = self.standing.pull_request_url
        if self._approved(seen):
            return TaskState.AWAITING_MERGE, f"Approved by {', '.join(seen.approved_by)}; a person merges. {url}".strip()
        if not self._checked(seen):
            checks = {CiState.FAILED: "once more for its failed checks", CiState.PENDING: "for its checks"}
            waits = f"It waits {checks.get(seen.ci, 'for its checks to begin')}"
            if seen.ci is CiState.FAILED and self.standing.asks_people:
                waits = f"It waits for a person to see to its checks: {self.standing.asks_people.rstrip('.')}"
            missing = f" ({', '.join(seen.ci_missing)} never began)" if seen.ci_missing and not self.may_begin else ""
            return TaskState.AWAITING_REVIEW, f"{waits}{missing}. {url}".strip()
        checks = f"; {self.standing.checks_summary}" if self.standing.checks_summary else ""
        return TaskState.AWAITING_REVIEW, f"It waits for a review{checks}. {url}".strip()

    def _waits_for_checks(self, seen: Sighting) -> bool:
        """Whether time alone changes what is to be done."""
        unready = not self.standing.marked_ready and seen.ci is CiState.NONE
        return not self.may_begin and (unready or bool(seen.ci_missing)) and self.late_key(seen) != self.standing.excused

    def _until(self, seen: Sighting) -> timedelta:
        """How long nothing need be looked at. Raises ``Ended`` when nobody came in all the time there was."""
        now, until = workflow.now(), self.standing.review_until or workflow.now()
        if now >= until:
            days = self.policy.review_expiry_days
            if self._approved(seen):
                raise Ended(TaskState.READY_TO_MERGE, f"It was approved, and nobody merged it within {days:g} days.")
            raise Ended(TaskState.EXPIRED, f"Nobody reviewed it within {days:g} days; the branch stays.")
        waits = [until - now, timedelta(hours=self.policy.review_reminder_hours)]
        if self.may_begin and (seen.ci is CiState.NONE or seen.ci_missing):
            waits.append(self.checks_begin_until - now)
        return max(min(waits), timedelta(seconds=1))

    async def _news_within(self, patience: timedelta) -> bool:
        try:
            await workflow.wait_condition(
                lambda: self._hinted or bool(self.standing.closed or self.standing.paused),
                timeout=patience,
                timeout_summary="AwaitReview",
            )
        except TimeoutError:
            return False
        return True

    async def _paused_watch(self) -> None:
        """A pause takes nothing from the time that reviewers have."""
        since = workflow.now()
        await self.unpaused()
        self.now_is(review_until=(self.standing.review_until or since) + (workflow.now() - since))

    async def _silence(self) -> None:
        """Let people finish what they are saying, so that it is addressed together."""
        for _ in range(QUIET_TIMES):
            heard = self.standing.hints
            if not self._hinted or self.policy.review_quiet_seconds == 0:
                return
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda before=heard: self.standing.hints > before or bool(self.standing.closed),
                    timeout=timedelta(seconds=self.policy.review_quiet_seconds),
                    timeout_summary="Silence before remarks are addressed",
                )
            self.unless_ended()
            if self.standing.hints == heard:
                return

    # -- a halted task goes on hearing people ------------------------------------------------------------------

    async def until_resumed(self, patience: timedelta, reason: str) -> None:
        """Tell people at the pull request why it halted, and hear what they say there, too."""
        if not self.standing.hosted:
            return await super().until_resumed(patience, reason)
        await self.hand_off(reason)
        until = workflow.now() + patience
        while not (self.going_on or self.standing.closed):
            await workflow.wait_condition(
                lambda: self.going_on or bool(self.standing.closed) or self._hinted,
                timeout=max(until - workflow.now(), timedelta(seconds=1)),
                timeout_summary="AwaitResume",
            )
            if not self.going_on and not self.standing.closed:
                await self._heard_while_halted()
        if not self.standing.closed:
            await self.take_back()

    async def _heard_while_halted(self) -> None:
        hints = self.standing.hints
        try:
            seen = await calls.observe_pr(self._request, self.standing.pull_request_id)
        except ActivityError as error:
            self.unless_ended()
            # What was said there is not lost: it is looked for again in a while.
            with suppress(TimeoutError):
                await workflow.wait_condition(
                    lambda: self.going_on or bool(self.standing.closed),
                    timeout=max(AWAY_PAUSE, timedelta(seconds=retry_after(error))),
                    timeout_summary="AwaitForge",
                )
            return
        self.now_is(heard_hints=hints)
        self._unless_people_ended(seen)
        goes_on = [one for one in seen.commands if one.kind in (CommandKind.RETRY, CommandKind.FIX)]
        for command in seen.commands:
            with suppress(ActivityError):
                await self.answer(command, "It goes on." if command in goes_on else self.halted_answer(command))
            self.unless_ended()
        if goes_on:
            self.resumed()
