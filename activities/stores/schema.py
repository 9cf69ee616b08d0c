"""One Postgres database for several tenants: each has a schema of its own, which the URL names as ``?schema=NAME``."""

import hashlib
import re
from typing import Any

from sqlalchemy import URL, Connection, text

from contracts.errors import InvalidInput

NAME = re.compile(r"[a-z_][a-z0-9_]{0,62}")


def apart(url: URL) -> tuple[URL, str]:
    """The URL without its schema, and the schema; empty for the database's default. Raises ``InvalidInput``."""
    schema = url.query.get("schema", "")
    if schema and (not isinstance(schema, str) or not NAME.fullmatch(schema)):
        raise InvalidInput("The schema in the database's URL must be a name of a-z, 0-9 and _, e.g. ?schema=tenant_north.")
    if schema and url.get_backend_name() == "sqlite":
        raise InvalidInput("SQLite has no schemas; give each tenant a file of its own.")
    return url.difference_update_query(["schema"]), str(schema)


def within(schema: str) -> dict[str, Any]:
    """Arguments of asyncpg's ``connect`` that let every statement see this schema and no other."""
    return {"server_settings": {"search_path": schema}} if schema else {}


def ensure_schema(connection: Connection, schema: str) -> None:
    """Make the schema where it is missing."""
    known = connection.execute(text("SELECT to_regnamespace(:name)"), {"name": schema}).scalar()
    if known is None:
        # Of two that start at once, one would fail at a plain CREATE. The name is made of letters: see NAME.
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))


def lock_of(lock: int, schema: str) -> int:
    """An advisory lock for one schema: locks hold for a whole database, and tenants must not wait for each other."""
    if not schema:
        return lock
    return int.from_bytes(hashlib.sha256(f"{lock} {schema}".encode()).digest()[:8], "big", signed=True)
