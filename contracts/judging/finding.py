"""What a gate says about a change: by which rule, where, and what to do about it."""

import hashlib
from enum import StrEnum

from contracts.word import Word


class OperationKind(StrEnum):
    """Deeds that reach beyond the code itself. A policy names those that a change may hold once a person said yes."""

    CI = "ci"
    """Workflows of a CI system, and what updates dependencies by itself."""
    INFRASTRUCTURE = "infrastructure"
    """What builds, deploys or configures machines: images, Terraform, Kubernetes, deploy scripts."""
    GIT_FILES = "git-files"
    """What changes how git itself treats the files: filters, hidden files, other configuration."""
    OWNERS = "owners"
    """Who must review what."""
    HOOKS = "hooks"
    """What git runs on people's machines."""
    WORKSPACE = "workspace"
    """What editors, shells and coding agents run or trust when somebody opens the folder."""
    PACKAGE_SOURCES = "package-sources"
    """Where packages come from."""
    INSTALL_SCRIPTS = "install-scripts"
    """What runs when the project is installed or built."""
    NETWORK = "network"
    """Network access while something is installed or built."""
    DOWNLOADED_CODE = "downloaded-code"
    """Code that is fetched and run at once."""
    PRIVILEGES = "privileges"
    """More rights than before: sudo, open permissions, privileged containers."""
    BINARIES = "binaries"
    """Programs and archives that nobody can read."""
    VENDORED = "vendored"
    """Minified, generated or copied code that nobody reviews."""


class Finding(Word):
    """One thing that a gate found. With an ``operation`` a person can allow it, where the policy lets people."""

    rule: str
    """Key of the rule, as the guide lists it."""
    path: str = ""
    """Printable path of the file; empty where the whole change is meant."""
    line: int = 0
    """Number of the line in the new file, from 1; 0 where the whole file is meant."""
    problem: str
    """What is wrong, in a sentence. It never repeats a credential."""
    remedy: str
    """What to do, in a sentence."""
    operation: str = ""
    """Which operation it is, for a person who allows exactly this; empty for what nobody can allow."""
    kind: OperationKind | None = None

    @property
    def sentence(self) -> str:
        """All of it, for the fixer and for people."""
        place = f"{self.path}:{self.line}: " if self.path and self.line else f"{self.path}: " if self.path else ""
        return f"{place}{self.problem} {self.remedy} [{self.rule}]"


def operation_name(rule: str, path: str, evidence: str) -> str:
    """A short name of one operation: the same for the same words in the same file, wherever they stand in it."""
    words = " ".join(evidence.split())
    return f"{rule}:{path}:{hashlib.sha256(words.encode('utf-8', 'surrogateescape')).hexdigest()[:10]}"


def operation_found(
    rule: str, kind: OperationKind | None, path: str, line: int, evidence: str, problem: str, remedy: str
) -> Finding:
    """A finding that a person may allow by its name, unless it is of no kind. ``evidence``: the words that a yes is to."""
    name = operation_name(rule, path, evidence) if kind else ""
    return Finding(rule=rule, path=path, line=line, problem=problem, remedy=remedy, operation=name, kind=kind)
