"""Trial tenants: how many stand, which are over, and deleting one with all it holds."""

from __future__ import annotations

import logging

import asyncpg

from tenants.directory import COLUMNS, Tenant, tenant_of
from tenants.routing import NOTIFY
from tenants.session import Tx

_log = logging.getLogger(__name__)
_AT_ONCE = 50


async def standing(tx: Tx) -> int:
    """How many trials there are, those among them that are over and not yet deleted."""
    return int(await tx.fetchval("select count(*) from tenant where trial_ends_at is not null"))


async def over(tx: Tx) -> list[Tenant]:
    """Trials whose time is over, the oldest first, at most fifty."""
    return [tenant_of(row) for row in await tx.fetch(_OVER, _AT_ONCE)]


async def delete(owner_url: str, tenant: Tenant) -> None:
    """Delete a trial that is over: its schema with all it holds, its role, and its name. Idempotent. Locks: its row, then all its tables.

    A role that another database of this server still needs, such as a restored copy, stays there; it owns nothing here any more.
    Raises: ValueError for a tenant that is no trial, or one whose time is not over.
    """
    connection = await asyncpg.connect(owner_url, timeout=10)
    try:
        async with connection.transaction():
            is_over = await connection.fetchval(_IS_OVER, tenant.id)
            if is_over is None:
                return
            if not is_over:
                raise ValueError(f"{tenant.slug} is no trial that is over")
            await connection.execute(f"drop schema if exists {tenant.schema} cascade")
            await _drop_role(connection, tenant.role)
            await connection.execute("delete from work.bell where home = $1", tenant.schema)
            await connection.execute("delete from tenant_domain where tenant_id = $1", tenant.id)
            await connection.execute("delete from tenant where id = $1", tenant.id)
            await connection.execute(NOTIFY)
    finally:
        await connection.close()


async def _drop_role(connection: asyncpg.Connection[asyncpg.Record], role: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(f"drop role if exists {role}")
    except asyncpg.DependentObjectsStillExistError as error:
        _log.warning("role %s is kept: %s", role, error.detail)


_OVER = f"select {COLUMNS} from tenant where trial_ends_at <= now() order by trial_ends_at limit $1"  # own column list
_IS_OVER = "select coalesce(trial_ends_at <= now(), false) from tenant where id = $1 for update"
