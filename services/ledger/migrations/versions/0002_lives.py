"""Ledgers beside each other on one database: who lives, and whose each call is; what a key was first used for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "ledger_lives",
        sa.Column("owner", sa.String(length=32), nullable=False),
        sa.Column("process", sa.Text(), nullable=False),
        sa.Column("beats", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("owner", name="pk_ledger_lives"),
    )
    op.drop_table("ledger_owners")
    op.add_column("ledger_calls", sa.Column("owner", sa.String(length=32), nullable=False, server_default=""))
    op.add_column("ledger_calls", sa.Column("request_sha256", sa.String(length=64), nullable=False, server_default=""))
