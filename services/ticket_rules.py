"""Words of the configuration: which tickets become tasks, for which repository, and how ticket systems are written to."""

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from contracts.task import TaskKind
from contracts.word import StrictWord

USUAL_KINDS = {
    "bug": TaskKind.BUGFIX,
    "refactor": TaskKind.REFACTOR,
    "refactoring": TaskKind.REFACTOR,
    "dependencies": TaskKind.UPGRADE,
    "upgrade": TaskKind.UPGRADE,
}


class TicketAccess(StrictWord):
    """How comments are written in a ticket system. The token is named, never written here; its file is read again each time."""

    url: str = ""
    """Where it answers, e.g. ``https://example.atlassian.net``; Linear's own is known."""
    email: str = ""
    """Of the account that an API token of Jira Cloud belongs to; leave it out for a personal access token of Jira Data Center."""
    token_file: str = ""
    """The file with the token."""
    token_variable: str = ""
    """The environment variable that holds it."""
    token_secret: str = ""
    """Its name on the list of the setting `secrets`."""
    ca_file: str = ""
    """The file with the certificates to trust for this host, instead of the machine's."""

    @field_validator("url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            raise ValueError("url must start with http:// or https://")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _one_token(self) -> "TicketAccess":
        if sum(map(bool, (self.token_file, self.token_variable, self.token_secret))) != 1:
            raise ValueError("give one of token_file, token_variable and token_secret")
        return self

    @property
    def verify(self) -> bool | str:
        """What certificates are held against."""
        return str(Path(self.ca_file).expanduser()) if self.ca_file else True


class TicketRules(StrictWord):
    """Which tickets become tasks. A ticket that nobody labelled or assigned never does."""

    label: str = Field(default="patchwright", max_length=200)
    """The label that starts a task; empty: none does."""
    assignees: tuple[str, ...] = ()
    """Whose assignment starts a task: GitHub logins, GitLab user names, Jira account ids or mail addresses, Linear users."""
    repositories: dict[str, str] = Field(default_factory=dict)
    """The repository of a Jira project (``jira:ENG``) or a Linear team (``linear:ENG``)."""
    kinds: dict[str, TaskKind] = Field(default_factory=lambda: dict(USUAL_KINDS))
    """The kind of task that a label, or Jira's issue type, stands for; anything else is a feature."""
    jira: TicketAccess | None = None
    """How comments are written in Jira; without it there are none."""
    linear: TicketAccess | None = None
    """How comments are written in Linear; without it there are none."""

    @field_validator("repositories")
    @classmethod
    def _named(cls, repositories: dict[str, str]) -> dict[str, str]:
        if strange := [name for name in repositories if not name.startswith(("jira:", "linear:")) or name.endswith(":")]:
            raise ValueError(f"{strange[0]!r} is to begin with jira: or linear: and name a project or team, e.g. jira:ENG")
        return repositories

    @model_validator(mode="after")
    def _jira_somewhere(self) -> "TicketRules":
        if self.jira is not None and not self.jira.url:
            raise ValueError("jira needs its url, e.g. https://example.atlassian.net")
        return self

    def starts(self, labels: tuple[str, ...] = (), assignees: tuple[str, ...] = ()) -> bool:
        """Whether one of these labels or assignees makes a ticket a task."""
        wanted = {name.casefold() for name in self.assignees}
        labelled = bool(self.label) and self.label.casefold() in (label.casefold() for label in labels)
        return labelled or any(name.casefold() in wanted for name in assignees if name)

    def kind(self, labels: tuple[str, ...]) -> TaskKind:
        """The kind of task that a ticket's labels stand for."""
        known = {label.casefold(): kind for label, kind in self.kinds.items()}
        return next((known[label.casefold()] for label in labels if label.casefold() in known), TaskKind.FEATURE)
