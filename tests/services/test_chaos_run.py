"""The short chaos run: the real command, real processes, real kills; and a run in which a promise cannot be kept."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from services.sandbox_supply import bubblewrap_works

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not bubblewrap_works(), reason="needs bubblewrap"),
]


def chaos(*options: str) -> tuple[int, dict[str, Any], str]:
    """Run the command; its exit code, what it printed as JSON, and what it told people."""
    command = [sys.executable, "-P", "-m", "services.cli", "chaos", "--json", "--sandbox", "bubblewrap", *options]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=280, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout.splitlines()[-1]), done.stderr


def broken(said: dict[str, Any]) -> list[str]:
    return [promise["name"] for promise in said["promises"] if not promise["kept"]]


def test_twelve_kills_lose_nothing_pay_nothing_twice_and_do_nothing_twice(record_property: Callable[[str, object], None]):
    code, said, told = chaos("--kills", "12", "--turns", "30", "--latency-ms", "60")
    assert broken(said) == [], told
    assert (code, said["kept"], len(said["kills"])) == (0, True, 12)
    assert said["disturbed"]["paid"] == said["undisturbed"]["paid"] == 30
    assert "evidence.json" not in told  # nothing is left when all is well
    record_property("seconds", said["seconds"])


def test_with_a_provider_that_cannot_be_asked_again_a_killed_ledger_pays_twice_and_the_run_says_so():
    code, said, told = chaos("--kills", "4", "--only", "ledger", "--recovery", "none", "--turns", "30", "--latency-ms", "400")
    folder = Path(told.strip().splitlines()[-1].rpartition(" ")[2])
    try:
        assert (code, broken(said)) == (1, ["in-flight calls paid twice", "calls paid, as many as undisturbed"]), told
        assert said["disturbed"]["in_flight_calls_paid_twice"] == said["provider"]["repeated"] > 0
        assert json.loads((folder / "evidence.json").read_text())["promises"] == said["promises"]
    finally:
        shutil.rmtree(folder)
