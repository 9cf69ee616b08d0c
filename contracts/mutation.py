"""How many small faults in the changed lines the tests notice."""

from enum import StrEnum

from pydantic import Field

from contracts.sandbox import SandboxTier
from contracts.word import StrictWord, Word

MOST_MUTANTS = 100
"""Of one change, whatever the time allows."""


class MutantKind(StrEnum):
    COMPARISON = "comparison"
    ARITHMETIC = "arithmetic"
    BOOLEAN = "boolean"
    CONSTANT = "constant"
    RETURN = "return"


class Mutant(StrictWord):
    """One fault: some bytes of one changed line replaced by others."""

    path: str
    line: int = Field(ge=1)
    column: int = Field(ge=0)
    """Bytes of the line before it."""
    kind: MutantKind
    before: str
    after: str

    @property
    def id(self) -> str:
        """The same fault in the same tree has the same one."""
        return f"{self.path}:{self.line}:{self.column}:{self.kind.value}:{self.after}"

    @property
    def text(self) -> str:
        """For people."""
        instead = f"{self.before!r} became {self.after!r}" if self.after else f"{self.before!r} was taken out"
        return f"{self.path}:{self.line}: {instead}"


class Fate(StrEnum):
    """What became of a mutant."""

    KILLED = "killed"
    """A check failed: the tests notice it."""
    SURVIVED = "survived"
    """Every check passed."""
    TIMED_OUT = "timed-out"
    """The checks took far longer than without it, so it is noticed, too."""
    INVALID = "invalid"
    """It cannot be built; it counts for nothing."""


class Tried(StrictWord):
    """One mutant and what became of it."""

    mutant: Mutant
    fate: Fate


class MutationRun(Word):
    """The mutants that were tried within a time, as the ``runner`` server hands them over."""

    commit: str
    tree: str
    image: str = ""
    tier: SandboxTier
    seed: str
    """Decides which mutants come first; the tree's id, so that nobody picks."""
    known: int = 0
    """Mutants that the changed lines have; those beyond the time or ``MOST_MUTANTS`` were not tried."""
    tried: tuple[Tried, ...] = ()
    """In the seed's order."""
    checks: tuple[str, ...] = ()
    """The checks that ran on each."""
    command: str = ""
    """Their command lines, one a line."""
    seconds: float = 0
    note: str = ""
    """Why none was tried, where none was."""

    @property
    def counted(self) -> tuple[Tried, ...]:
        """Those that could be built."""
        return tuple(one for one in self.tried if one.fate is not Fate.INVALID)

    @property
    def noticed(self) -> int:
        """How many the tests noticed."""
        return sum(one.fate is not Fate.SURVIVED for one in self.counted)

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        """What no test noticed, by place."""
        left = (one.mutant for one in self.counted if one.fate is Fate.SURVIVED)
        return tuple(sorted(left, key=lambda mutant: (mutant.path, mutant.line, mutant.column)))

    @property
    def summary(self) -> str:
        """One line for people."""
        if not self.counted:
            return self.note or "The changed lines have nothing to mutate."
        part = f", {self.known - len(self.tried)} more were not tried" if self.known > len(self.tried) else ""
        return f"{self.noticed} of {len(self.counted)} small faults in the changed lines are noticed by the tests{part}"

    @property
    def log(self) -> str:
        """Every mutant on a line: the record of the run."""
        tried = "".join(f"{one.fate.value}: {one.mutant.id}\n" for one in self.tried)
        return f"seed {self.seed}, checks {', '.join(self.checks)}\n{tried}"
