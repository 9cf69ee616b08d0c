"""What a fake GitLab keeps."""

import itertools
import re
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.bare_repository import BareRepository

DRAFT = re.compile(r"^(draft:|\[draft\]|\(draft\))", re.IGNORECASE)
LEVELS = {"none": 0, "read": 20, "write": 30, "admin": 40}
"""Access levels: Reporter, Developer, Maintainer."""
OVER = ("success", "failed", "canceled", "skipped")


@dataclass
class Note:
    id: int
    author: str
    body: str
    created_at: str
    system: bool = False
    updated_at: str = ""

    def __post_init__(self) -> None:
        self.updated_at = self.updated_at or self.created_at


@dataclass
class Discussion:
    id: str
    notes: list[Note]
    individual: bool
    path: str = ""
    line: int = 0
    resolved: bool = False

    @property
    def resolvable(self) -> bool:
        """Once it was answered, a note beside the lines can be resolved as well."""
        return bool(self.path) or len(self.notes) > 1


@dataclass
class Job:
    id: int
    sha: str
    name: str
    status: str
    description: str = ""
    url: str = ""
    allow_failure: bool = False
    log: str | None = None
    pipeline: int = 0
    retries: int = 0
    retried: bool = False
    """Another job stands in its place."""


@dataclass
class LabelEvent:
    """A label that was added or removed."""

    id: int
    person: str
    created_at: str
    label: str
    action: str


@dataclass
class Issue:
    """A ticket, or what a merge request shares with it."""

    iid: int
    title: str
    description: str
    author: str
    created_at: str
    updated_at: str
    state: str = "opened"
    labels: list[str] = field(default_factory=list)
    assignees: list[str] = field(default_factory=list)
    discussions: list[Discussion] = field(default_factory=list)
    label_events: list[LabelEvent] = field(default_factory=list)
    confidential: bool = False

    @property
    def notes(self) -> list[Note]:
        """Everything that was said, oldest first."""
        return sorted((note for one in self.discussions for note in one.notes), key=lambda note: note.created_at)


@dataclass(kw_only=True)
class Merge(Issue):
    source: str
    target: str
    merge_commit: str | None = None
    last_head: str = ""
    seen_head: str = ""
    seen_base: str = ""
    reviewers: list[str] = field(default_factory=list)
    approvers: list[str] = field(default_factory=list)
    pipeline: int = 0
    """One that a test gave it; the newest of the head otherwise."""
    pipeline_sha: str = ""

    @property
    def draft(self) -> bool:
        return bool(DRAFT.match(self.title))


class Project(BareRepository):
    """A bare repository and what GitLab keeps beside it."""

    def __init__(self, folder: Path, path: str) -> None:
        super().__init__(folder, path)
        self.people = {"ada": 40, "bob": 30, "eve": 20}
        self.merges: dict[int, Merge] = {}
        self.issues: dict[int, Issue] = {}
        self.jobs: list[Job] = []
        self.needs_pipeline = False
        """Nothing is merged without one."""
        self.merge_pipelines = self.branch_pipelines = True
        """Whether there are jobs for merge requests, and for branches, when a pipeline is started by hand."""
        self.pipelines: dict[int, str] = {}
        """The commit of each pipeline that CI made."""
        self._pipelines = itertools.count(7000)

    def latest(self, name: str = "", sha: str = "") -> list[Job]:
        """The last of each name and commit."""
        found = {(job.sha, job.name): job for job in self.jobs if name in ("", job.name) and sha in ("", job.sha)}
        return list(found.values())

    def pipeline_of(self, sha: str) -> int:
        """The pipeline of a commit, made when there is none."""
        known = [number for number, commit in self.pipelines.items() if commit == sha]
        number = known[-1] if known else next(self._pipelines)
        self.pipelines[number] = sha
        return number

    def pipeline_status(self, number: int) -> str:
        """What the newest jobs of a pipeline say together."""
        states = {job.status for job in {job.name: job for job in self.jobs if job.pipeline == number}.values()}
        if states & {"running"} or (states & {"created", "pending"} and states & set(OVER)):
            return "running"
        if states & {"created", "pending"}:
            return "pending"
        return "failed" if "failed" in states else "success"

    def head(self, merge: Merge) -> str:
        """The head commit; the last one before it was closed."""
        if merge.state == "opened":
            merge.last_head = self.sha(merge.source) or merge.last_head
        return merge.last_head

    def base_as_seen(self, merge: Merge) -> str:
        """Where the target stood when the source was pushed last: GitLab tells of that."""
        if merge.seen_head != self.head(merge):
            merge.seen_head, merge.seen_base = self.head(merge), self.sha(merge.target)
        return merge.seen_base
