"""A workspace: the commits of one task in the service's own object store. It has no work tree anywhere."""

from pydantic import Field

from contracts.word import Word


class Workspace(Word):
    """One line of commits in one mirror. Every mutation is a commit on it."""

    mirror: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,99}$")
    """Name of the mirror: a bare repository below the service's mirror folder."""
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
    """Name of the line of commits: the task's id."""

    @property
    def ref(self) -> str:
        """The ref that holds the newest commit."""
        return f"refs/workspaces/{self.name}"


class OpenedWorkspace(Word):
    """What opening a workspace found on the remote."""

    workspace: Workspace
    base_branch: str
    base_commit: str
    """Full commit id of the base branch when the task began."""
    default_branch: str
    remote: str
    """URL or path the mirror fetches from, without credentials."""
    files: int
    """Files in the base commit's tree."""
    notes: tuple[str, ...] = ()
    """What a person should know: submodules, LFS pointers and the like, one sentence each."""
