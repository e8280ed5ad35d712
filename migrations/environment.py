"""The body both histories share. Offline it renders SQL for tenants.migrating; online it only serves `alembic revision --autogenerate`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from alembic import context
from sqlalchemy import MetaData, create_engine


def run(metadatas: Sequence[MetaData], *, schema: str) -> None:
    """Render, or compare the tables of one history with a database that DATABASE_URL names."""
    options = {"target_metadata": metadatas, "version_table": "schema_revision", "include_schemas": False, "compare_type": True}
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", literal_binds=True, transactional_ddl=False, **options)
        context.run_migrations()
        return
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, connect_args={"options": f"-c search_path={schema},work"})
    with engine.begin() as connection:
        context.configure(connection=connection, **options)
        context.run_migrations()
