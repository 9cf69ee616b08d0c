"""What pull requests on forges looked like last, and who does what only one process does at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table("forge_watches",
        sa.Column("task_id", sa.String(length=100), nullable=False),
        sa.Column("pull_request_id", sa.String(length=200), nullable=False),
        sa.Column("watch", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("task_id", name="pk_forge_watches")
    )
    op.create_table("leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("holder", sa.String(length=200), nullable=False),
        sa.Column("until", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_leases")
    )
