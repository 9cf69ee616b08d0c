"""What several files of this room begin with."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.fakes.forge_fixtures import bench, place  # noqa: F401
from tests.fakes.forge_stories import STAGES, Stage
from tests.fakes.service import Service, open_service


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """A story on each forge."""
    with STAGES[request.param](tmp_path / "forge") as made:
        yield made


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """The API over a database of its own."""
    opened = await open_service(tmp_path)
    yield opened
    await opened.database.close()


@pytest.fixture
async def api(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """A client with the token."""
    async with service.client() as client:
        yield client
