"""Looking at pull requests on forges again and again, for whatever no webhook told: lost ones, and forges without any.

A look that finds a change sends the task the same hint as a webhook; what it means, the task finds out itself. The hint goes
out before the look is remembered: whoever dies in between sends it once more, which does no harm.
"""

import contextlib
import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

from activities.capabilities import CallScope, Capabilities
from activities.stores.watch_store import Due, WatchStore
from contracts.errors import PatchwrightError
from contracts.event import EventKind, NewEvent
from contracts.watching import Look as Looked
from contracts.watching import Looks
from mcp_servers.repo.hosted import HostedPullRequest
from services.polling import Look, Poll

log = logging.getLogger(__name__)
Tell = Callable[[str, str], Awaitable[object]]
"""(task, hint): something happened at its pull request."""
Note = Callable[[str, Sequence[NewEvent]], Awaitable[object]]
"""(task, events): what people read in the task's log; the same event again is told once."""
HINT, KEY = "poll", "forge-poll"
TICKS = 6
"""Times in a period that it is looked who is due: so the looks spread, and none comes late."""
AT_ONCE = 12
"""Pull requests of one host that a tick looks at. With eight requests each and ticks of ten seconds that is 576 a minute;
GitHub's secondary limit is 900. Where there are more, each waits its turn and is looked at less often."""
AFTER_A_PROBLEM = timedelta(minutes=10)
"""Until a pull request is looked at again that we cannot see; its forge may count such requests."""


class ForgePoll(Poll):
    """Looks at the pull requests that are due."""

    def __init__(self, store: WatchStore, capabilities: Capabilities, tell: Tell, note: Note, period: timedelta) -> None:
        super().__init__(store, KEY, period / TICKS)
        self._capabilities, self._tell, self._note = capabilities, tell, note
        self._period = period
        self._silent_until: dict[str, float] = {}

    async def due(self) -> Mapping[str, Look]:
        """The pull requests whose turn it is, by host; none of a host that wants silence."""
        by_host: dict[str, list[Due]] = defaultdict(list)
        for due in await self._store.due():
            by_host[_host(due)].append(due)
        now = time.monotonic()
        return {
            host: partial(self._look, host, due[:AT_ONCE])
            for host, due in by_host.items()
            if now >= self._silent_until.get(host, 0)
        }

    async def give_back(self) -> None:
        """Stop looking; another process may from now on."""
        await super().give_back()
        with contextlib.suppress(PatchwrightError):
            await self._store.forget_ended()

    async def _look(self, host: str, due: Sequence[Due]) -> int:
        try:
            asked = {"watches": [watch.model_dump(mode="json") for watch in await self._store.recall(due)]}
            found = await self._capabilities.ask(Looks, "look_at_pull_requests", asked, CallScope(), KEY)
            return sum([await self._settled(host, one, look) for one, look in zip(due, found.looks, strict=True)])
        except PatchwrightError as away:
            log.info("Pull requests on %s are looked at later: %s", host, away.message)
        except Exception:
            log.exception("Pull requests on %s could not be looked at", host)
        return 0

    async def _settled(self, host: str, due: Due, look: Looked) -> bool:
        if look.problem:
            await self._put_off(host, due, look)
            return False
        if look.changed:
            await self._tell(due.task_id, HINT)
        await self._store.keep(due.task_id, look.watch, self._period - self.tick)
        return look.changed

    async def _put_off(self, host: str, due: Due, look: Looked) -> None:
        log.info("%s could not be looked at: %s", due.pull_request_id, look.problem)
        if not look.passing:
            told = f"Its pull request cannot be looked at, so that nothing of what people say there is heard: {look.problem}"
            key = f"unseen-{hashlib.sha256(look.problem.encode()).hexdigest()[:16]}"
            await self._note(due.task_id, [NewEvent(kind=EventKind.NOTE, text=told, key=key)])
        if look.retry_after_seconds:
            self._silent_until[host] = time.monotonic() + look.retry_after_seconds
        pause = timedelta(seconds=look.retry_after_seconds) if look.passing else AFTER_A_PROBLEM
        await self._store.keep(due.task_id, look.watch, max(pause, self._period - self.tick))


def _host(due: Due) -> str:
    return HostedPullRequest.of(due.pull_request_id).repository.host
