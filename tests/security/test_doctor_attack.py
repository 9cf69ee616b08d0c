"""``doctor --attack`` on every tier that this machine has: what it tries is stopped, and what is not stopped is told."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from typer.testing import CliRunner

from contracts.sandbox import SandboxTier
from mcp_servers.runner.sandbox import Ended, Opening, OutputSink, Sandbox, SandboxKeeper, TierReport
from services.attacking.attack import Outcome, attack, attacks_inside
from services.cli import attacking
from services.cli.app import app
from tests.fakes.tallies import Tally
from tests.mcp_servers.runner_workspace import missing

Tallying = Callable[[str], Tally]


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_every_attack_of_the_list_is_stopped(keeper: SandboxKeeper, tally: Tallying) -> None:
    count, families = tally(f"sandbox attacks, {keeper.tier.value}"), set[str]()
    async for outcome in attack(keeper):
        families.add(outcome.family)
        count.case(outcome.name, "" if outcome.stopped else outcome.observed)
        assert outcome.observed and outcome.tries
    count.settle(at_least=95)
    assert len(families) == 6


class Leaky:
    """A tier without any wall: every command says what an attack says that got through."""

    tier = SandboxTier.BUBBLEWRAP

    def programs(self, image: str) -> frozenset[str]:
        return frozenset()

    async def open(self, opening: Opening) -> Sandbox:
        return self  # type: ignore[return-value]

    async def report(self) -> TierReport:
        return TierReport(self.tier, "0", "none")

    def end(self, workspace: str) -> tuple[str, ...]:
        return ()

    def sweep(self) -> tuple[str, ...]:
        return ()

    async def run(self, command: str, time_limit: float, on_output: OutputSink) -> Ended:
        on_output(b"THROUGH the whole machine\n")
        return Ended(0, 0.1)

    async def steward(self, argv: Any, feed: Any = b"", writes: bool = False) -> AsyncIterator[bytes]:
        yield b""

    async def close(self) -> None:
        return None


async def test_a_tier_that_stops_nothing_is_told_so() -> None:
    outcomes = [outcome async for outcome in attack(Leaky())]
    inside = [outcome for outcome in outcomes if outcome.observed == "the whole machine"]
    assert len(inside) == len(attacks_inside()) and not any(outcome.stopped for outcome in inside)


@pytest.mark.parametrize("stopped", [True, False])
def test_the_exit_code_says_whether_one_got_through(stopped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if reason := missing(SandboxTier.BUBBLEWRAP):
        pytest.skip(reason)

    async def one(keeper: object) -> AsyncIterator[Outcome]:
        yield Outcome("the host", "a try", "What it tries.", stopped, "its wall [bold]")

    monkeypatch.setattr(attacking, "attack", one)
    told = CliRunner().invoke(app, ["doctor", "--attack", "--tier", "bubblewrap"])
    assert told.exit_code == (0 if stopped else 1), told.output
    assert "bubblewrap, the reduced tier" in told.output and "its wall [bold]" in told.output
    as_json = CliRunner().invoke(app, ["doctor", "--attack", "--tier", "bubblewrap", "--json"])
    assert json.loads(as_json.output)["stopped"] is stopped
