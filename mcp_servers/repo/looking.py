"""Looking at pull requests again: each resource is asked for with the tag it had, and compared where the forge answers.

The memory is the caller's. What several pull requests share (a list, a base branch) is asked for once in a call.
"""

import asyncio
import hashlib
import json
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, TypeVar

from contracts.errors import ForgeUnavailable, NotFound, PatchwrightError, RateLimited
from contracts.watching import Look, Seen, Watch
from mcp_servers.repo.hosted import HostedPullRequest, HostedRepository

K = TypeVar("K")
Ask = Callable[[str, str, str, dict[str, Any]], tuple[str, Any]]
"""(path, deed, tag, parameters) → (tag, content); the content is None when it is the one of the tag. Blocks."""
Glance = Callable[[HostedRepository, int, Watch, "Shared"], Awaitable[Look]]
"""One look at one pull request of a repository, by its number."""


class Shared:
    """What was asked for in this call already, and all numbers that it is about."""

    def __init__(self, numbers: Sequence[int]) -> None:
        self.numbers = sorted(numbers)
        self._answers: dict[tuple[str, str], tuple[str, Any]] = {}

    def asking(self, ask: Ask) -> Ask:
        """The same, each question at most once."""

        def asked(path: str, deed: str, etag: str, parameters: dict[str, Any]) -> tuple[str, Any]:
            key = (place_of(path, parameters), etag)
            if key not in self._answers:
                self._answers[key] = ask(path, deed, etag, parameters)
            return self._answers[key]

        return asked


class Comparison:
    """One look: each resource against what was seen of it before."""

    def __init__(self, ask: Ask, before: Mapping[str, Seen]) -> None:
        self._ask = ask
        self._before = before
        self.seen: dict[str, Seen] = {}
        self.changed = False

    def see(self, name: str, path: str, deed: str, matters: Callable[[Any], Any], **parameters: Any) -> Any:
        """One resource; its content, or None when the forge says that it is the one that was seen. Blocks."""
        before, place = self._before.get(name, Seen()), place_of(path, parameters)
        etag, content = self._ask(path, deed, before.etag if before.place == place else "", parameters)
        if content is None:
            self.seen[name] = before
            return None
        now = Seen(place=place, etag=etag, digest=_digest(matters(content)))
        self.changed = self.changed or now.digest != before.digest
        self.seen[name] = now
        return content

    def see_if_there(self, name: str, path: str, deed: str, matters: Callable[[Any], Any], **parameters: Any) -> Any:
        """The same for what may be gone: that it is gone is told as a change, once."""
        try:
            return self.see(name, path, deed, matters, **parameters)
        except NotFound:
            gone = Seen(place=place_of(path, parameters), digest="gone")
            self.changed = self.changed or self._before.get(name, Seen()).digest != gone.digest
            self.seen[name] = gone
            return None

    def differs(self, name: str) -> bool:
        """Whether a resource is another one than it was."""
        return self.seen[name].digest != self._before.get(name, Seen()).digest

    def look(self, watch: Watch) -> Look:
        """What came of it; ``watch`` with the facts of now."""
        return Look(watch=watch.model_copy(update={"seen": self.seen}), changed=self.changed)


async def looks(watches: Sequence[Watch], glance: Glance) -> list[Look]:
    """Look at pull requests of one host, one after the other in each repository, in the order asked for.

    What is wrong with one of them leaves the others alone; a host that is away or wants silence is left alone.
    """
    meant = [HostedPullRequest.of(watch.pull_request_id) for watch in watches]

    def of_group(place: HostedRepository, group: Sequence[int]) -> Awaitable[Sequence[Look]]:
        return _of_repository(place, [(meant[at].number, watches[at]) for at in group], glance)

    return await in_groups([one.repository for one in meant], of_group)


async def in_groups(keys: Sequence[K], of_group: Callable[[K, Sequence[int]], Awaitable[Sequence[Look]]]) -> list[Look]:
    """Looks of several groups at once, put back in order; ``of_group`` gets a key and the places that have it."""
    grouped: dict[K, list[int]] = defaultdict(list)
    for at, key in enumerate(keys):
        grouped[key].append(at)
    done = await asyncio.gather(*(of_group(key, group) for key, group in grouped.items()))
    found = {at: look for group, told in zip(grouped.values(), done, strict=True) for at, look in zip(group, told, strict=True)}
    return [found[at] for at in range(len(keys))]


async def _of_repository(place: HostedRepository, wanted: Sequence[tuple[int, Watch]], glance: Glance) -> list[Look]:
    shared, found, away = Shared([number for number, _ in wanted]), [], None
    for number, watch in wanted:
        if away is None:
            try:
                found.append(await glance(place, number, watch, shared))
                continue
            except ForgeUnavailable as failure:
                away = failure
            except PatchwrightError as failure:
                found.append(problem(watch, failure))
                continue
        found.append(problem(watch, away))
    return found


def problem(watch: Watch, failure: PatchwrightError) -> Look:
    """A look that saw nothing."""
    wait = failure.retry_after_seconds if isinstance(failure, RateLimited) else 0.0
    return Look(watch=watch, problem=failure.message, passing=failure.retryable, retry_after_seconds=wait)


def place_of(path: str, parameters: dict[str, Any]) -> str:
    """Digest of an address."""
    return _digest([path, parameters])


def _digest(told: Any) -> str:
    return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()[:32]
