"""Run by alembic: the connection is handed in, the transaction is the caller's."""

from alembic import context

from activities.stores.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, render_as_batch=True)
context.run_migrations()
