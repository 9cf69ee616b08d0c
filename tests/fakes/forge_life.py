"""What people do on a forge, the same words for each of them. ``repo`` is the path, e.g. ``makers/thing``."""

from collections.abc import Mapping
from typing import Protocol

from tests.fakes.scripted_ci import ScriptedCi
from tests.fakes.webhooks import Webhooks

APPROVED, CHANGES_REQUESTED, COMMENTED = "APPROVED", "CHANGES_REQUESTED", "COMMENTED"
Remark = tuple[str, int, str]
"""(path, line, words) of an inline remark."""


class LivingForge(Protocol):
    """A forge with people, CI and webhooks. Whoever acts is named by login; what is new there is told by ``webhooks``."""

    url: str
    webhooks: Webhooks
    ci: ScriptedCi

    def permit(self, repo: str, person: str, level: str) -> None:
        """Give a person ``none``, ``read``, ``write`` or ``admin``."""
        ...

    def open_issue(self, repo: str, author: str, title: str, body: str = "", labels: tuple[str, ...] = ()) -> int:
        """A ticket; its number."""
        ...

    def label_issue(self, repo: str, number: int, person: str, label: str) -> None: ...

    def unlabel_issue(self, repo: str, number: int, person: str, label: str) -> None: ...

    def assign_issue(self, repo: str, number: int, person: str, assignee: str) -> None: ...

    def comment_issue(self, repo: str, number: int, author: str, body: str) -> int:
        """Words below a ticket; the id of the comment."""
        ...

    def close_issue(self, repo: str, number: int, person: str) -> None: ...

    def comment(self, repo: str, number: int, author: str, body: str) -> int:
        """Words beside the lines of a pull request; the id of the comment."""
        ...

    def review(
        self, repo: str, number: int, author: str, state: str, body: str = "", remarks: tuple[Remark, ...] = ()
    ) -> list[str]:
        """A verdict (``APPROVED``, ``CHANGES_REQUESTED``, ``COMMENTED``) with inline remarks; the ids of their threads."""
        ...

    def reply(self, repo: str, number: int, author: str, thread: str, body: str) -> int:
        """Words in a thread; the id of the comment."""
        ...

    def resolve(self, repo: str, number: int, person: str, thread: str) -> None:
        """A person declares a thread done."""
        ...

    def edit_comment(self, repo: str, comment: int, body: str) -> None:
        """Its author changes any comment, remark or reply."""
        ...

    def delete_comment(self, repo: str, comment: int) -> None:
        """Its author deletes any comment, remark or reply."""
        ...

    def push(
        self, repo: str, branch: str, author: str, files: Mapping[str, str | None], message: str = "A person's commit"
    ) -> str:
        """A commit on a branch; the commit."""
        ...

    def merge(self, repo: str, number: int, person: str) -> str:
        """Merge a pull request; the merge commit."""
        ...

    def close(self, repo: str, number: int, person: str) -> None:
        """Close a pull request without merging."""
        ...

    def reopen(self, repo: str, number: int, person: str) -> None: ...
