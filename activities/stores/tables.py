"""The tables, as SQLAlchemy sees them. The migrations make them; a test holds the two together."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
)

# SQLite counts up by itself only in a column whose type is exactly INTEGER.
Counter = BigInteger().with_variant(Integer, "sqlite")


class Moment(TypeDecorator[datetime]):
    """A point in time, always UTC and always aware; SQLite keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


metadata = MetaData(naming_convention={
    "ix": "ix_%(table_name)s_%(column_0_N_name)s", "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s", "fk": "fk_%(table_name)s_%(column_0_N_name)s",
})

tasks = Table(
    "tasks", metadata,
    Column("number", Counter, primary_key=True, autoincrement=True),
    Column("id", String(100), nullable=False, unique=True),
    Column("task", Text, nullable=False),
    Column("source_system", String(64)),
    Column("source_key", String(200)),
    Column("repo", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("requester", String(200), nullable=False),
    Column("search", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("step", String(100), nullable=False),
    Column("reason", Text, nullable=False),
    Column("workflow_run_id", String(100), nullable=False),
    Column("plan_sha256", String(64), nullable=False),
    Column("pull_request_id", String(200), nullable=False),
    Column("head_commit", String(64), nullable=False),
    Column("model_calls", Integer, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cost_usd", Float, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("updated_at", Moment, nullable=False),
    Column("finished_at", Moment),
    UniqueConstraint("source_system", "source_key"),
    Index(None, "state", "number"),
    Index(None, "pull_request_id"),
    Index(None, "head_commit"),
    sqlite_autoincrement=True,
)

idempotency_keys = Table(
    "idempotency_keys", metadata,
    Column("key", Text, primary_key=True),
    Column("body_sha256", String(64), nullable=False),
    Column("task_id", ForeignKey("tasks.id"), nullable=False),
)

events = Table(
    "events", metadata,
    Column("seq", Counter, primary_key=True, autoincrement=True),
    Column("task_id", String(100), nullable=False),
    Column("key", Text, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("text", Text, nullable=False),
    Column("step", String(100), nullable=False),
    Column("agent", String(100), nullable=False),
    Column("data", Text, nullable=False),
    Column("at", Moment, nullable=False),
    UniqueConstraint("task_id", "key"),
    Index(None, "task_id", "seq"),
    sqlite_autoincrement=True,
)

artifacts = Table(
    "artifacts", metadata,
    Column("number", Counter, primary_key=True, autoincrement=True),
    Column("task_id", String(100), nullable=False),
    Column("step", String(100), nullable=False),
    Column("name", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("at", Moment, nullable=False),
    UniqueConstraint("task_id", "step", "name", "sha256"),
    Index(None, "sha256"),
    sqlite_autoincrement=True,
)

journal = Table(
    "journal", metadata,
    Column("task_id", String(100), primary_key=True),
    Column("run", String(100), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("key", Text, primary_key=True),
    Column("ordinal", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("state", String(16), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("commit", String(64), nullable=False),
    Column("at", Moment, nullable=False),
)

attempts = Table(
    "attempts", metadata,
    Column("run_id", String(100), primary_key=True),
    Column("activity_id", String(100), primary_key=True),
    Column("task_id", String(100), nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("worker", String(200), nullable=False),
    Column("token", LargeBinary, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("away_since", Moment),
    Column("away_at", Moment),
    Column("at", Moment, nullable=False),
)

deliveries = Table(
    "deliveries", metadata,
    Column("number", Counter, primary_key=True, autoincrement=True),
    Column("kind", String(16), nullable=False),
    Column("delivery", String(255), nullable=False),
    Column("event", String(100), nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("settled_at", Moment),
    UniqueConstraint("kind", "delivery"),
    UniqueConstraint("kind", "sha256"),
    Index(None, "state", "due_at"),
    sqlite_autoincrement=True,
)

ticket_comments = Table(
    "ticket_comments", metadata,
    Column("task_id", String(100), primary_key=True),
    Column("wanted", Integer, nullable=False),
    Column("told", Integer, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("problem", Text, nullable=False),
    Index(None, "due_at"),
)

forge_watches = Table(
    "forge_watches", metadata,
    Column("task_id", String(100), primary_key=True),
    Column("pull_request_id", String(200), nullable=False),
    Column("watch", Text, nullable=False),
    Column("due_at", Moment, nullable=False),
)

leases = Table(
    "leases", metadata,
    Column("name", String(64), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("until", Moment, nullable=False),
)

remarks = Table(
    "remarks", metadata,
    Column("number", Counter, primary_key=True, autoincrement=True),
    Column("task_id", String(100), nullable=False),
    Column("thread_id", String(200), nullable=False),
    Column("message_id", String(200), nullable=False),
    Column("part", Integer, nullable=False),
    Column("author", Text, nullable=False),
    Column("permission", String(16), nullable=False),
    Column("path", Text, nullable=False),
    Column("line", Integer, nullable=False),
    Column("side", String(8), nullable=False),
    Column("body", Text, nullable=False),
    Column("command", String(16), nullable=False),
    Column("said_sha256", String(64), nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("state", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("commit", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    UniqueConstraint("task_id", "message_id", "part"),
    sqlite_autoincrement=True,
)

audit = Table(
    "audit", metadata,
    Column("task_id", String(100), primary_key=True),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, nullable=False),
    Column("at", Moment, nullable=False),
    Column("deed", Text, nullable=False),
    Column("allowed", Boolean, nullable=False),
    Column("rule", String(100), nullable=False),
    Column("reason", Text, nullable=False),
    Column("policy_sha256", String(64), nullable=False),
    Column("previous", String(64), nullable=False),
    Column("sha256", String(64), nullable=False),
    UniqueConstraint("task_id", "key"),
)

access_tokens = Table(
    "access_tokens", metadata,
    Column("id", String(16), primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("tenant", String(40), nullable=False),
    Column("person", Text, nullable=False),
    Column("roles", Text, nullable=False),
    Column("repositories", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("revoked_at", Moment),
    Column("last_used_at", Moment),
)

access_sessions = Table(
    "access_sessions", metadata,
    Column("id", String(16), primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("tenant", String(40), nullable=False),
    Column("person", Text, nullable=False),
    Column("principal", Text, nullable=False),
    Column("opened_with", String(100), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("seen_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False),
    Column("ended_at", Moment),
)

access_sign_ins = Table(
    "access_sign_ins", metadata,
    Column("sha256", String(64), primary_key=True),
    Column("told", Text, nullable=False),
    Column("expires_at", Moment, nullable=False),
)
