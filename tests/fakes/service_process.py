"""The whole service as a process of its own, to be killed: ``python -m tests.fakes.service_process DATA_DIR MODEL_URL``."""

import asyncio
import sys
from pathlib import Path

from services import embedded
from tests.fakes.stack import settings_for


async def main(folder: str, model_url: str) -> None:
    """Run until somebody kills us."""
    async with embedded.stack(settings_for(Path(folder), model_url), scripted=True):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
