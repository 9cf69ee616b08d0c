"""A pull request on GitHub or GitLab: look, deal with what nobody has dealt with, wait; until a person merges or closes it."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from temporalio import workflow

from contracts.ci import CiState
from contracts.sighting import CommandKind, Sighting
from contracts.task import TaskState
from workflows.failures import AWAY
from workflows.forge_rests import ForgeRests
from workflows.proposing import FOREIGN
from workflows.steps import Ended, StepFailed

FRESH = timedelta(minutes=1)
"""For so long a look says enough for something to go out, unless somebody said that there is news."""
QUIET_TIMES = 4
"""After so many times the policy's silence what was said is addressed, though people go on talking."""


class ForgeWatch(ForgeRests):
    """What happens between a pull request on a forge and its merge."""

    _looked_at = datetime.min.replace(tzinfo=UTC)

    async def watch(self) -> None:
        """Follow the pull request to its end. Raises ``Ended``."""
        while True:
            seen = await self._look()
            self.with_a_short_history()
            try:
                acted = await self._acted(seen)
            except StepFailed:
                # Somebody pushed in between. Git knows at once; the forge may go on telling of what was there before.
                self.refused = acted = True
            if not acted:
                await self._await_news(seen)
            elif self.hinted:
                await self._silence()

    async def _look(self) -> Sighting:
        """Ask the forge how things stand. Raises ``Ended`` when a person merged or closed the pull request."""
        while True:
            hints = self.standing.hints
            try:
                seen = await self.take(self.observe, passing=AWAY)
            except StepFailed as away:
                await self.forge_away(away.reason)
                continue
            self.now_is(heard_hints=hints)
            self._looked_at = workflow.now()
            self.unless_people_ended(seen)
            self.follow(seen)
            return seen

    async def before_publishing(self) -> None:
        """Look whether people merged, closed, pushed or said stop while it worked: nothing goes out over that."""
        while self.standing.hosted and (self.hinted or self._looked_at + FRESH < workflow.now()):
            seen = await self._look()
            if seen.foreign_commit:
                raise StepFailed(FOREIGN, f"Somebody pushed {seen.foreign_commit[:12]}")
            if all(command.kind is not CommandKind.STOP for command in seen.commands):
                return
            await self.obey(seen)

    async def _acted(self, seen: Sighting) -> bool:
        """Deal with the first thing that nobody has dealt with; whether there was one."""
        if seen.commands:
            await self.obey(seen)
        elif seen.foreign_commit or self.refused:
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
        begins = self._may_begin(seen)
        while not self.hinted:
            until = self._until(seen)
            came = await self._news_within(until)
            self.unless_ended()
            self.with_a_short_history()
            if self.standing.paused:
                await self._paused_watch()
                break
            elif not came and ((begins and not self.may_begin) or self._waits_for_checks(seen)):
                break
            elif not came:
                await self.enter(state, "AwaitReview", reason=reason, notify=True)
        await self._silence()

    def _standing_of(self, seen: Sighting) -> tuple[TaskState, str]:
        """Whom the task waits for, in words."""
        url = self.standing.pull_request_url
        if seen.conflicts:
            url = f"Its forge says that it conflicts with {self.ready.opened.base_branch}. {url}"
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

    def _may_begin(self, seen: Sighting) -> bool:
        """Whether checks that ought to begin may do so yet."""
        return self.may_begin and (seen.ci is CiState.NONE or bool(seen.ci_missing))

    def _until(self, seen: Sighting) -> timedelta:
        """How long nothing need be looked at. Raises ``Ended`` when nobody came in all the time there was."""
        now, until = workflow.now(), self.standing.review_until or workflow.now()
        if now >= until:
            days = self.policy.review_expiry_days
            if self._approved(seen):
                raise Ended(TaskState.READY_TO_MERGE, f"It was approved, and nobody merged it within {days:g} days.")
            raise Ended(TaskState.EXPIRED, f"Nobody reviewed it within {days:g} days; the branch stays.")
        waits = [until - now, timedelta(hours=self.policy.review_reminder_hours)]
        if self._may_begin(seen):
            waits.append(self.checks_begin_until - now)
        return max(min(waits), timedelta(seconds=1))

    async def _news_within(self, patience: timedelta) -> bool:
        try:
            await workflow.wait_condition(
                lambda: self.hinted or bool(self.standing.closed or self.standing.paused),
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
            if not self.hinted or self.policy.review_quiet_seconds == 0:
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
