"""Which tasks a hint is about."""

from activities.stores.run_store import RunStore
from contracts.errors import InvalidInput, NotFound
from contracts.record import TaskRecord
from mcp_servers.repo.hosted import HostedPullRequest, HostedRepository, hosted_repository
from services.inbox.hints import PullRequestHint

OWN = "patchwright/"
"""How the branches of tasks begin."""


async def concerned(runs: RunStore, hint: PullRequestHint) -> list[str]:
    """The unfinished tasks that should look at their pull request, by name."""
    found = await _by_what_is_told(runs, hint)
    names = (record.task.id for record in found if _is_in(record, hint.place) and not _is_ours(record, hint))
    return list(dict.fromkeys(names))


async def _by_what_is_told(runs: RunStore, hint: PullRequestHint) -> list[TaskRecord]:
    found: list[TaskRecord] = []
    if hint.number:
        found += await runs.watching(pull_request_id=HostedPullRequest(hint.kind, hint.place, hint.number).id)
    if hint.commit:
        found += await runs.watching(head_commit=hint.commit)
    if hint.branch.startswith(OWN):
        found += await _of_branch(runs, hint.branch)
    elif hint.base:
        based = await runs.watching(repository=hint.place.path)
        found += [record for record in based if _has_base(record, hint)]
    return found


async def _of_branch(runs: RunStore, branch: str) -> list[TaskRecord]:
    name = branch.removeprefix(OWN)
    if not (name.isascii() and name.isprintable()):
        return []
    try:
        record = await runs.get(name)
    except NotFound:
        return []
    return [] if record.state.final else [record]


def _has_base(record: TaskRecord, hint: PullRequestHint) -> bool:
    base = record.task.request.base_branch
    return base == hint.base if base else hint.base_is_default


def _is_in(record: TaskRecord, place: HostedRepository) -> bool:
    """Whether the task's repository is that one: a branch or commit of the same name elsewhere is nobody's business here."""
    try:
        meant = hosted_repository(record.task.request.repo)
    except (InvalidInput, ValueError):
        return False
    return meant is not None and (meant.host, meant.path.lower()) == (place.host.lower(), place.path.lower())


def _is_ours(record: TaskRecord, hint: PullRequestHint) -> bool:
    """Whether it tells of the commit that this service put there itself."""
    return bool(hint.pushed) and hint.pushed == record.head_commit and not hint.commit
