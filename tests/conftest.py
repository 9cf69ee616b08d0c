"""What every room's tests share: one real Temporal server a session, and the counts of hostile cases."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.client import Client

from services.temporal_server import TemporalServer, temporal_server
from services.worker import connect
from tests.fakes.tallies import NAME, Tallies


def pytest_configure(config: pytest.Config) -> None:
    """Count in whichever process runs: with several, the one that tells the result loads no conftest but this."""
    config.pluginmanager.register(Tallies(), NAME)


@pytest.fixture(scope="session")
async def temporal(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[TemporalServer]:
    """A real Temporal dev server on free loopback ports."""
    folder: Path = tmp_path_factory.mktemp("temporal")
    async with temporal_server(folder / "temporal.db", "default") as server:
        yield server


@pytest.fixture(scope="session")
async def temporal_client(temporal: TemporalServer) -> Client:
    """A client of that server."""
    return await connect(temporal.address, "default")
