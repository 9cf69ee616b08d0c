"""The tables of the local forge, and an engine that several processes may use on one file."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

BUSY_MILLISECONDS = 15_000
WRITES = {"patchwright_writes": True}
"""Execution option of a transaction that will write: it waits its turn at the start instead of failing in the middle."""

metadata = MetaData()

pull_requests = Table(
    "pull_requests", metadata,
    Column("id", String, primary_key=True),
    Column("repo", String, nullable=False),
    Column("number", Integer, nullable=False),
    Column("title", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("head_branch", String, nullable=False),
    Column("head_commit", String, nullable=False),
    Column("base_branch", String, nullable=False),
    Column("base_commit", String, nullable=False),
    Column("draft", Boolean, nullable=False),
    Column("state", String, nullable=False),
    Column("task_id", String, nullable=False),
    Column("created_at", String, nullable=False),
    Column("updated_at", String, nullable=False),
    UniqueConstraint("repo", "number"),
    Index("one_open_pull_request_per_branch", "repo", "head_branch", unique=True, sqlite_where=text("state = 'open'")),
)

reviews = Table(
    "reviews", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("pull_request_id", ForeignKey(pull_requests.c.id), nullable=False),
    Column("id", String, nullable=False),
    Column("verdict", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("reviewer", String, nullable=False),
    Column("commit", String, nullable=False),
    Column("created_at", String, nullable=False),
    UniqueConstraint("pull_request_id", "id"),
)

threads = Table(
    "threads", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("id", String, nullable=False, unique=True),
    Column("pull_request_id", ForeignKey(pull_requests.c.id), nullable=False, index=True),
    Column("path", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("side", String, nullable=False),
    Column("resolved", Boolean, nullable=False),
)

messages = Table(
    "messages", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("thread_id", ForeignKey(threads.c.id), nullable=False, index=True),
    Column("author", String, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", String, nullable=False),
    Column("review_id", String, nullable=False),
    Column("commit", String, nullable=False),
    Column("answer_digest", String, nullable=False),
    Index("one_answer_once", "thread_id", "answer_digest", unique=True, sqlite_where=text("answer_digest != ''")),
)

checks = Table(
    "checks", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("pull_request_id", ForeignKey(pull_requests.c.id), nullable=False),
    Column("digest", String, nullable=False),
    Column("report", Text, nullable=False),
    UniqueConstraint("pull_request_id", "digest"),
)

signs = Table(
    "signs", metadata,
    Column("seq", Integer, primary_key=True, autoincrement=True),
    Column("pull_request_id", ForeignKey(pull_requests.c.id), nullable=False),
    Column("kind", String, nullable=False),
    Column("key", String, nullable=False),
    Column("text", Text, nullable=False),
    UniqueConstraint("pull_request_id", "kind", "key"),
)
"""What hangs on a pull request once: its labels, who was asked for a review, our comments, our verdicts."""


def use_write_ahead_log(database: Path) -> None:
    """Let readers and a writer work side by side; the file remembers it. Blocks: call it in a thread.

    SQLite doesn't wait its turn for this one change, whatever the busy time-out: whoever is second tries again.
    """
    database.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + BUSY_MILLISECONDS / 1_000
    while True:
        try:
            with closing(sqlite3.connect(database)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def engine_for(database: Path) -> AsyncEngine:
    """An engine without a pool: connections are cheap here, and none outlives its event loop."""
    engine = create_async_engine(f"sqlite+aiosqlite:///{database}", poolclass=NullPool)

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection, _record) -> None:
        # Transactions begin where we say so, not where the driver guesses.
        connection.isolation_level = None
        cursor = connection.cursor()
        for setting in (f"busy_timeout = {BUSY_MILLISECONDS}", "foreign_keys = ON", "synchronous = NORMAL"):
            cursor.execute(f"PRAGMA {setting}")
        cursor.close()

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection) -> None:
        writes = connection.get_execution_options().get("patchwright_writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine
