"""Schema revisions, run by the service itself at start. A released revision is never edited; append a new one."""

from pathlib import Path

from sqlalchemy import Connection, inspect, text

FOLDER = Path(__file__).parent


def upgrade_connection(connection: Connection) -> None:
    """Bring the schema behind a connection to the newest revision, in the connection's transaction."""
    if revision_of(connection) == newest_revision():
        return
    # Loaded by whoever finds an older schema: it is 10 MB of every other process.
    from alembic import command
    from alembic.config import Config

    configuration = Config()
    configuration.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")


def newest_revision() -> str:
    """The revision that this code works with: files of revisions begin with their number."""
    return max(path.name for path in (FOLDER / "versions").glob("[0-9]*.py")).split("_")[0]


def revision_of(connection: Connection) -> str:
    """The revision of the schema as it is; empty before the first."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or ""
