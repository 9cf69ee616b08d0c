"""What a chaos run has shown: every promise with its number, and whether it was kept."""

from collections.abc import Sequence

from contracts.word import Word
from services.chaos.account import Account

READY = "ready_to_merge"


class Promise(Word):
    """One line of the verdict."""

    name: str
    found: str
    wanted: str
    kept: bool


class Verdict(Word):
    """The whole verdict."""

    promises: tuple[Promise, ...]

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        return all(promise.kept for promise in self.promises)


def verdict(calm: Account, stormy: Account, kills: int, wanted_kills: int, orphans: Sequence[str]) -> Verdict:
    """Hold the task of the storm against the one that nothing disturbed.

    ``orphans``: containers, volumes and processes that were left when the service had ended.
    """
    equal = stormy.tree == calm.tree != ""
    return Verdict(
        promises=(
            _promise("kills", kills, wanted_kills),
            _promise("tasks finished", sum(account.state == READY for account in (calm, stormy)), 2),
            _none("finished calls repeated", stormy.finished_calls_repeated),
            _none("in-flight calls paid twice", stormy.in_flight_calls_paid_twice),
            _promise("calls paid, as many as undisturbed", stormy.paid, calm.paid),
            _none("duplicate commits", len(stormy.repeated_commits) + max(0, stormy.branch_commits - calm.branch_commits)),
            _none("duplicate pull requests", max(0, stormy.pull_requests - 1)),
            _none("duplicate comments and answers", max(stormy.repeated_comments, stormy.comments - calm.comments, 0)),
            _none("duplicate notifications", max(0, stormy.notifications - calm.notifications)),
            _none("orphaned containers, volumes, processes", len(orphans)),
            Promise(name="final tree", found="equal" if equal else "other", wanted="equal", kept=equal),
        )
    )


def _promise(name: str, found: int, wanted: int) -> Promise:
    return Promise(name=name, found=str(found), wanted=str(wanted), kept=found == wanted)


def _none(name: str, found: int) -> Promise:
    return _promise(name, found, 0)
