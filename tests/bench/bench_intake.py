"""Intake under fire: posts from 16 clients while the API is killed with SIGKILL again and again; each 202 must run, once.

The API is a real process on SQLite and a real Temporal server; a light workflow stands in for the real one, so that what is
measured is intake. Clients send again, with the same Idempotency-Key, until they hear a 202.
"""

import asyncio
import contextlib
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from activities.stores.database import open_database
from activities.stores.run_store import RunStore
from services.temporal_server import SEARCH_ATTRIBUTES, free_port, temporal_server
from services.worker import connect, ensure_search_attributes
from tests.bench import form
from tests.fakes.intake import KilledApi, LightRuns, Place, eventually, light_worker, workflows_of

WAIT_SECONDS = 300
NAMES = {
    "accepted": "requests that got a 202",
    "tasks": "different tasks",
    "ran": "tasks that ran",
    "never_ran": "tasks with a 202 that never ran",
    "ran_twice": "tasks that ran more than once",
    "workflows_of_nobody": "workflows of no accepted request",
    "kills": "kills of the API",
    "sent_again": "requests sent again",
    "seconds_to_accept": "seconds until the last 202",
    "seconds_to_run": "seconds until the last one ran",
}


async def measure(posts: int, kills: int, seed: int) -> dict[str, Any]:
    """Post, kill, and count."""
    with tempfile.TemporaryDirectory(prefix="patchwright-intake-") as name:
        folder = Path(name)
        async with temporal_server(folder / "temporal.db", "default") as server:
            place = Place(folder, f"sqlite:///{folder}/run.db", server.address, "intake")
            client = await connect(server.address, "default")
            await ensure_search_attributes(client, SEARCH_ATTRIBUTES)
            storm = KilledApi(place, free_port(), random.Random(seed), kills)
            async with light_worker(place, client) as runs:
                begun = time.monotonic()
                killing = asyncio.create_task(storm.kill_again_and_again(posts))
                accepted = await asyncio.gather(*(storm.posted(number) for number in range(posts)))
                accepting = time.monotonic() - begun
                await killing
                await _settled(place, runs, posts)
                running = time.monotonic() - begun
                storm.end()
            known = await workflows_of(client, place.queue)
    return _counted(accepted, runs.of, known) | {
        "kills": storm.kills, "sent_again": storm.again, "seconds_to_accept": accepting, "seconds_to_run": running}


async def _settled(place: Place, runs: LightRuns, posts: int) -> None:
    database = await open_database(place.database_url)
    store = RunStore(database)

    async def settled() -> bool:
        return not await store.unstarted() and runs.of.total() >= posts

    with contextlib.suppress(TimeoutError):  # the table says what is missing
        await eventually(settled, WAIT_SECONDS)
    await database.close()


def _counted(accepted: list[str], ran: Counter[str], known: Counter[str]) -> dict[str, Any]:
    wanted = set(accepted)
    return {
        "accepted": len(accepted),
        "tasks": len(wanted),
        "ran": len(ran),
        "never_ran": len(wanted - set(ran)),
        "ran_twice": sum(times > 1 for times in (ran | known).values()),
        "workflows_of_nobody": len(set(known) - wanted),
    }


def main() -> None:
    """Print the counts; ends with 1 when one of them is wrong."""
    parser = form.options(__doc__ or "")
    parser.add_argument("--posts", type=int, default=1_000, help="requests (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=50, help="kills of the API during them (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments of the kills (default: %(default)s)")
    given = parser.parse_args()
    on = form.machine()
    found = asyncio.run(measure(given.posts, given.kills, given.seed))
    table = form.table(f"{given.posts} posts, seed {given.seed}", ("", ""), [(told, found[name]) for name, told in NAMES.items()])
    form.report("intake", found, [table], given.json, on=on)
    right = found["tasks"] == found["ran"] == given.posts
    sys.exit(0 if right and not found["ran_twice"] and not found["workflows_of_nobody"] else 1)


if __name__ == "__main__":
    main()
