"""What is remembered of a pull request on a forge, so that looking at it again costs next to nothing."""

from pydantic import Field

from contracts.word import Word


class Seen(Word):
    """One resource of the forge, as it was seen last."""

    place: str = ""
    """Digest of its address: a tag is good for that address alone."""
    etag: str = ""
    """What the forge takes to say that nothing changed."""
    digest: str = ""
    """Of what matters in it. A forge gives the same content a new tag whenever it likes, GitHub with each token."""


class Watch(Word):
    """A pull request that is looked at again and again. Nobody but the ``repo`` server reads more than its id in it."""

    pull_request_id: str
    head_branch: str = ""
    head_commit: str = ""
    base_branch: str = ""
    comments: int = 0
    """Comments beside the lines: the newest are on the last page."""
    seen: dict[str, Seen] = Field(default_factory=dict)


class Look(Word):
    """What a look found."""

    watch: Watch
    """To be given to the next look; as it was when there was a problem."""
    changed: bool = False
    """Whether anything differs from the look before, or it was the first one."""
    problem: str = ""
    """Why nothing could be seen."""
    passing: bool = False
    """Whether the problem may mend by itself soon."""
    retry_after_seconds: float = 0.0
    """How long the forge wants silence."""


class Looks(Word):
    """A look at each of several pull requests, in the order asked for."""

    looks: tuple[Look, ...] = ()
