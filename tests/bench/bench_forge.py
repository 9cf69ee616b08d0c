"""What GitHub and GitLab are asked for: by one task's whole story, and by pull requests that wait for a person.

The forges are fakes on loopback that live: real git over HTTP, people, CI, webhooks, tags that say that nothing changed. The
story is a ticket, green checks, a review with two remarks, an approval and a merge. Time passes by a clock that is moved, so
that an hour of looking takes a minute.
"""

import asyncio
import contextlib
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from contracts.watching import Watch
from mcp_servers.repo.github.app import AppInstallation
from tests.bench import form
from tests.bench.forge_requests import by_purpose, counted, rows, total
from tests.fakes.forge_life import APPROVED, CHANGES_REQUESTED
from tests.fakes.forge_places import PRIVATE_KEY, GitHubPlace, Workbench, github_place, gitlab_place
from tests.fakes.forge_stories import WANTED, Stage, github_stage, gitlab_stage
from tests.fakes.stack import Service, WritesFiles, running

STAGES = {"github": github_stage, "gitlab": gitlab_stage}
PLACES = {"github": github_place, "gitlab": gitlab_place}
MINUTE = 60
HEADS = ("", "requests", "304", "writes", "counted")
REMARK = ("calc.py", 1, "Say so:\nwrite README.md: # calc adds")


async def until(holds: Callable[[], bool]) -> None:
    """Wait for something that the forge alone knows."""
    async with asyncio.timeout(120):
        while not holds():
            await asyncio.sleep(0.05)


async def standing(service: Service, task: str, state: str) -> None:
    """Wait until a task stands in a state. A stream of its events would end in the middle."""
    async with asyncio.timeout(120):
        while (await service.show(task))["state"] != state:
            await asyncio.sleep(0.05)


async def story(stage: Stage, service: Service) -> None:
    """One task, to the merge."""
    task = await service.submit(stage.remote, "Add adds", description=WANTED, kind="bugfix")
    await until(lambda: stage.opened and not stage.draft)
    await standing(service, task, "awaiting_review")
    stage.forge.review(stage.repo, stage.number, "ada", CHANGES_REQUESTED, "Nearly.", (REMARK,))
    await until(lambda: "adds" in stage.file("README.md"))
    await standing(service, task, "awaiting_review")
    stage.forge.review(stage.repo, stage.number, "ada", APPROVED)
    await standing(service, task, "awaiting_merge")
    stage.forge.merge(stage.repo, stage.number, "ada")
    await standing(service, task, "merged")


async def measured_story(kind: str, folder: Path, webhooks: bool) -> dict[str, Any]:
    """Requests of the story; by webhooks alone, or by looking every second with all of them lost."""
    period = 3_600 if webhooks else 1
    with STAGES[kind](folder / "forge") as stage:
        stage.forge.webhooks.dropped = not webhooks
        begun = time.monotonic()
        async with running(folder / "data", WritesFiles(), **stage.settings(folder), forge_poll_seconds=period) as service:
            stage.forge.webhooks.to(f"{service.stack.url}/webhooks/{kind}", stage.secret)
            await story(stage, service)
            seconds = time.monotonic() - begun
            stage.forge.webhooks.settled()
        ending = await stage.ending()
        assert (ending["pulls"], ending["branches"]) == (1, 1)
        return {"seconds": seconds, "webhooks": len(stage.forge.webhooks.made), "by_purpose": by_purpose(stage.server.seen)}


async def measured_idle(kind: str, folder: Path, parked: int, minutes: int) -> dict[str, Any]:
    """Looks at waiting pull requests once a minute, a person's word in the end; GitHub's tokens live for an hour of the clock."""
    with PLACES[kind](folder) as made:
        place: Any = made
        now = [time.time()]
        if isinstance(place, GitHubPlace):
            place.forge = place.forge_with(AppInstallation(place.endpoint, "7", lambda: PRIVATE_KEY, clock=lambda: now[0]))
        bench = Workbench(folder, place, place.forge.git_access)
        place.server.ci.check("tests")
        opened = [
            await bench.publish(bench.commit(f"{number}\n"), head_branch=f"patchwright/{number}") for number in range(parked)
        ]
        place.server.ci.settled()
        watches = [look.watch for look in await place.forge.look([Watch(pull_request_id=one.id) for one in opened])]
        by_minute, begun = [], time.monotonic()
        for _ in range(minutes):
            now[0] += MINUTE
            place.server.token_seconds = 3_600 + now[0] - time.time()
            before = len(place.server.seen)
            looks = await place.forge.look(watches)
            assert not any(look.changed or look.problem for look in looks)
            watches = [look.watch for look in looks]
            by_minute.append(place.server.seen[before:])
        seconds = (time.monotonic() - begun) / minutes
        place.server.comment(place.path, opened[0].number, "ada", "Hm.")
        before = len(place.server.seen)
        (changed,) = await place.forge.look(watches[:1])
        assert changed.changed
        return _idle(by_minute, seconds) | {"for_a_word": sum(map(counted, place.server.seen[before:]))}


