"""The last gate stands where the privilege is: this server alone reaches the remote, and pushes nothing that the gates refuse."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

from contracts.errors import GuardrailTripped, NotFound
from contracts.judging.credentials import without_credentials
from contracts.judging.difference import Difference
from contracts.judging.finding import Finding
from contracts.judging.judgement import Judgement, judge
from contracts.judging.secrets import secret_findings
from contracts.policy import Policy
from contracts.redaction import NOTHING_HELD, Redactor
from mcp_servers.object_store import EMPTY_TREE, Mirror
from mcp_servers.repo.raw_difference import raw_difference

REMEMBERED = 32
"""Judgements that are kept: a change is judged, and judged again right before it is pushed."""
MOST_COMMITS = 500
"""Commits that one push may carry."""
SHOWN = 10


class ChangeGate:
    """Judges changes by the policy and the secrets of this process. Safe to share between threads."""

    def __init__(self, redactor: Redactor = NOTHING_HELD) -> None:
        self._redactor = redactor
        self._known: OrderedDict[tuple[str, str, str, str], Judgement] = OrderedDict()
        self._lock = Lock()

    def judged(self, mirror: Mirror, old: str, new: str, policy: Policy) -> Judgement:
        """What the gates say about all that ``new`` has and ``old`` has not, its history included. Raises ``NotFound``."""
        key = (str(mirror.path), old, mirror.resolve(new), policy.sha256)
        with self._lock:
            if known := self._known.get(key):
                self._known.move_to_end(key)
                return known
        made = judge(raw_difference(mirror, old, new, told=True), policy, self._redactor)
        made = made.model_copy(update={"findings": made.findings + self._of_history(mirror, old, new)})
        with self._lock:
            self._known[key] = made
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return made

    def hold(self, mirror: Mirror, old: str, new: str, policy: Policy, allowed: Sequence[str] = ()) -> None:
        """Raise ``GuardrailTripped`` unless the change may go out. ``old`` may be unknown: then what the remote lacks counts."""
        judged = self.judged(mirror, self._base(mirror, old), new, policy)
        if left := (*judged.refused(policy, allowed), *judged.asking(policy, allowed)):
            more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
            raise GuardrailTripped(f"{new[:12]} is not pushed. " + " ".join(finding.sentence for finding in left[:SHOWN]) + more)

    def clean(self, text: str) -> str:
        """A title, a description or a comment without what looks like a credential, and without what we hold."""
        return without_credentials(self._redactor.redact(text))

    def _of_history(self, mirror: Mirror, old: str, new: str) -> tuple[Finding, ...]:
        """Secrets in commits on the way that the newest one does not show any more: a push carries those, too."""
        commits = mirror.unpushed(old, new, MOST_COMMITS + 1)
        if len(commits) > MOST_COMMITS:
            return (
                Finding(
                    rule="size.commits", problem=f"The change has more than {MOST_COMMITS} commits.", remedy="Make it one commit."
                ),
            )
        found: dict[tuple[str, str, str], Finding] = {}
        for commit in commits:
            if commit == mirror.resolve(new):
                continue
            step = raw_difference(mirror, mirror.first_parent(commit) or EMPTY_TREE, commit)
            for finding in secret_findings(Difference(step.touched), self._redactor):
                told = finding.model_copy(update={"problem": f"In the commit {commit[:12]}: {finding.problem}"})
                found.setdefault((finding.rule, finding.path, finding.problem), told)
        return tuple(found.values())

    def _base(self, mirror: Mirror, old: str) -> str:
        try:
            return mirror.resolve(old) if old else EMPTY_TREE
        except NotFound:
            return EMPTY_TREE
