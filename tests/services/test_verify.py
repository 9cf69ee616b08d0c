"""``verify`` accepts an honest pull request, and rejects every planted lie."""

import base64
import json
import stat
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from activities.evidence.envelopes import opened, sealed, signed
from activities.evidence.keys import SigningKeys, key_id
from contracts.artifact import digest
from contracts.errors import InvalidInput
from contracts.evidence import Claim, ClaimedCoverage, ClaimKind, EvidenceSet, KeyRing, Statement
from contracts.mutation import Fate
from contracts.waiver import Waiver, waiver_statement
from services import mcp_wiring, wiring
from services.verification.verdict import Verdict
from services.verification.verifier import verified
from tests.fakes.desk import held
from tests.fakes.forge_places import git
from tests.fakes.proven_change import ProvenChange, proven_change

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
async def honest(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[ProvenChange, str, EvidenceSet]]:
    async with held(proven_change(tmp_path_factory.mktemp("honest"))) as change:
        outcome, report = await change.check()
        assert outcome.passed, (outcome, report)
        made = await change.publish(outcome.report)
        yield change, made.pull_request_id, await change.evidence()


class Forger:
    """Writes evidence that is not what the service signed; ``again`` signs lies with the service's own key."""

    def __init__(self, honest: tuple[ProvenChange, str, EvidenceSet], folder: Path) -> None:
        self.change, self.pull_request, self.evidence = honest
        self._file = folder / "evidence.json"
        self.keys = wiring.signing_keys(self.change.settings)

    @property
    def claims(self) -> list[Claim]:
        return [opened(envelope, self.keys.ring(), datetime.now(UTC)) for envelope in self.evidence.envelopes]

    def again(self, lie: Callable[[Claim], dict[str, Any]], only: ClaimKind | None = None) -> EvidenceSet:
        private, public = self.keys.current()
        told = [c.model_copy(update=lie(c)) if only in (None, c.kind) else c for c in self.claims]
        return self.evidence.model_copy(update={"envelopes": tuple(sealed(c, private, public.keyid) for c in told)})

    def tampered(self, edit: Callable[[dict[str, Any]], None]) -> EvidenceSet:
        """The first statement changed after it was signed."""
        first = self.evidence.envelopes[0]
        statement = json.loads(base64.b64decode(first.payload))
        edit(statement)
        payload = base64.b64encode(json.dumps(statement).encode()).decode()
        return self.with_first(payload=payload)

    def with_first(self, **update: Any) -> EvidenceSet:
        first, *rest = self.evidence.envelopes
        return self.evidence.model_copy(update={"envelopes": (first.model_copy(update=update), *rest)})

    async def verdict(self, evidence: EvidenceSet | bytes, rerun: bool = False) -> Verdict:
        content = evidence if isinstance(evidence, bytes) else evidence.model_dump_json(by_alias=True).encode()
        self._file.write_bytes(content)
        return await verified(self.change.settings, str(self._file), rerun=rerun)

    async def rejected(self, evidence: EvidenceSet | bytes, why: str, rerun: bool = False) -> None:
        verdict = await self.verdict(evidence, rerun)
        said = [*verdict.problems, *(problem for finding in verdict.findings for problem in finding.problems)]
        assert not verdict.holds
        assert any(why in problem for problem in said), said


@pytest.fixture
def forger(honest: tuple[ProvenChange, str, EvidenceSet], tmp_path: Path) -> Forger:
    return Forger(honest, tmp_path)


async def test_an_honest_pull_request_holds_by_its_id_and_by_its_file(forger: Forger) -> None:
    for verdict in (
        await verified(forger.change.settings, forger.pull_request),
        await forger.verdict(forger.evidence, rerun=True),
    ):
        assert verdict.holds, verdict
        assert verdict.rerun and {f.claim for f in verdict.findings} == {"check-green/tests", "red-before/tests"}


async def test_the_evidence_is_in_toto_in_dsse_and_names_everything(forger: Forger) -> None:
    document = json.loads(forger.evidence.model_dump_json(by_alias=True))
    envelope = document["envelopes"][0]
    assert envelope["payloadType"] == "application/vnd.in-toto+json"
    statement = json.loads(base64.b64decode(envelope["payload"]))
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert statement["subject"][0]["digest"]["gitCommit"] == forger.change.commit
    materials = statement["predicate"]["materials"]
    assert all(len(materials[name]) == 64 for name in ("policy", "recipe", "cards", "tools"))
    assert "trying 2 and 3" in "".join(document["logs"].values())


