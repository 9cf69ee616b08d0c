"""The local forge's records: what is kept, and what may happen only once. No git here."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.dialects.sqlite import insert as insert_or_update
from sqlalchemy.ext.asyncio import AsyncConnection

from contracts.checks import ChecksReport
from contracts.errors import Conflict, NotFound
from contracts.forge import Place, PullRequest, PullRequestDraft, PullRequestState
from contracts.review import Permission, Review, ReviewRequest, Thread, ThreadAnswer, ThreadMessage, Verdict
from mcp_servers.repo import local_tables as tables
from mcp_servers.repo.local_tables import checks, messages, pull_requests, reviews, signs, threads

OURSELVES = "Patchwright"
"""Author of answers in threads."""


@dataclass(frozen=True)
class NumbersThere:
    """Numbers of pull requests as the remote's refs tell them."""

    own: frozenset[int] = frozenset()
    """Those that stand at a commit of the head branch in question."""
    highest: int = 0


class LocalRecords:
    """Pull requests, reviews, threads and checks in one SQLite file; several processes may share it."""

    def __init__(self, database: Path, base_url: str = "") -> None:
        self._database = database
        self._engine = tables.engine_for(database)
        self._base_url = base_url.rstrip("/")
        self._ready = False

    async def publish(self, wanted: PullRequestDraft, base_commit: str, there: NumbersThere) -> PullRequest:
        """Open the one pull request of a head branch, or update the open one.

        A number that the remote has for this branch, and whose record is lost, is taken again; no other one of the remote is.
        """
        async with self._writing() as connection:
            found = await _open_row(connection, wanted.repo, wanted.head_branch)
            if found is None:
                return self._pull_request(await _insert(connection, wanted, base_commit, there))
            return self._pull_request(await _update(connection, found, wanted, base_commit))

    async def find(self, repo: str, head_branch: str) -> PullRequest | None:
        """The open pull request of a head branch."""
        async with self._reading() as connection:
            found = await _open_row(connection, repo, head_branch)
        return self._pull_request(found) if found else None

    async def get(self, pull_request_id: str) -> PullRequest:
        """One pull request. Raises ``NotFound``."""
        async with self._reading() as connection:
            return self._pull_request(await _row(connection, pull_request_id))

    async def all(
        self, state: PullRequestState | None, task_id: str = "", after: Place | None = None, limit: int | None = None
    ) -> list[PullRequest]:
        """Pull requests of all repositories, the last changed first; ``after`` the place of one, at most so many."""
        columns = pull_requests.c
        wanted = select(pull_requests).order_by(columns.updated_at.desc(), columns.id).limit(limit)
        if state is not None:
            wanted = wanted.where(columns.state == state.value)
        if task_id:
            wanted = wanted.where(columns.task_id == task_id)
        if after is not None:
            changed = after[0].isoformat()
            later = (columns.updated_at < changed) | ((columns.updated_at == changed) & (columns.id > after[1]))
            wanted = wanted.where(later)
        async with self._reading() as connection:
            return [self._pull_request(row) for row in (await connection.execute(wanted)).mappings()]

    async def known(self, ids: Collection[str]) -> dict[str, PullRequest]:
        """Those of these pull requests that there are, by id, in one question."""
        wanted = select(pull_requests).where(pull_requests.c.id.in_(ids))
        async with self._reading() as connection:
            found = [self._pull_request(row) for row in (await connection.execute(wanted)).mappings()]
        return {pull_request.id: pull_request for pull_request in found}

    async def close(self, pull_request_id: str) -> PullRequest:
        """Close; closing twice is closing once. Raises ``Conflict`` for a merged one."""
        async with self._writing() as connection:
            row = await _row(connection, pull_request_id)
            if row["state"] == PullRequestState.MERGED:
                raise Conflict(f"{pull_request_id} is merged; it cannot be closed any more.")
            if row["state"] == PullRequestState.OPEN:
                closing = update(pull_requests).where(pull_requests.c.id == pull_request_id)
                await connection.execute(closing.values(state=PullRequestState.CLOSED.value, updated_at=_now()))
            return self._pull_request(await _row(connection, pull_request_id))

    async def mark_ready(self, pull_request_id: str) -> PullRequest:
        """No draft any more. Raises ``Conflict`` when it is not open."""
        async with self._writing() as connection:
            row = await _row(connection, pull_request_id)
            _refuse_closed(row, "marked ready")
            if row["draft"]:
                changing = update(pull_requests).where(pull_requests.c.id == pull_request_id)
                await connection.execute(changing.values(draft=False, updated_at=_now()))
            return self._pull_request(await _row(connection, pull_request_id))

    async def sign(self, pull_request_id: str, kind: str, texts: dict[str, str]) -> None:
        """Hang texts on a pull request by key; what is there by that key is replaced."""
        async with self._writing() as connection:
            await _row(connection, pull_request_id)
            for key, text in texts.items():
                new = insert_or_update(signs).values(pull_request_id=pull_request_id, kind=kind, key=key, text=text)
                found = [signs.c.pull_request_id, signs.c.kind, signs.c.key]
                await connection.execute(new.on_conflict_do_update(index_elements=found, set_={"text": text}))

    async def signs(self, kind: str, *pull_request_ids: str) -> dict[str, dict[str, str]]:
        """What of a kind hangs on pull requests, by their ids and its keys, oldest first."""
        wanted = select(signs).where(signs.c.kind == kind, signs.c.pull_request_id.in_(pull_request_ids)).order_by(signs.c.seq)
        found: dict[str, dict[str, str]] = {id_: {} for id_ in pull_request_ids}
        async with self._reading() as connection:
            for row in (await connection.execute(wanted)).mappings():
                found[row["pull_request_id"]][row["key"]] = row["text"]
        return found

    async def add_checks(self, pull_request_id: str, report: ChecksReport) -> None:
        """Append a report, once."""
        text = report.model_dump_json()
        digest = hashlib.sha256(text.encode()).hexdigest()
        known = select(checks.c.seq).where(checks.c.pull_request_id == pull_request_id, checks.c.digest == digest)
        async with self._writing() as connection:
            await _row(connection, pull_request_id)
            if (await connection.execute(known)).first() is None:
                new = {"pull_request_id": pull_request_id, "digest": digest, "report": text}
                await connection.execute(insert(checks).values(new))

    async def checks(self, pull_request_id: str) -> list[ChecksReport]:
        """Every report, oldest first."""
        wanted = select(checks.c.report).where(checks.c.pull_request_id == pull_request_id).order_by(checks.c.seq)
        async with self._reading() as connection:
            await _row(connection, pull_request_id)
            return [ChecksReport.model_validate_json(text) for text in (await connection.execute(wanted)).scalars()]

    async def find_review(self, pull_request_id: str, review_id: str) -> Review | None:
        """A review by its id."""
        async with self._reading() as connection:
            return await _review(connection, pull_request_id, review_id)

    async def add_review(self, pull_request_id: str, review_id: str, review: ReviewRequest) -> Review:
        """Keep a review and open its threads, once. Raises ``Conflict`` when the pull request is not open."""
        async with self._writing() as connection:
            row = await _row(connection, pull_request_id)
            if found := await _review(connection, pull_request_id, review_id):
                return found
            _refuse_closed(row, "reviewed")
            kept = Review(id=review_id, verdict=review.verdict, body=review.body, reviewer=review.reviewer,
                          commit=row["head_commit"], created_at=datetime.now(UTC), permission=Permission.WRITE)
            new = {**kept.model_dump(mode="json", exclude={"permission", "bot"}), "pull_request_id": pull_request_id}
            await connection.execute(insert(reviews).values(new))
            await _open_threads(connection, pull_request_id, review_id, review)
            return kept

    async def reviews(self, pull_request_id: str) -> list[Review]:
        """All reviews, oldest first."""
        wanted = select(reviews).where(reviews.c.pull_request_id == pull_request_id).order_by(reviews.c.seq)
        async with self._reading() as connection:
            await _row(connection, pull_request_id)
            return [_reviewed(row) for row in (await connection.execute(wanted)).mappings()]

    async def threads(self, pull_request_id: str) -> list[Thread]:
        """All threads, oldest first."""
        wanted = select(threads).where(threads.c.pull_request_id == pull_request_id).order_by(threads.c.seq)
        said = select(messages).join(threads, threads.c.id == messages.c.thread_id).order_by(messages.c.seq)
        spoken: dict[str, list[ThreadMessage]] = {}
        async with self._reading() as connection:
            await _row(connection, pull_request_id)
            rows = (await connection.execute(wanted)).mappings().all()
            for message in (await connection.execute(said.where(threads.c.pull_request_id == pull_request_id))).mappings():
                spoken.setdefault(message["thread_id"], []).append(_message(message))
        return [Thread.model_validate({**row, "messages": tuple(spoken.get(row["id"], ()))}) for row in rows]

    async def answer(self, pull_request_id: str, answers: list[ThreadAnswer]) -> None:
        """Append answers, each once, all or none. Raises ``NotFound``, ``Conflict`` when the pull request is not open."""
        async with self._writing() as connection:
            row = await _row(connection, pull_request_id)
            for given in answers:
                await _answer(connection, row, given)

    @asynccontextmanager
    async def _writing(self) -> AsyncIterator[AsyncConnection]:
        await self._prepare()
        async with self._engine.execution_options(**tables.WRITES).begin() as connection:
            yield connection

    @asynccontextmanager
    async def _reading(self) -> AsyncIterator[AsyncConnection]:
        await self._prepare()
        async with self._engine.connect() as connection:
            yield connection

    async def _prepare(self) -> None:
        if not self._ready:
            await asyncio.to_thread(tables.use_write_ahead_log, self._database)
            async with self._engine.execution_options(**tables.WRITES).begin() as connection:
                await connection.run_sync(tables.metadata.create_all)
            self._ready = True

    def _pull_request(self, row: RowMapping) -> PullRequest:
        url = f"{self._base_url}/prs/{row['id']}" if self._base_url else ""
        return PullRequest.model_validate({**row, "url": url})


