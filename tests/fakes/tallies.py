"""How many hostile cases of each class were tried, and how many got through: counted over every process of a test run."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

import pytest

NAME = "tallies"
SHOWN = 20
"""Violations that a failure names one by one."""


class Tally:
    """One class of hostile cases in one test."""

    def __init__(self, class_name: str) -> None:
        self.class_name = class_name
        self.cases = 0
        self.violations: list[str] = []

    def case(self, name: str, violation: str = "") -> None:
        """Count a case; ``violation`` says what got through, and is empty where nothing did."""
        self.cases += 1
        if violation:
            self.violations.append(f"{name}: {violation}")

    def settle(self, at_least: int = 1) -> None:
        """Raise ``AssertionError`` when anything got through, or when fewer cases than ``at_least`` were tried."""
        shown = "\n  ".join(self.violations[:SHOWN])
        assert not self.violations, f"{len(self.violations)} of {self.cases} {self.class_name} got through:\n  {shown}"
        assert self.cases >= at_least, f"only {self.cases} {self.class_name} were tried, {at_least} are wanted"


class Tallies:
    """Counts of a whole test run, those of xdist's processes among them; told at its end."""

    def __init__(self) -> None:
        self._cases: Counter[str] = Counter()
        self._violations: Counter[str] = Counter()

    def add(self, class_name: str, cases: int, violations: int) -> None:
        """Add what one test counted."""
        self._cases[class_name] += cases
        self._violations[class_name] += violations

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """In one of several processes: hand the counts to the one that tells them."""
        output = getattr(session.config, "workeroutput", None)
        if output is not None:
            output[NAME] = [(name, cases, self._violations[name]) for name, cases in self._cases.items()]

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """A process of several has ended."""
        told = cast(Mapping[str, Any], getattr(node, "workeroutput", {}) or {})
        for name, cases, violations in told.get(NAME, ()):
            self.add(name, cases, violations)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """One line for each class."""
        if not self._cases:
            return
        terminalreporter.section("hostile cases")
        width = max(len(name) for name in self._cases)
        for name in sorted(self._cases):
            cases, violations = self._cases[name], self._violations[name]
            terminalreporter.line(f"{name:<{width}}  {cases:>6} cases  {violations:>4} violations", red=bool(violations))
        total, through = sum(self._cases.values()), sum(self._violations.values())
        terminalreporter.line(f"{'total':<{width}}  {total:>6} cases  {through:>4} violations", bold=True)