def _idle(by_minute: list[list[Any]], seconds: float) -> dict[str, Any]:
    spent = [sum(map(counted, seen)) for seen in by_minute]
    asked = [len(seen) for seen in by_minute]
    return {
        "requests_a_minute": form.percentile(asked, 50),
        "counted_a_minute": form.percentile(spent, 50),
        "counted_in_all": sum(spent),
        "counted_when_tokens_change": max(spent) if max(spent) > form.percentile(spent, 50) else 0,
        "seconds_a_round": seconds,
    }


async def measure(kinds: list[str], parked: int, minutes: int) -> dict[str, Any]:
    """Everything, for each forge."""
    found: dict[str, Any] = {}
    for kind in kinds:
        with tempfile.TemporaryDirectory(prefix="patchwright-forge-") as name:
            folder = Path(name)
            found[kind] = {
                "story": await measured_story(kind, folder / "told", webhooks=True),
                "dropped": await measured_story(kind, folder / "dropped", webhooks=False),
                "idle": await measured_idle(kind, folder / "idle", parked, minutes),
            }
    return found


def tables(found: dict[str, Any], parked: int, minutes: int) -> list[Any]:
    """The figures for people."""
    made = []
    for kind, figures in found.items():
        told = figures["story"]
        title = f"One task on {kind}, {told['webhooks']} webhooks, {told['seconds']:.0f} s"
        made.append(form.table(title, HEADS, rows(told["by_purpose"])))
    lines = [
        ("the story by webhooks: requests that count", *_each(found, lambda told: total(told["story"]["by_purpose"], "counted"))),
        ("… with all of them lost, a look a second", *_each(found, lambda told: total(told["dropped"]["by_purpose"], "counted"))),
        ("… answered with 304 beside them", *_each(found, lambda told: total(told["dropped"]["by_purpose"], "unchanged"))),
        ("… seconds by webhooks", *_each(found, lambda told: told["story"]["seconds"])),
        ("… seconds with all of them lost", *_each(found, lambda told: told["dropped"]["seconds"])),
        (f"{parked} waiting, a look a minute: requests a minute", *_each(found, lambda told: told["idle"]["requests_a_minute"])),
        ("… that count, a minute", *_each(found, lambda told: told["idle"]["counted_a_minute"])),
        (f"… that count, in all {minutes} minutes", *_each(found, lambda told: told["idle"]["counted_in_all"])),
        ("… of these because the token changed", *_each(found, lambda told: told["idle"]["counted_when_tokens_change"])),
        ("… seconds a round", *_each(found, lambda told: told["idle"]["seconds_a_round"])),
        ("requests that count, to see that a person said something", *_each(found, lambda told: told["idle"]["for_a_word"])),
    ]
    return [*made, form.table("Told by webhooks, found out by looking, and waiting", ("", *found), lines)]


def _each(found: dict[str, Any], figure: Callable[[dict[str, Any]], Any]) -> list[Any]:
    return [figure(told) for told in found.values()]


def main() -> None:
    """Print the counts."""
    parser = form.options(__doc__ or "")
    parser.add_argument("--forges", default="github,gitlab", help="which of them (default: %(default)s)")
    parser.add_argument("--parked", type=int, default=20, help="pull requests that wait (default: %(default)s)")
    parser.add_argument("--minutes", type=int, default=60, help="of looking at them (default: %(default)s)")
    given = parser.parse_args()
    on = form.machine()
    with contextlib.suppress(KeyboardInterrupt):
        found = asyncio.run(measure(given.forges.split(","), given.parked, given.minutes))
        form.report("forge", {"forges": found}, tables(found, given.parked, given.minutes), given.json, on=on)


if __name__ == "__main__":
    main()