async def _row(connection: AsyncConnection, pull_request_id: str) -> RowMapping:
    wanted = select(pull_requests).where(pull_requests.c.id == pull_request_id)
    row = (await connection.execute(wanted)).mappings().first()
    if row is None:
        raise NotFound(f"There is no pull request {pull_request_id!r}.")
    return row


async def _open_row(connection: AsyncConnection, repo: str, head_branch: str) -> RowMapping | None:
    columns = pull_requests.c
    wanted = select(pull_requests).where(columns.repo == repo, columns.head_branch == head_branch)
    return (await connection.execute(wanted.where(columns.state == PullRequestState.OPEN.value))).mappings().first()


async def _insert(connection: AsyncConnection, wanted: PullRequestDraft, base_commit: str, there: NumbersThere) -> RowMapping:
    wanted_numbers = select(pull_requests.c.number).where(pull_requests.c.repo == wanted.repo)
    known = set((await connection.execute(wanted_numbers)).scalars())
    number = max(there.own - known, default=max(known | {there.highest}) + 1)
    id_ = f"local-{hashlib.sha256(wanted.repo.encode()).hexdigest()[:8]}-{number}"
    new = {**wanted.model_dump(), "id": id_, "number": number, "base_commit": base_commit, "state": PullRequestState.OPEN.value,
           "created_at": _now(), "updated_at": _now()}
    await connection.execute(insert(pull_requests).values(new))
    return await _row(connection, id_)


async def _update(connection: AsyncConnection, found: RowMapping, wanted: PullRequestDraft, base_commit: str) -> RowMapping:
    new = {**wanted.model_dump(exclude={"repo", "head_branch"}), "base_commit": base_commit}
    new["task_id"] = new["task_id"] or found["task_id"]
    new["draft"] = new["draft"] and found["draft"]
    if any(found[key] != value for key, value in new.items()):
        changing = update(pull_requests).where(pull_requests.c.id == found["id"])
        await connection.execute(changing.values(**new, updated_at=_now()))
    return await _row(connection, found["id"])


async def _review(connection: AsyncConnection, pull_request_id: str, review_id: str) -> Review | None:
    wanted = select(reviews).where(reviews.c.pull_request_id == pull_request_id, reviews.c.id == review_id)
    row = (await connection.execute(wanted)).mappings().first()
    return _reviewed(row) if row else None


def _reviewed(row: RowMapping) -> Review:
    # Whoever reaches our pages holds the service's token: there is nothing that they may not tell it.
    return Review.model_validate({**row, "permission": Permission.WRITE})


def _message(row: RowMapping) -> ThreadMessage:
    ours = row["author"] == OURSELVES and bool(row["answer_digest"])
    permission = Permission.UNKNOWN if ours else Permission.WRITE
    return ThreadMessage.model_validate({**row, "id": str(row["seq"]), "permission": permission, "ours": ours})


async def _open_threads(connection: AsyncConnection, pull_request_id: str, review_id: str, review: ReviewRequest) -> None:
    opened: list[dict[str, Any]] = [comment.model_dump() for comment in review.comments]
    if review.body.strip() and review.verdict is not Verdict.APPROVE:
        opened.insert(0, {"path": "", "line": 0, "side": "new", "body": review.body})
    counted = select(func.count()).where(threads.c.pull_request_id == pull_request_id)
    already = (await connection.execute(counted)).scalar() or 0
    for index, opening in enumerate(opened, already + 1):
        id_, body = f"{pull_request_id}.{index}", opening.pop("body")
        await connection.execute(insert(threads).values(**opening, id=id_, pull_request_id=pull_request_id, resolved=False))
        await _say(connection, thread_id=id_, author=review.reviewer, body=body, review_id=review_id)


async def _answer(connection: AsyncConnection, pull_request: RowMapping, given: ThreadAnswer) -> None:
    wanted = select(threads.c.id).where(threads.c.id == given.thread_id, threads.c.pull_request_id == pull_request["id"])
    if (await connection.execute(wanted)).first() is None:
        raise NotFound(f"{pull_request['id']} has no thread {given.thread_id!r}.")
    digest = hashlib.sha256(f"{given.commit}\0{given.body}".encode()).hexdigest()
    known = select(messages.c.seq).where(messages.c.thread_id == given.thread_id, messages.c.answer_digest == digest)
    if (await connection.execute(known)).first() is not None:
        return
    _refuse_closed(pull_request, "answered")
    await _say(connection, thread_id=given.thread_id, author=OURSELVES, body=given.body, commit=given.commit,
               answer_digest=digest)
    if given.addressed:
        await connection.execute(update(threads).where(threads.c.id == given.thread_id).values(resolved=True))


async def _say(connection: AsyncConnection, **message: str) -> None:
    new = {"created_at": _now(), "review_id": "", "commit": "", "answer_digest": "", **message}
    await connection.execute(insert(messages).values(new))


def _refuse_closed(row: RowMapping, deed: str) -> None:
    if row["state"] != PullRequestState.OPEN:
        raise Conflict(f"{row['id']} is {row['state']}; only an open pull request can be {deed}.")


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")
