"""Alembic's entry: runs the revisions on the connection it is given, inside that connection's transaction."""

from alembic import context

from bot.adapters.sql.tables import writer_lease

context.configure(
    connection=context.config.attributes["connection"], target_metadata=writer_lease.metadata, render_as_batch=True
)
context.run_migrations()
