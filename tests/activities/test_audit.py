"""The audit log: what agents were refused stands in it, in a chain that shows every change, on both databases."""

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from activities.stores.audit_store import AuditStore
from activities.stores.database import Database
from contracts.audit import Judged, broken_link
from contracts.deciding import decide
from contracts.deeds import PathWrite, Publish, ToolCall
from contracts.policy import Policy

POLICY = Policy()


def judged(key: str, deed: ToolCall | PathWrite | Publish) -> Judged:
    return Judged(key=key, deed=deed, decision=decide(POLICY, deed), policy_sha256=POLICY.sha256)


PUSHED = judged("publish", Publish(step="OpenPR", commit="c" * 40))
REFUSED = judged("call/1", ToolCall(role="planner", tool="write_file"))


async def test_entries_follow_one_another_and_a_retry_adds_none(database: Database) -> None:
    store = AuditStore(database)
    await store.append("pw-a", [REFUSED, PUSHED])
    await store.append("pw-a", [REFUSED])
    entries = await store.entries("pw-a")
    assert [(entry.ordinal, entry.allowed, entry.rule) for entry in entries] == [
        (1, False, "code.role_tools"), (2, True, "code.publishing_steps"),
    ]  # fmt: skip
    assert broken_link(entries) == broken_link(entries, await store.head("pw-a")) == ""


async def test_entries_of_many_at_once_make_one_chain(database: Database) -> None:
    store = AuditStore(database)
    await asyncio.gather(*(store.append("pw-b", [judged(f"k{n}", PathWrite(path=f"{n}/\u0000\u202e"))]) for n in range(12)))
    entries = await store.entries("pw-b")
    assert len(entries) == 12 and broken_link(entries) == ""


@pytest.mark.parametrize("statement", ["UPDATE audit SET allowed = true", "DELETE FROM audit"])
async def test_the_database_refuses_to_change_an_entry(database: Database, statement: str) -> None:
    await AuditStore(database).append("pw-c", [REFUSED])
    with pytest.raises(DBAPIError, match="append-only"):
        async with database.writing() as connection:
            await connection.execute(text(statement))


async def test_a_changed_removed_or_cut_off_entry_shows(database: Database) -> None:
    store = AuditStore(database)
    await store.append("pw-d", [judged(str(n), PathWrite(path=f".git/{n}")) for n in range(4)])
    first, second, third, last = await store.entries("pw-d")
    edited = second.model_copy(update={"allowed": True})
    assert "Entry 2 was changed" in broken_link([first, edited, third, last])
    assert "Entry 2 is missing" in broken_link([first, third, last])
    assert broken_link([first, second, third]) == ""
    assert "cut off" in broken_link([first, second, third], last.sha256)
