"""Entry point of Alembic: runs the migrations on the connection that ``migrate`` passes in."""

from __future__ import annotations

from alembic import context

from service.storage.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    version_table="hamtune_version",
    render_as_batch=True,
)
context.run_migrations()
