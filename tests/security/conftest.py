"""What every hostile corpus begins with: its cases are counted by class, and told when the tests end; each tier of sandbox."""

from collections.abc import Callable, Iterator

import pytest

from contracts.sandbox import SandboxTier
from mcp_servers.runner.sandbox import SandboxKeeper
from tests.fakes.tallies import NAME, Tallies, Tally
from tests.mcp_servers.runner_workspace import KEEPERS, missing


@pytest.fixture
def tally(request: pytest.FixtureRequest) -> Iterator[Callable[[str], Tally]]:
    """``tally("hostile diffs")`` counts a class; a violation that the test did not settle fails it afterwards."""
    counts: Tallies = request.config.pluginmanager.get_plugin(NAME)  # pyright: ignore[reportAssignmentType]
    made: list[Tally] = []

    def begin(class_name: str) -> Tally:
        made.append(Tally(class_name))
        return made[-1]

    yield begin
    for one in made:
        counts.add(one.class_name, one.cases, len(one.violations))
    for one in made:
        one.settle(at_least=0)


@pytest.fixture(params=list(SandboxTier))
def keeper(request: pytest.FixtureRequest) -> SandboxKeeper:
    """Each tier of sandbox that this machine has."""
    if reason := missing(request.param):
        pytest.skip(reason)
    return KEEPERS[request.param]()
