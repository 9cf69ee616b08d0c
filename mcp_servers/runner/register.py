"""Which sandboxes a keeper has open, for whom, and what was proven gone of those it has closed."""

import random
from collections import OrderedDict

REMEMBERED = 1_000
"""Workspaces whose closed sandboxes are remembered until somebody asks."""
MOST_PROOFS = 200


class Register:
    """Read by the event loop and by the sweeper's thread; each step is one operation of a dictionary."""

    def __init__(self) -> None:
        self.token = f"{random.getrandbits(48):012x}"
        """Names the keeper among those of its process."""
        self._open: dict[str, str] = {}
        self._gone: OrderedDict[str, list[str]] = OrderedDict()

    def opened(self, name: str, workspace: str) -> None:
        """A sandbox is about to be opened."""
        self._open[name] = workspace

    def is_open(self, name: str) -> bool:
        """Whether a sandbox is in use."""
        return name in self._open

    def of(self, workspace: str) -> list[str]:
        """The open sandboxes of a workspace."""
        return [name for name, whose in list(self._open.items()) if whose == workspace]

    def leave(self, name: str) -> str:
        """A sandbox is no longer in use; the workspace it was for."""
        return self._open.pop(name, "")

    def proven(self, workspace: str, gone: tuple[str, ...]) -> None:
        """What was seen to be gone."""
        if not workspace or not gone:
            return
        self._gone.setdefault(workspace, []).extend(gone)
        del self._gone[workspace][:-MOST_PROOFS]
        while len(self._gone) > REMEMBERED:
            self._gone.popitem(last=False)

    def proofs(self, workspace: str) -> tuple[str, ...]:
        """What of a workspace's sandboxes was seen to be gone since this was asked last."""
        return tuple(self._gone.pop(workspace, ()))