async def test_the_description_says_how_to_verify_it(forger: Forger) -> None:
    made = [one.ref for one in await forger.change.kept.artifacts.of_task(forger.change.task.id)]
    body = (await forger.change.kept.artifacts.get([r for r in made if r.name == "pull-request.md"][-1].sha256)).decode()
    evidence = [r for r in made if r.name == "evidence.json"][-1]
    assert evidence.sha256 in body and "./patchwright verify" in body and "Signed claims: 2" in body


async def test_a_second_attempt_signs_the_very_same_evidence(forger: Forger) -> None:
    outcome, _ = await forger.change.check()
    await forger.change.publish(outcome.report)
    again = await forger.change.evidence()
    assert [claim.issued_at for claim in forger.claims] == [
        opened(envelope, forger.keys.ring(), datetime.now(UTC)).issued_at for envelope in again.envelopes
    ]


def test_the_key_is_made_once_and_nobody_else_can_read_it(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path / "evidence")
    _, first = keys.current()
    assert keys.current()[1] == first == SigningKeys(tmp_path / "evidence").current()[1]
    assert stat.S_IMODE((tmp_path / "evidence" / "signing-key.pem").stat().st_mode) == 0o600
    assert "PRIVATE" not in (tmp_path / "evidence" / "keys.json").read_text()


def test_an_expired_key_is_followed_by_another_and_still_vouches_for_its_time(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path / "evidence", timedelta(days=1))
    _, first = keys.current(NOW - timedelta(days=3))
    _, second = keys.current(NOW)
    assert [key.keyid for key in keys.ring().keys] == [first.keyid, second.keyid] and first != second


# -- changed after it was signed -----------------------------------------------------------------------------

def _claim(**update: Any) -> Callable[[dict[str, Any]], None]:
    return lambda statement: statement["predicate"].update(update)


TAMPERED: dict[str, Callable[[dict[str, Any]], None]] = {
    "exit code": _claim(runs=[{"exit_code": 3, "log_sha256": "0" * 64}]),
    "tree": _claim(tree="1" * 40),
    "image": _claim(image="sha256:" + "2" * 64),
    "command": _claim(command="true"),
    "policy digest": lambda s: s["predicate"]["materials"].update(policy="3" * 64),
    "card digest": lambda s: s["predicate"]["materials"].update(cards="4" * 64),
    "model digest": lambda s: s["predicate"]["materials"].update(models="5" * 64),
    "tool schema digest": lambda s: s["predicate"]["materials"].update(tools="6" * 64),
    "commit": lambda s: s["predicate"]["change"].update(head_commit="7" * 40),
    "repository": lambda s: s["predicate"]["change"].update(repo="/srv/other.git"),
    "subject": lambda s: s["subject"][0]["digest"].update(gitCommit="8" * 40),
    "time": _claim(issued_at="2020-01-01T00:00:00Z"),
}


@pytest.mark.parametrize("what", TAMPERED)
async def test_a_statement_changed_after_it_was_signed_is_rejected(forger: Forger, what: str) -> None:
    await forger.rejected(forger.tampered(TAMPERED[what]), "signature does not fit")


async def test_an_edited_log_is_rejected(forger: Forger) -> None:
    logs = {name: text.replace("trying", "passed") + "\n" for name, text in forger.evidence.logs.items()}
    await forger.rejected(forger.evidence.model_copy(update={"logs": logs}), "was edited")


async def test_a_missing_log_is_rejected(forger: Forger) -> None:
    await forger.rejected(forger.evidence.model_copy(update={"logs": {}}), "is missing")


async def test_a_claim_that_was_taken_out_is_missed(forger: Forger) -> None:
    left = tuple(forger.evidence.envelopes[:1])
    await forger.rejected(forger.evidence.model_copy(update={"envelopes": left}), "Claims are missing: red-before/tests")


async def test_a_claim_that_is_there_twice_is_rejected(forger: Forger) -> None:
    twice = (*forger.evidence.envelopes, forger.evidence.envelopes[0])
    await forger.rejected(forger.evidence.model_copy(update={"envelopes": twice}), "there twice")


