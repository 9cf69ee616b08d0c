"""The ledger's tables. Its migrations make them; a test holds the two together."""

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text

from activities.stores.tables import Moment

VERSION_TABLE = "ledger_version"
"""Alembic's own table: the ledger may share a database with the stores."""
metadata = MetaData(naming_convention={"ix": "ix_%(table_name)s_%(column_0_N_name)s", "pk": "pk_%(table_name)s"})

calls = Table(
    "ledger_calls",
    metadata,
    # Endpoint and journal key, or a random one for a call without a key.
    Column("key", Text, primary_key=True),
    # Who carries the call out: one asking of it in one process.
    Column("flight", String(32), nullable=False),
    # The ledger that process is.
    Column("owner", String(32), nullable=False, server_default=""),
    # SHA-256 of the body; empty where the key names what is asked, as a journal's does.
    Column("request_sha256", String(64), nullable=False, server_default=""),
    Column("state", String(16), nullable=False),
    Column("task_id", Text, nullable=False),
    Column("requester", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("provider_model", Text, nullable=False),
    Column("recovery", String(16), nullable=False),
    Column("response_id", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("uncertain", Integer, nullable=False),
    Column("refusals", Integer, nullable=False),
    Column("day", String(10), nullable=False),
    Column("estimate_nanousd", BigInteger, nullable=False),
    Column("cost_nanousd", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("status", Integer, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("answer", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("created_at", Moment, nullable=False),
    Column("settled_at", Moment),
    Index(None, "task_id"),
    Index(None, "settled_at"),
    Index(None, "state"),
)

spending = Table(
    "ledger_spending",
    metadata,
    # task:ID, day:2026-11-21 or requester:2026-11-21:NAME
    Column("scope", Text, primary_key=True),
    Column("settled_nanousd", BigInteger, nullable=False),
    Column("reserved_nanousd", BigInteger, nullable=False),
)

lives = Table(
    "ledger_lives",
    metadata,
    Column("owner", String(32), primary_key=True),
    # Its process, as ``activities.presence`` names it.
    Column("process", Text, nullable=False),
    # Counted up while it lives.
    Column("beats", BigInteger, nullable=False),
)
