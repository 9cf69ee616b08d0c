"""On ordinary work no gate cries wolf."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

from contracts.judging.difference import FILE, Difference, Side, Touched
from contracts.judging.judgement import judge
from contracts.policy import Policy
from tests.fakes.tallies import Tally
from tests.security.hostile_diffs import changed
from tests.security.ordinary_diffs import ordinary_diffs

ROOT = Path(__file__).parents[2]
POLICY = Policy()
OWN = ("MIT License\n\nCopyright (c) 2020 The Project\n",)


def test_no_gate_cries_wolf(tally: Callable[[str], Tally]) -> None:
    counted = tally("ordinary diffs refused")
    for name, touched in ordinary_diffs():
        judged = judge(Difference(touched, own_words=OWN), POLICY)
        counted.case(name, " ".join(finding.sentence for finding in judged.findings))
    counted.settle(at_least=70)


def test_no_gate_cries_wolf_on_changes_written_by_somebody_else(tally: Callable[[str], Tally]) -> None:
    counted = tally("ordinary files refused")
    for line in (ROOT / "tests/security/ordinary_files.jsonl").read_text().splitlines():
        told = json.loads(line)
        judged = judge(Difference((changed(told["path"], told["new"], told["old"]),), own_words=OWN), POLICY)
        counted.case(told["path"], " ".join(finding.sentence for finding in judged.findings))
    counted.settle(at_least=200)


def test_what_this_repository_holds_looks_like_no_credential(tally: Callable[[str], Tally]) -> None:
    counted = tally("ordinary files taken for credentials")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "contracts", "docs", "agents", "workflows", "deploy"], cwd=ROOT, capture_output=True, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        content = (ROOT / name).read_bytes()
        if "placeholders.py" in name or not content:
            continue
        touched = Touched(name.encode(), None, Side(FILE, "4" * 40, content, len(content)))
        found = [f for f in judge(Difference((touched,)), POLICY).findings if f.rule.startswith("secret.")]
        counted.case(name, " ".join(finding.sentence for finding in found))
    counted.settle(at_least=100)