async def test_no_claims_at_all_are_rejected(forger: Forger) -> None:
    await forger.rejected(EvidenceSet(envelopes=()), "no claim with a good signature")


async def test_a_truncated_envelope_is_rejected(forger: Forger) -> None:
    payload = forger.evidence.envelopes[0].payload
    await forger.rejected(forger.with_first(payload=payload[: len(payload) // 8 * 4]), "signature does not fit")
    await forger.rejected(forger.with_first(payload=payload[:-3]), "not base64")


async def test_a_truncated_file_is_rejected(forger: Forger) -> None:
    content = forger.evidence.model_dump_json(by_alias=True).encode()
    with pytest.raises(InvalidInput, match="damaged"):
        await forger.verdict(content[: len(content) // 2])


async def test_another_payload_type_is_rejected(forger: Forger) -> None:
    await forger.rejected(forger.with_first(payload_type="application/json"), "payload's type")


async def test_an_envelope_without_or_with_more_signatures_is_rejected(forger: Forger) -> None:
    (signature,) = forger.evidence.envelopes[0].signatures
    await forger.rejected(forger.with_first(signatures=()), "0 signatures")
    await forger.rejected(forger.with_first(signatures=(signature, signature)), "2 signatures")


async def test_the_signature_of_another_claim_is_rejected(forger: Forger) -> None:
    await forger.rejected(forger.with_first(signatures=forger.evidence.envelopes[1].signatures), "signature does not fit")


# -- other keys ----------------------------------------------------------------------------------------------

async def test_another_key_is_rejected_also_under_our_keys_name(forger: Forger) -> None:
    stranger, ours = Ed25519PrivateKey.generate(), forger.keys.current()[1].keyid
    for name, why in ((key_id(stranger), "not trusted"), (ours, "signature does not fit")):
        forged = tuple(sealed(claim, stranger, name) for claim in forger.claims)
        await forger.rejected(forger.evidence.model_copy(update={"envelopes": forged}), why)


async def test_what_a_key_signs_after_its_time_is_rejected(forger: Forger) -> None:
    late = forger.keys.current()[1].not_after + timedelta(seconds=1)
    await forger.rejected(forger.again(lambda _: {"issued_at": late}), "was not valid when it signed")


async def test_a_statement_from_the_future_is_rejected(forger: Forger) -> None:
    await forger.rejected(forger.again(lambda _: {"issued_at": datetime.now(UTC) + timedelta(hours=1)}), "in the future")


async def test_a_revoked_key_is_rejected(forger: Forger, tmp_path: Path) -> None:
    revoked = KeyRing(keys=tuple(key.model_copy(update={"revoked": True}) for key in forger.keys.ring().keys))
    (tmp_path / "keys.json").write_text(revoked.model_dump_json())
    (tmp_path / "mine.json").write_text(forger.evidence.model_dump_json(by_alias=True))
    verdict = await verified(forger.change.settings, str(tmp_path / "mine.json"), tmp_path / "keys.json", rerun=False)
    assert not verdict.holds and any("revoked" in problem for problem in verdict.problems)


async def test_a_statement_of_another_kind_with_a_good_signature_is_rejected(forger: Forger) -> None:
    from activities.evidence.envelopes import authenticated
    from contracts.evidence import PAYLOAD_TYPE, Envelope, Signature

    private, public = forger.keys.current()
    payload = json.dumps({"_type": "https://in-toto.io/Statement/v1", "predicateType": "urn:other", "subject": []}).encode()
    signature = base64.b64encode(private.sign(authenticated(PAYLOAD_TYPE, payload))).decode()
    other = Envelope(payload=base64.b64encode(payload).decode(), signatures=(Signature(keyid=public.keyid, sig=signature),))
    await forger.rejected(EvidenceSet(envelopes=(other,)), "none of ours")


# -- signed with the service's own key, and still not true -----------------------------------------------------

async def test_evidence_of_another_pull_request_is_rejected(forger: Forger, tmp_path: Path) -> None:
    """The whole set is honest, and somebody else's."""
    async with proven_change(tmp_path, name="pw-000000000002") as other:
        outcome, _ = await other.check()
        made = await other.publish(outcome.report)
        (ref,) = [one.ref for one in await other.kept.artifacts.of_task(other.task.id) if one.ref.name == "evidence.json"]
        content = forger.evidence.model_dump_json(by_alias=True).encode()
        await other.kept.artifacts.put(other.task.id, "OpenPR", content, ref.media_type, ref.name)
        keys = forger.keys.folder / "keys.json"
        verdict = await verified(other.settings, made.pull_request_id, keys, rerun=False)
    assert not verdict.holds
    assert any("about another" in problem for finding in verdict.findings for problem in finding.problems)


async def test_claims_of_two_pull_requests_are_not_one_set(forger: Forger) -> None:
    change = forger.change
    mixed = forger.again(lambda c: {"change": c.change.model_copy(update={"head_branch": "x"})}, ClaimKind.RED_BEFORE)
    await forger.rejected(mixed, "not signed together")
    assert change.commit == forger.claims[0].change.head_commit


async def test_red_that_was_green_and_green_that_was_red_are_rejected(forger: Forger) -> None:
    def swapped(claim: Claim) -> dict[str, Any]:
        code = 0 if claim.kind is ClaimKind.RED_BEFORE else 1
        return {"runs": tuple(run.model_copy(update={"exit_code": code}) for run in claim.runs)}

    await forger.rejected(forger.again(swapped, ClaimKind.RED_BEFORE), "it says red")
    await forger.rejected(forger.again(swapped, ClaimKind.CHECK_GREEN), "it says green")


LIES: dict[str, tuple[Callable[[Claim], dict[str, Any]], str]] = {
    "another image": (lambda c: {"image": "sha256:" + "2" * 64}, "another image"),
    "another command": (lambda c: {"command": "true"}, "another command"),
    "another tree": (lambda c: {"tree": "1" * 40}, "another tree"),
    "a check that the recipe does not have": (
        lambda c: {"check": "lint", "id": f"{c.kind.value}/lint", "claims": tuple(n.replace("tests", "lint") for n in c.claims)},
        "no check named 'lint'",
    ),
    "a commit that is not there": (
        lambda c: {"change": c.change.model_copy(update={"head_commit": "7" * 40})}, "not in the repository"),
    "the base as its own change": (
        lambda c: {"change": c.change.model_copy(update={"head_commit": c.change.base_commit})}, "is at"),
    "the change as its own base": (
        lambda c: {"change": c.change.model_copy(update={"base_commit": c.change.head_commit})}, "is not on the branch main"),
}  # fmt: skip


@pytest.mark.parametrize("what", LIES)
async def test_a_lie_with_a_good_signature_is_found_by_the_second_run(forger: Forger, what: str) -> None:
    lie, why = LIES[what]
    await forger.rejected(forger.again(lie), why, rerun=True)


async def test_a_red_check_told_as_green_and_a_removed_test_are_found_by_the_second_run(forger: Forger) -> None:
    """Somebody pushes a worse commit and has the service's key sign the old words for it."""
    bare, change = Path(forger.change.task.request.repo), forger.change
    mirror, branch = mcp_wiring.mirrors(change.settings).of(change.opened.workspace), change.task.branch
    before = change.commit
    try:
        for files, why in (
            ({"add.sh": "expr $1 - $2\n"}, "its exit code is 1 here, not 0"),
            ({"tests/test_add.sh": None}, "there is nothing to run for it"),
            ({"tests/test_add.sh": "true\n"}, "its exit code is 0 here, not 1"),
        ):
            worse = change.seal(files)
            mirror.git("push", "--force", "--quiet", str(bare), f"{worse}:refs/heads/{branch}")
            tree = mirror.tree_of(worse)
            lies = forger.again(
                lambda c, worse=worse, tree=tree: {
                    "change": c.change.model_copy(update={"head_commit": worse}),
                    "tree": tree if c.kind is ClaimKind.CHECK_GREEN else c.tree,
                }
            )
            await forger.rejected(lies, why, rerun=True)
            change.seal({"add.sh": "expr $1 + $2\n", "tests/test_add.sh": "echo trying 2 and 3\ntest \"$(sh add.sh 2 3)\" = 5\n"})
    finally:
        change.commit = before
        git(bare, "update-ref", f"refs/heads/{branch}", before)


def test_a_statement_says_the_same_in_json_and_in_words(honest: tuple[ProvenChange, str, EvidenceSet]) -> None:
    payload = base64.b64decode(honest[2].envelopes[0].payload)
    assert Statement.model_validate_json(payload).model_dump_json(by_alias=True).encode() == payload
    assert digest(payload) == digest(Statement.model_validate_json(payload).model_dump_json(by_alias=True).encode())


# -- waivers, measures, and what can be computed -----------------------------------------------------------------

def told(claim: Claim, **update: Any) -> dict[str, Any]:
    """A lie about the first of a claim's tests."""
    first, *rest = claim.tests
    return {"tests": (first.model_copy(update=update), *rest)}


def another_fate(claim: Claim) -> dict[str, Any]:
    """Another fate for the first mutant, in the claim alone."""
    first, *rest = claim.mutants
    other = Fate.KILLED if first.fate is Fate.SURVIVED else Fate.SURVIVED
    return {"mutants": (first.model_copy(update={"fate": other}), *rest)}


ON_PAPER: dict[str, tuple[ClaimKind, Callable[[Claim], dict[str, Any]], str]] = {
    "another failure than its log tells": (ClaimKind.RED_BEFORE, lambda c: told(c, error="TypeError"), "not with"),
    "a test that its log does not name": (ClaimKind.RED_BEFORE, lambda c: told(c, name="test_other"), "does not tell that"),
    "a failure that is not the reported one": (ClaimKind.RED_BEFORE, lambda c: told(c, shows=""), "is not the reported one"),
    "a flaky test that counts": (ClaimKind.RED_BEFORE, lambda c: {"flaky": (c.tests[0].name or c.check,)}, "calls flaky"),
    "no test at all": (ClaimKind.RED_BEFORE, lambda c: {"tests": ()}, "names no test"),
    "a measure of another kind": (ClaimKind.CHECK_GREEN, lambda c: {"coverage": COVERED}, "measure does not fit"),
}
COVERED = ClaimedCoverage(changed=1, covered=1, rate=100)


@pytest.mark.parametrize("what", ON_PAPER)
async def test_a_lie_with_a_good_signature_that_shows_on_paper_is_rejected(forger: Forger, what: str) -> None:
    kind, lie, why = ON_PAPER[what]
    await forger.rejected(forger.again(lie, kind), why)


async def test_a_key_that_is_there_twice_is_rejected_in_the_file_and_in_what_was_signed(forger: Forger) -> None:
    content = forger.evidence.model_dump_json(by_alias=True)
    with pytest.raises(InvalidInput, match="twice in one place"):
        await forger.verdict(content.replace('{"envelopes"', '{"logs":{},"envelopes"', 1).encode())
    private, public = forger.keys.current()
    payload = base64.b64decode(forger.evidence.envelopes[0].payload)
    twice = signed(payload.replace(b'"predicate":{', b'"predicate":{"check":"other",', 1), private, public.keyid)
    mixed = forger.evidence.model_copy(update={"envelopes": (twice, *forger.evidence.envelopes[1:])})
    await forger.rejected(mixed, "twice in one place")


async def test_a_log_that_no_claim_names_is_rejected(forger: Forger) -> None:
    logs = {**forger.evidence.logs, digest(b"all is well"): "all is well"}
    await forger.rejected(forger.evidence.model_copy(update={"logs": logs}), "a log that no claim names")


def waived(forger: Forger, key: Any = None, **update: Any) -> EvidenceSet:
    """The honest evidence with a waiver of our own beside it."""
    private, public = forger.keys.current()
    when = forger.claims[0].issued_at
    given: dict[str, Any] = {
        "task_id": forger.change.task.id, "commit": forger.change.commit, "fingerprints": ("f" * 64,), "texts": ("it",),
        "person": "ada", "reason": "gone", "issued_at": when - timedelta(microseconds=1), "expires_at": when + timedelta(days=1),
    }  # fmt: skip
    given["issued_at"] = max(given["issued_at"], public.not_before)
    statement = waiver_statement(Waiver(**{**given, **update})).model_dump_json(by_alias=True).encode()
    return forger.evidence.model_copy(update={"waivers": (signed(statement, key or private, public.keyid),)})


async def test_a_waiver_that_is_forged_expired_or_of_another_task_is_rejected(forger: Forger) -> None:
    when = forger.claims[0].issued_at
    await forger.rejected(waived(forger, key=Ed25519PrivateKey.generate()), "signature does not fit")
    await forger.rejected(waived(forger, expires_at=when), "was not in force")
    await forger.rejected(waived(forger, task_id="pw-other"), "it is for another task")
    assert (await forger.verdict(waived(forger))).holds


async def test_a_waiver_for_another_commit_is_rejected(forger: Forger) -> None:
    await forger.rejected(waived(forger, commit="7" * 40), "is for another commit", rerun=True)


COMPUTED: dict[str, tuple[Callable[[Claim], dict[str, Any]], str]] = {
    "another recipe": (lambda c: {"materials": c.materials.model_copy(update={"recipe": "3" * 64})}, "Another recipe"),
}


@pytest.mark.parametrize("what", COMPUTED)
async def test_what_the_repository_says_itself_counts_and_not_the_file(forger: Forger, what: str) -> None:
    lie, why = COMPUTED[what]
    await forger.rejected(forger.again(lie), why, rerun=True)


@pytest.mark.parametrize(
    ("field", "claimed", "why"),
    [("cards", "4" * 64, "another set of agent cards"), ("kind", "feature", "another kind of work")],
)
async def test_the_services_own_records_speak_against_the_file(forger: Forger, field: str, claimed: str, why: str) -> None:
    """The lie is signed with the service's key and takes the place of the honest evidence."""
    change = forger.change

    def lie(claim: Claim) -> dict[str, Any]:
        part = "change" if field == "kind" else "materials"
        return {part: getattr(claim, part).model_copy(update={field: claimed})}

    honest = forger.evidence.model_dump_json(by_alias=True, indent=1).encode()
    lying = forger.again(lie).model_dump_json(by_alias=True, indent=1).encode()
    try:
        await change.kept.artifacts.put(change.task.id, "OpenPR", lying, "application/json", "evidence.json")
        verdict = await verified(change.settings, forger.pull_request, rerun=False)
    finally:
        await change.kept.artifacts.put(change.task.id, "OpenPR", honest + b"\n", "application/json", "evidence.json")
    assert not verdict.holds
    assert any(why in problem for finding in verdict.findings for problem in finding.problems)


# -- small faults ------------------------------------------------------------------------------------------------

async def test_what_the_tests_notice_is_claimed_and_a_better_score_is_rejected(tmp_path: Path) -> None:
    test = "import unittest\nfrom calc import add\n\n\nclass Add(unittest.TestCase):\n    def test_two(self):\n"
    files = {
        "calc.py": "def add(a, b):\n    if a > 100:\n        return 7\n    return a + b\n",
        "tests/test_calc.py": test + "        self.assertEqual(add(1, 1), 2)\n",
    }
    async with proven_change(tmp_path, files, base={"calc.py": "def add(a, b):\n    return a - b\n"}) as change:
        outcome, report = await change.check()
        assert outcome.passed, report
        made = await change.publish(outcome.report)
        evidence = await change.evidence()
        forger = Forger((change, made.pull_request_id, evidence), tmp_path)
        claim = next(one for one in forger.claims if one.kind is ClaimKind.MUTATION)
        fates = {one.mutant.text: one.fate for one in claim.mutants}
        assert fates["calc.py:4: '+' became '-'"] is Fate.KILLED
        assert fates["calc.py:3: '7' became '8'"] is Fate.SURVIVED
        await forger.rejected(forger.again(another_fate, ClaimKind.MUTATION), "tells of other mutants")
        better = tuple(one.model_copy(update={"fate": Fate.KILLED}) for one in claim.mutants)
        log = evidence.logs[claim.runs[0].log_sha256].replace("survived:", "killed:")
        runs = (claim.runs[0].model_copy(update={"log_sha256": digest(log.encode())}),)
        lie = forger.again(lambda _: {"mutants": better, "runs": runs}, ClaimKind.MUTATION)
        kept = {name: text for name, text in lie.logs.items() if name != claim.runs[0].log_sha256}
        await forger.rejected(
            lie.model_copy(update={"logs": {**kept, digest(log.encode()): log}}), "is said to be noticed, and is not", rerun=True
        )
        assert (await verified(change.settings, made.pull_request_id)).holds
