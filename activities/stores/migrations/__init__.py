"""Schema revisions, run by the service itself at start. A released revision is never edited; append a new one."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection


def upgrade_connection(connection: Connection) -> None:
    """Bring the schema behind a connection to the newest revision, in the connection's transaction."""
    configuration = Config()
    configuration.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, "head")
