"""No spelling of a protected name, and no name that another system reads differently, may be written."""

from collections.abc import Callable

from contracts.deciding import decide
from contracts.deeds import PathWrite
from contracts.judging.difference import Difference, Side, Touched
from contracts.judging.judgement import judge
from contracts.policy import Policy
from tests.fakes.tallies import Tally
from tests.security.hostile_paths import ORDINARY, hostile_paths

POLICY = Policy()
SIDE = Side(0o100644, "1" * 40, b"text\n", 5)


def test_no_hostile_path_may_be_written(tally: Callable[[str], Tally]) -> None:
    counted = tally("hostile paths")
    for kind, path in hostile_paths():
        decision = decide(POLICY, PathWrite(path=path))
        counted.case(f"{kind} {path!r}", "may be written" if decision.allowed else "")
    counted.settle(at_least=1_400)


def test_no_hostile_path_passes_the_gates_of_a_change(tally: Callable[[str], Tally]) -> None:
    counted = tally("hostile paths in trees")
    for kind, path in hostile_paths():
        difference = Difference((Touched(path.encode("utf-8", "surrogateescape"), None, SIDE),))
        judged = judge(difference, POLICY)
        counted.case(f"{kind} {path!r}", "" if judged.refused(POLICY) else "passed")
    counted.settle(at_least=1_400)


def test_ordinary_names_may_be_written(tally: Callable[[str], Tally]) -> None:
    counted = tally("ordinary paths refused")
    for path in ORDINARY:
        decision = decide(POLICY, PathWrite(path=path))
        counted.case(path, "" if decision.allowed else decision.reason)
    counted.settle(at_least=50)


def test_a_file_that_is_there_may_keep_its_name() -> None:
    for path in ("src/aux.c", "e\u0301.md", "a|b.txt"):
        assert not decide(POLICY, PathWrite(path=path)).allowed
        assert decide(POLICY, PathWrite(path=path, existing=True)).allowed
    assert not decide(POLICY, PathWrite(path=".git\u200c/config", existing=True)).allowed
