"""A Temporal dev server for contestants that need one: ``python -m tests.bench.temporal_beside FOLDER``; it ends with stdin.

It is started with the options of our own, which make its workflow tasks faster than its defaults do.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from services.temporal_server import temporal_server

NAMESPACE = "default"


async def main(folder: Path) -> None:
    """Run until stdin ends."""
    async with temporal_server(folder / "temporal.db", NAMESPACE) as server:
        print(json.dumps({"address": server.address}), flush=True)
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
    os._exit(0)
