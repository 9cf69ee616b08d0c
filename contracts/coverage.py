"""Which lines the checks' own coverage reports say were run: of the change, and of everything."""

from pydantic import Field

from contracts.word import Word

NAMED = 50


class ChangeCoverage(Word):
    """What the coverage reports of one run of the checks say. Lines that cannot run are in none of the numbers."""

    report: str = ""
    """Paths of the reports, in the sandbox."""
    changed: int = Field(default=0, ge=0)
    """Lines that the change adds or changes and that can run."""
    covered: int = Field(default=0, ge=0)
    """Those of them that ran."""
    missed: tuple[str, ...] = ()
    """The others as ``path:line``, at most 50."""
    all_lines: int = Field(default=0, ge=0)
    """Of every file in the reports."""
    all_covered: int = Field(default=0, ge=0)

    @property
    def rate(self) -> float:
        """Of everything, in percent."""
        return 100 * self.all_covered / self.all_lines if self.all_lines else 0.0


def coverage_text(now: ChangeCoverage, before: ChangeCoverage | None) -> str:
    """One line for people: the changed lines, and how the whole moved where the base was looked at."""
    changed = f"{now.covered} of {now.changed} changed lines ran" if now.changed else "no changed line can run"
    if before is None or not before.all_lines:
        return f"{changed}; {now.rate:.1f} % of all lines"
    return f"{changed}; {now.rate:.1f} % of all lines, {now.rate - before.rate:+.1f} against the base"
