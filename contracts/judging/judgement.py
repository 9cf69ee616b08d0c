"""Every gate on a change, in order: one call for whoever judges it, and once more for whoever pushes it."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from contracts.deciding import decide
from contracts.deeds import Decision, RiskyOperation
from contracts.judging.blobs import blob_findings
from contracts.judging.difference import Difference
from contracts.judging.entries import entry_findings
from contracts.judging.finding import Finding, OperationKind
from contracts.judging.licences import licence_findings, provenance_notes
from contracts.judging.manifests import added_dependencies, dependency_findings
from contracts.judging.names import within_bounds
from contracts.judging.operations import operation_findings
from contracts.judging.secrets import secret_findings
from contracts.policy import Policy
from contracts.redaction import NOTHING_HELD, Redactor
from contracts.word import Word

MOST_FINDINGS = 200
"""Findings of one judgement; a change with more is refused all the same."""
MOST_NOTES = 50


class Judgement(Word):
    """What the gates say about a change."""

    findings: tuple[Finding, ...] = ()
    """Each of them keeps the change from going out, unless a person allowed its operation."""
    notes: tuple[str, ...] = ()
    """Sentences for reviewers: added packages with their licences, work of others."""

    def refused(self, policy: Policy, granted: Iterable[str] = ()) -> tuple[Finding, ...]:
        """The findings that nobody allowed and, by the policy, nobody can allow."""
        return tuple(f for f in self.findings if not _decided(f, policy, granted).allowed and not asks(f, policy))

    def asking(self, policy: Policy, granted: Iterable[str] = ()) -> tuple[Finding, ...]:
        """The findings for which a person's yes is wanted, and missing."""
        return tuple(f for f in self.findings if asks(f, policy) and not _decided(f, policy, granted).allowed)

    def decisions(self, policy: Policy, granted: Iterable[str] = ()) -> list[tuple[Finding, Decision]]:
        """What the policy says to each finding, for the audit log."""
        return [(finding, _decided(finding, policy, granted)) for finding in self.findings]


def judge(difference: Difference, policy: Policy, redactor: Redactor = NOTHING_HELD) -> Judgement:
    """Hold a change against every gate that needs nothing but the change itself."""
    entries = tuple(entry_findings(difference, policy))
    # What nobody could check out is refused by its name; no pattern is tried on a name of megabytes.
    difference = replace(difference, touched=tuple(touched for touched in difference if within_bounds(touched.name)))
    found: list[Finding] = [
        *entries,
        *secret_findings(difference, redactor),
        *blob_findings(difference),
        *operation_findings(difference),
        *dependency_findings(difference, policy.dependencies),
        *licence_findings(difference, policy.dependencies),
    ]
    found = [_clean(finding, redactor) for finding in found] if redactor else found
    unique = {(f.rule, f.path, f.line, f.operation, f.problem): f for f in found}
    return Judgement(findings=_told(tuple(unique.values())), notes=tuple(map(redactor.redact, _notes(difference))))


def _told(findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """As many as are told at once; that there are more is a finding, too, and one that nobody can allow."""
    if len(findings) <= MOST_FINDINGS:
        return findings
    more = Finding(
        rule="size.findings",
        problem=f"There are {len(findings) - MOST_FINDINGS} findings more than are told here.",
        remedy="Make the change smaller.",
    )
    return (*findings[:MOST_FINDINGS], more)


def _clean(finding: Finding, redactor: Redactor) -> Finding:
    """What is told of a change tells no secret that the change holds, not even in the name of a file."""
    told = {name: redactor.redact(getattr(finding, name)) for name in ("path", "problem", "operation")}
    return finding.model_copy(update=told)


def asks(finding: Finding, policy: Policy) -> bool:
    """Whether a person may allow what was found."""
    return finding.kind is not None and finding.kind in policy.allowed_operations


def granted_by_plan(findings: Sequence[Finding], planned: Iterable[str]) -> tuple[str, ...]:
    """Operations that the approval of a plan allows: those that are no more than a change of a file that the plan names."""
    named = set(planned)
    return tuple(f.operation for f in findings if f.operation and f.path in named and f.rule == f"operation.{f.kind}")


def _decided(finding: Finding, policy: Policy, granted: Iterable[str]) -> Decision:
    if finding.kind is None:
        return Decision(allowed=False, rule=f"code.{finding.rule}", reason=finding.sentence)
    deed = RiskyOperation(
        kind=OperationKind(finding.kind),
        operation=finding.operation,
        path=finding.path,
        allowed_by_person=finding.operation in set(granted),
    )
    return decide(policy, deed)


def _notes(difference: Difference) -> tuple[str, ...]:
    packages = [
        f"{touched.shown} adds the package {added.ecosystem}:{added.name}, "
        + (f"under {added.licence}." if added.licence else "whose licence nobody can tell without network.")
        for touched, added in added_dependencies(difference)
    ]
    return tuple(dict.fromkeys(packages + provenance_notes(difference)))[:MOST_NOTES]
