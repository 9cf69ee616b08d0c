"""When a task stops at an open pull request: what for, so that the note to people says what they can do."""

from enum import StrEnum


class HandoffKind(StrEnum):
    CI = "ci"
    """Checks of the forge stay red, were never begun, or wait for a person."""
    CONFLICTS = "conflicts"
    """The branch and its base could not be brought together."""
    FOREIGN_COMMITS = "foreign_commits"
    """Somebody else pushed to the branch."""
    CIRCLES = "circles"
    """Rounds change back what earlier ones changed."""
    SCOPE = "scope"
    """The change goes further than its plan."""
    HALT = "halt"
    """Anything else that stops the task; the reason says it."""
