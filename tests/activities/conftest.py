"""Both databases that stores live in."""

from collections.abc import AsyncIterator, Iterator

import pytest

from activities.stores.database import Database, open_database
from tests.fakes.postgres import postgres_server


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a database of a module's tests answers: once each."""
    folder = tmp_path_factory.mktemp("database")
    if request.param == "sqlite":
        yield f"sqlite:///{folder}/run.db"
        return
    with postgres_server(folder / "data") as made:
        yield made


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """The module's database, opened for one test; what others left stands in it."""
    opened = await open_database(url)
    yield opened
    await opened.close()
