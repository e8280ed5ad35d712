"""Bringing schemas to the newest revision: Alembic writes a revision, it is rendered to SQL once, and run per tenant in one transaction each.

Resumable: a tenant is done when its own `schema_revision` says so. A tenant that fails stays as it was and does not stop the others. One whose
tables are in use is left after two seconds, so that the requests behind the migrator go on, and tried again a little later.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import asyncpg
from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from asyncpg.pool import PoolConnectionProxy

from tenants.directory import COLUMNS, Tenant, tenant_of

_HISTORIES = Path(__file__).resolve().parent.parent / "migrations"
_CONNECTIONS = 4
_LOCK_TIMEOUT = "2s"
_TRIES = 6
_FIRST_PAUSE_S = 1.0
"""Between the first tries at a tenant whose tables are in use; doubled each time."""

GRANTS = """
grant usage on schema {schema} to {role};
grant select, insert, update, delete on all tables in schema {schema} to {role};
grant usage on all sequences in schema {schema} to {role};
grant execute on all functions in schema {schema} to {role};
revoke update, delete, truncate on {insert_only} from {role};
"""
_INSERT_ONLY = {
    "tenant": "audit_entry, history, transfer, capture, gateway_notice, price_change",
    "public": "audit_entry, history",
}


@dataclass(frozen=True, slots=True)
class Migrated:
    """How one schema fared: where it was, where it is, and why it stayed."""

    schema: str
    from_revision: str | None
    to_revision: str | None
    problem: str = ""


@lru_cache(maxsize=8)
def head(history: str) -> str:
    """The newest revision of a history."""
    newest = ScriptDirectory.from_config(_config(history)).get_current_head()
    assert newest is not None
    return newest


def revisions(history: str) -> set[str]:
    """Every revision this version knows of a history."""
    return {script.revision for script in ScriptDirectory.from_config(_config(history)).walk_revisions()}


@lru_cache(maxsize=64)
def rendered(history: str, start: str | None) -> str:
    """The SQL that takes a schema of a history from one revision to the head. Names no schema: the search path decides."""
    config = _config(history)
    out = io.StringIO()
    script = ScriptDirectory.from_config(config)
    config.output_buffer = out

    def upgrade(revision: object, _context: object) -> object:
        return script._upgrade_revs("head", revision)  # type: ignore[arg-type]  # Alembic's own command does the same

    with EnvironmentContext(config, script, fn=upgrade, as_sql=True, starting_rev=start, destination_rev="head"):
        script.run_env()
    return out.getvalue()


def grants(history: str, schema: str, role: str) -> str:
    """What the application may do in a schema: everything but change what is written once."""
    return GRANTS.format(schema=schema, role=role, insert_only=_INSERT_ONLY[history])


async def migrate_platform(owner_url: str) -> Migrated:
    """Bring the platform's own schema to the head. Locks: one migrator at a time."""
    connection = await asyncpg.connect(owner_url, timeout=10)
    try:
        await connection.execute("select pg_advisory_lock(7350190)")
        return await _migrate(connection, "public", "public", "quanyi_platform")
    finally:
        await connection.close()


async def migrate_tenants(owner_url: str) -> AsyncIterator[Migrated]:
    """Bring every tenant's schema to the head, over four connections, newest tenants last; yields one line per schema that moved or failed."""
    pool = await asyncpg.create_pool(owner_url, min_size=1, max_size=_CONNECTIONS, timeout=10)
    try:
        rows = await pool.fetch(
            f"select {COLUMNS} from tenant where revision <> $1 order by created_at", head("tenant")
        )  # own column list
        waiting = [tenant_of(row) for row in rows]
        running = {asyncio.ensure_future(_one(pool, tenant)) for tenant in waiting[:_CONNECTIONS]}
        rest = iter(waiting[_CONNECTIONS:])
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                if (following := next(rest, None)) is not None:
                    running.add(asyncio.ensure_future(_one(pool, following)))
                yield future.result()
    finally:
        await pool.close()


async def _one(pool: asyncpg.Pool[asyncpg.Record], tenant: Tenant) -> Migrated:
    for attempt in range(_TRIES):
        try:
            return await _try(pool, tenant)
        except asyncpg.LockNotAvailableError as error:
            problem = _words(error)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            return Migrated(tenant.schema, None, None, _words(error))
        if attempt < _TRIES - 1:
            await asyncio.sleep(_FIRST_PAUSE_S * 2**attempt)
    return Migrated(tenant.schema, None, None, f"{problem} ({_TRIES} times)")


async def _try(pool: asyncpg.Pool[asyncpg.Record], tenant: Tenant) -> Migrated:
    async with pool.acquire() as connection:
        moved = await _migrate(connection, "tenant", tenant.schema, tenant.role)
        await connection.execute("update tenant set revision = $1 where id = $2", moved.to_revision, tenant.id)
        return moved


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


async def _migrate(
    connection: asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record], history: str, schema: str, role: str
) -> Migrated:
    async with connection.transaction():
        await connection.execute(f"set local search_path to {schema}; set local lock_timeout to '{_LOCK_TIMEOUT}'")
        known = await connection.fetchval("select to_regclass($1)", f"{schema}.schema_revision")
        revision = await connection.fetchval("select version_num from schema_revision") if known else None
        if revision != head(history):
            await connection.execute(rendered(history, revision) + grants(history, schema, role))
    return Migrated(schema, revision, head(history))


def _config(history: str) -> Config:
    return Config(str(_HISTORIES / history / "alembic.ini"))
