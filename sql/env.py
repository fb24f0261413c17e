"""Alembic's entry: runs the migrations on the connection that `sql.migrate` hands over."""

from alembic import context

from shared.postgres.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_type=True,
    compare_server_default=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
