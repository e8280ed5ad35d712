"""The body both histories share. Offline it renders SQL for tenants.migrating; online it only serves `alembic revision --autogenerate`."""

from __future__ import annotations

import os
from collections.abc import Sequence

from alembic import context
from sqlalchemy import MetaData, create_engine


def _is_of_the_schema(thing: object, _name: str | None, _kind: str, _reflected: bool, _other: object) -> bool:
    """The bell lives in a schema of its own, and its one revision made it."""
    return getattr(thing, "schema", None) is None


def run(metadatas: Sequence[MetaData], *, schema: str) -> None:
    """Render, or compare the tables of one history with a database that DATABASE_URL names."""
    options = {"target_metadata": metadatas, "version_table": "schema_revision", "include_schemas": False, "compare_type": True}
    if context.is_offline_mode():
        context.configure(dialect_name="postgresql", literal_binds=True, transactional_ddl=False, **options)
        context.run_migrations()
        return
    url = os.environ["DATABASE_URL"].replace("postgresql://", "postgresql+psycopg://", 1)
    engine = create_engine(url, connect_args={"options": f"-c search_path={schema}"})
    with engine.begin() as connection:
        context.configure(connection=connection, include_object=_is_of_the_schema, **options)
        context.run_migrations()
