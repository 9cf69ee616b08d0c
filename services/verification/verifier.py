"""``verify``: from a pull request or a file to a verdict."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from contracts.errors import InvalidInput, NotFound
from contracts.event import EventKind
from contracts.evidence import EVIDENCE_FILE, KeyRing
from contracts.forge import PullRequest
from contracts.reported import Reported, reported_in
from contracts.task import TaskRequest
from services import mcp_wiring, wiring
from services.settings import Settings
from services.verification.examination import LARGEST, evidence_of, examined
from services.verification.replay import Replay
from services.verification.verdict import Expected, Verdict

STEP = "OpenPR"
UNKNOWN = (
    "Here is neither a file nor a pull request {named!r}. A pull request is known by its id on the machine of its service; "
    "anywhere else give its file: ./patchwright verify evidence.json --keys keys.json"
)


async def verified(settings: Settings, named: str, keys: Path | None = None, rerun: bool = True) -> Verdict:
    """Examine the evidence of a pull request's id, or of a file, and run its claims again where nothing spoke against them.

    ``keys``: public keys to trust instead of this service's own. Raises ``NotFound``, ``InvalidInput``, ``SandboxUnavailable``.
    """
    content = _of_file(Path(named))
    expected: Expected | None = None
    if content is None:
        content, expected = await _of_pull_request(settings, named)
    opinion = examined(evidence_of(content), _trusted(settings, keys), datetime.now(UTC), expected)
    if opinion.doubted or not rerun:
        return opinion.verdict()
    with tempfile.TemporaryDirectory(prefix="patchwright-verify-") as folder:
        # Nothing that the service keeps is used: a mirror, dependencies and call records of its own, in this process.
        clean = settings.model_copy(update={"data_dir": Path(folder), "mcp_urls": {}})
        boxes = mcp_wiring.sandboxes(clean)
        try:
            async with mcp_wiring.capabilities(clean, "", boxes) as connected:
                await Replay(connected, mcp_wiring.mirrors(clean)).run(opinion)
        finally:
            await boxes.close()
    return opinion.verdict(rerun=True)


def _of_file(path: Path) -> bytes | None:
    """The content of a file; None where there is none of that name. Raises ``InvalidInput``."""
    try:
        # One byte more than evidence may have is enough to tell that it has more.
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        raise InvalidInput(f"The evidence cannot be read from {path}: {error.strerror}.") from None


async def _of_pull_request(settings: Settings, named: str) -> tuple[bytes, Expected]:
    """The newest evidence of a pull request, and what it must be about."""
    from services.desks import Desks, HostedDesk

    async with wiring.stores(settings) as kept:
        desk = Desks(mcp_wiring.local_forge(settings, ""), HostedDesk(kept.runs, kept.artifacts))
        try:
            shown = await desk.get(named)
        except NotFound:
            raise NotFound(UNKNOWN.format(named=named)) from None
        made = await kept.artifacts.of_task(shown.task_id)
        refs = [one.ref for one in made if (one.step, one.ref.name) == (STEP, EVIDENCE_FILE)]
        if not refs:
            raise NotFound(f"The pull request {named} has no evidence: no check ran, or it is older than the ledger.")
        expected = await _expected(kept, shown)
        return await kept.artifacts.get(refs[-1].sha256), expected


async def _expected(kept: wiring.Stores, shown: PullRequest) -> Expected:
    """What the service's own records say of a pull request."""
    about = {name: getattr(shown, name) for name in ("repo", "base_branch", "head_branch", "head_commit", "task_id")}
    try:
        ticket = (await kept.runs.ticket(shown.task_id)).request
    except NotFound:
        return Expected(**about)
    events = await kept.runs.events_of_kinds(shown.task_id, [EventKind.NOTE, EventKind.PULL_REQUEST])
    stamps = [str(event.data["policy_sha256"]) for event in events if event.data.get("policy_sha256")]
    bases = [str(one.data["base_commit"]) for one in events if one.data.get("head_commit") == shown.head_commit]
    cards = [one.ref.sha256 for one in await kept.artifacts.of_task(shown.task_id) if one.ref.name == "cards.json"]
    return Expected(
        **about,
        base_commit=bases[-1] if bases else "",
        kind=ticket.kind.value,
        policy=stamps[-1] if stamps else "",
        cards=cards[0] if len(cards) == 1 else "",
        reported=_reported(ticket),
    )


def _reported(ticket: TaskRequest) -> Reported | None:
    """What the ticket says; None where the plan may have said it instead."""
    told = reported_in((ticket.title, ticket.description, *ticket.acceptance_criteria))
    return told if told.errors else None


def _trusted(settings: Settings, keys: Path | None) -> KeyRing:
    if keys is None:
        return wiring.signing_keys(settings).ring()
    try:
        return KeyRing.model_validate_json(keys.read_bytes())
    except OSError as error:
        raise InvalidInput(f"The public keys cannot be read from {keys}: {error.strerror}.") from None
    except ValidationError:
        raise InvalidInput(f"{keys} holds no public keys; take the file keys.json of the service's data folder.") from None
