"""A CI that reacts to pushes on a fake forge: each check is queued, runs, and ends as a script says.

The script is a function of the commit and the attempt, so that flaky checks, checks that read a file and checks that are
red on the base, too, are one line each. It works in a thread of its own; ``settled`` waits until nothing is left to do.
"""

import queue
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.fakes.bare_repository import BareRepository


@dataclass(frozen=True)
class Outcome:
    """How a check ends."""

    passed: bool = True
    log: str = ""


PASSED = Outcome(log="all is well\n")


@dataclass(frozen=True)
class CiCommit:
    """What a check runs on."""

    repository: BareRepository
    sha: str
    attempt: int = 1
    """Counted from 1; more than 1 when somebody had it run again."""

    @property
    def tree(self) -> str:
        return self.repository.tree(self.sha)

    def file(self, path: str) -> str:
        """A file's text; empty when there is none."""
        return self.repository.file(self.sha, path)


Script = Callable[[CiCommit], Outcome]


@dataclass
class Check:
    """One check that runs on each push to a branch that matches."""

    name: str
    script: Script
    required: bool = False
    status: bool = False
    """Whether an older system runs it, that writes statuses and keeps no log on the forge."""
    branches: str = ".*"
    attempts: dict[str, int] = field(default_factory=dict)
    """Times that it ran, by commit."""


class CiHost(Protocol):
    """A forge as CI sees it."""

    def ci_queue(self, repo: Any, sha: str, check: Check) -> Any:
        """Show a check as queued; what stands for it from now on."""
        ...

    def ci_start(self, repo: Any, run: Any) -> None:
        """It runs."""
        ...

    def ci_end(self, repo: Any, run: Any, outcome: Outcome) -> None:
        """It is over."""
        ...


class ScriptedCi:
    """The checks of one forge."""

    def __init__(self, host: CiHost) -> None:
        self.checks: dict[str, Check] = {}
        self._host = host
        self._work: queue.Queue[tuple[BareRepository, str, Check, Any]] = queue.Queue()
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        self._thread: threading.Thread | None = None

    def check(
        self, name: str, script: Script | Outcome = PASSED, required: bool = False, status: bool = False, branches: str = ".*"
    ) -> None:
        """Run a check on each push from now on; the last one of a name counts."""
        told = script if callable(script) else lambda _: script
        self.checks[name] = Check(name, told, required, status, branches)

    def required(self) -> list[str]:
        """Names of the checks that the branch's rules ask for."""
        return [check.name for check in self.checks.values() if check.required]

    def hold(self) -> None:
        """Queue checks, but end none until ``go_on``."""
        self._may_go_on.clear()

    def go_on(self) -> None:
        """End what is queued."""
        self._may_go_on.set()

    def pushed(self, repo: BareRepository, branch: str, sha: str) -> None:
        """A branch stands at another commit. A commit that was checked already is not checked anew."""
        for check in self.checks.values():
            if re.fullmatch(check.branches, branch) and sha not in check.attempts:
                self._begin(repo, sha, check)

    def run_again(self, repo: BareRepository, sha: str, name: str) -> bool:
        """Run a check once more; False when no script runs it."""
        if (check := self.checks.get(name)) is None:
            return False
        self._begin(repo, sha, check)
        return True

    def settled(self) -> None:
        """Wait until every check that was begun is over."""
        self._work.join()

    def _begin(self, repo: BareRepository, sha: str, check: Check) -> None:
        check.attempts[sha] = check.attempts.get(sha, 0) + 1
        self._work.put((repo, sha, check, self._host.ci_queue(repo, sha, check)))
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, daemon=True, name="scripted-ci")
            self._thread.start()

    def _run(self) -> None:
        while True:
            repo, sha, check, run = self._work.get()
            try:
                self._host.ci_start(repo, run)
                self._may_go_on.wait()
                self._host.ci_end(repo, run, check.script(CiCommit(repo, sha, check.attempts[sha])))
            finally:
                self._work.task_done()
