"""New tenants. A pool of spare schemas stands ready; a sign-up takes one by naming it, which is one directory row."""

from __future__ import annotations

import secrets
from datetime import datetime
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from tenants.directory import COLUMNS, Tenant, tenant_of
from tenants.migrating import grants, head, rendered
from tenants.session import Tx

_SPARE_LOCK = 7350191


class NoSpareTenant(RuntimeError):
    """Every spare was taken in the last seconds; the pool is being refilled."""


class SlugTaken(RuntimeError):
    """Another tenant has this address."""


async def take_spare(tx: Tx, *, slug: str, name: str, trial_ends_at: datetime | None = None) -> Tenant:
    """Name a spare tenant, for good or for a trial, in the platform's transaction. Locks: the row it takes; others skip it.

    Raises: SlugTaken, NoSpareTenant.
    """
    try:
        row = await tx.fetchrow(_TAKE, slug, name, trial_ends_at)
    except asyncpg.UniqueViolationError:
        raise SlugTaken(slug) from None
    if row is None:
        raise NoSpareTenant
    return tenant_of(row)


async def refill(owner_url: str, *, wanted: int) -> int:
    """Make spare tenants until so many stand ready; the number made. Locks: one refill at a time, others return at once."""
    connection = await asyncpg.connect(owner_url, timeout=10)
    try:
        if not await connection.fetchval("select pg_try_advisory_lock($1)", _SPARE_LOCK):
            return 0
        ready: int = await connection.fetchval("select count(*) from tenant where state = 'spare'")
        for _ in range(ready, wanted):
            await make_spare(connection)
        return max(0, wanted - ready)
    finally:
        await connection.close()


async def make_spare(connection: asyncpg.Connection[asyncpg.Record]) -> UUID:
    """One schema with its role, tables and grants, in one transaction; the tenant's id. Names are drawn, never from a person's text."""
    tenant_id = UUID(bytes=uuid7().bytes)
    schema = f"t_{secrets.token_hex(6)}"
    async with connection.transaction():
        await connection.execute(_SCHEMA.format(schema=schema))
        await connection.execute(
            f"set local search_path to {schema};" + rendered("tenant", None) + grants("tenant", schema, schema)
        )
        await connection.execute("set local search_path to public")
        await connection.execute(_DIRECTORY_ROW, tenant_id, schema, head("tenant"))
    return tenant_id


_SCHEMA = """
create role {schema} nologin;
grant {schema} to quanyi_app;
grant quanyi_ringer to {schema};
create schema {schema};
"""
_DIRECTORY_ROW = "insert into tenant (id, state, schema_name, role_name, revision) values ($1, 'spare', $2, $2, $3)"
_TAKE = f"""
update tenant
set slug = $1, name = $2, state = 'active', opened_at = now(), trial_ends_at = $3
where id = (select id from tenant where state = 'spare' order by created_at limit 1 for update skip locked)
returning {COLUMNS}
"""  # own column list
