"""Schema revisions of the ledger, run by itself at start. A released revision is never edited; append a new one."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

LOCK = 0x6C656467
"""Postgres advisory lock: two ledgers that start at once make the schema one after the other."""


def upgrade_connection(connection: Connection, revision: str = "head") -> None:
    """Bring the ledger's schema to a revision, the newest one as a rule, in the connection's transaction."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, revision)
