"""What tests of forges on a host begin with; the rooms' ``conftest.py`` hand it on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.forge_places import PLACES, Workbench


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """GitHub, then GitLab, each with one repository."""
    with PLACES[request.param](tmp_path) as made:
        yield made


@pytest.fixture
def bench(place: Any, tmp_path: Path) -> Workbench:
    """Commits and publishes there as the service does."""
    return Workbench(tmp_path, place, place.forge.git_access)
