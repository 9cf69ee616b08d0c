"""What several files of this room begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.forge_fixtures import bench, place  # noqa: F401
from tests.fakes.forge_stories import STAGES, Stage


@pytest.fixture(params=STAGES)
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    """A story on each forge."""
    with STAGES[request.param](tmp_path / "forge") as made:
        yield made
