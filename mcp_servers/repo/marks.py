"""Hidden marks in what we write on a forge, so that we find again what we made.

A mark is an HTML comment. It counts only where the forge says that the author is us: anybody can copy one.
"""

import hashlib
import re

PART = re.compile(r"<!-- patchwright:begin(?: task=([\w.-]*))? -->\n.*?\n<!-- patchwright:end -->", re.DOTALL)


def mark(kind: str, *key: str) -> str:
    """The mark of one thing that we write once, e.g. ``<!-- patchwright:comment 9f86d081884c7d65 -->``."""
    digest = hashlib.sha256("\0".join(key).encode()).hexdigest()
    return f"<!-- patchwright:{kind} {digest[:24]} -->"


def marked(text: str, *marks: str) -> str:
    """Text with its marks below it."""
    return "\n".join([text.rstrip(), "", *marks])


def unmarked(text: str) -> str:
    """The text that people see."""
    return re.sub(r"\s*<!-- patchwright:[^>]*-->", "", text).strip()


def described(present: str, ours: str, task_id: str, title: str) -> str:
    """A pull request's description with our part brought up to date; what people wrote around it stays.

    It remembers which title we gave, so that a title that people edit is known as theirs.
    """
    inside = f"{_inert(ours)}\n\n{mark('title', title)}"
    part = f"<!-- patchwright:begin task={task_id} -->\n{inside}\n<!-- patchwright:end -->"
    present = present.replace("\r\n", "\n")
    if PART.search(present):
        return PART.sub(lambda _: part, present, count=1)
    return f"{present.rstrip()}\n\n{part}" if present.strip() else part


def described_task(body: str) -> str:
    """The task that a description names; empty when it is not ours."""
    found = PART.search(body.replace("\r\n", "\n"))
    return (found[1] or "") if found else ""


def is_retitled(description: str, title: str) -> bool:
    """Whether people gave another title than the one we gave last."""
    found = PART.search(description.replace("\r\n", "\n"))
    return found is not None and "<!-- patchwright:title " in found[0] and mark("title", title) not in found[0]


def _inert(ours: str) -> str:
    """Our words cannot end our part early."""
    return ours.strip().replace("<!-- patchwright:", "<!-- ")
