"""Merchants that tests are done with are emptied and made spare again: a schema of a hundred tables is most of what a small test costs."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self
from uuid import UUID

import asyncpg
from uuid_utils.compat import uuid7

from tenants import provisioning
from tenants.directory import Tenant
from tests.installation import Installation

RESTS = 6
"""So many merchants stay as their tests left them, so that whatever still comes for one of them is over when he is emptied."""

_SHAPE = """
select md5(string_agg(line, ';' order by line)) from (
  select concat_ws(' ', c.relname, c.relkind, replace(c.relacl::text, $1, ''), i.indisvalid)
  from pg_class c left join pg_index i on i.indexrelid = c.oid where c.relnamespace = $2
  union all
  select concat_ws(' ', c.relname, a.attname, a.attnotnull, format_type(a.atttypid, a.atttypmod))
  from pg_attribute a join pg_class c on c.oid = a.attrelid where c.relnamespace = $2 and c.relkind = 'r' and a.attnum > 0
  union all
  select concat_ws(' ', c.relname, k.conname, k.convalidated)
  from pg_constraint k join pg_class c on c.oid = k.conrelid where k.connamespace = $2
  union all
  select concat_ws(' ', c.relname, t.tgname, t.tgenabled)
  from pg_trigger t join pg_class c on c.oid = t.tgrelid where c.relnamespace = $2 and not t.tgisinternal
  union all
  select concat_ws(' ', proname, md5(prosrc)) from pg_proc where pronamespace = $2
  union all
  select 'public' where has_schema_privilege($1, 'public', 'usage')
) shape(line)
"""
_EMPTY = """
set local session_replication_role = replica;
do $$ declare name text; begin
  for name in select tablename from pg_tables where schemaname = '{schema}' and tablename <> 'schema_revision' loop
    execute format('delete from {schema}.%I', name);
  end loop;
end $$;
"""
_GO = ("delete from tenant_domain where tenant_id = $1", "delete from tenant where id = $1")
_COME_BACK = """
insert into tenant (id, state, schema_name, role_name, revision) select $1, 'spare', $2, $2, version_num from {schema}.schema_revision
"""


class Recycler:
    """Takes merchants back in the order they come. One whose schema is not what a new merchant's is stays where he is.

    One connection does it all: what a new one must first learn of so many tables costs more than the work.
    """

    def __init__(self, admin_url: str) -> None:
        self._admin_url = admin_url
        self._shape = ""
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._resting: deque[Tenant] = deque()

    @classmethod
    @asynccontextmanager
    async def beside(cls, installation: Installation) -> AsyncIterator[Self]:
        """Remembers what the schema of a merchant is like that nobody has used."""
        made = cls(installation.postgres.admin_url("quanyi"))
        await provisioning.refill(installation.urls.owner_url, wanted=3)
        connection = await made._connected()
        unused = await connection.fetchval("select schema_name from tenant where state = 'spare' limit 1")
        made._shape = await _shape(connection, unused)
        yield made
        await (await made._connected()).close()

    async def take_back(self, tenants: list[Tenant]) -> None:
        """The merchants of a test that is over. Those that rested long enough are spare when this returns."""
        self._resting.extend(tenants)
        while len(self._resting) > RESTS:
            await self._empty(await self._connected(), self._resting.popleft())

    async def _connected(self) -> asyncpg.Connection[asyncpg.Record]:
        """The connection, made anew when a test has ended it."""
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._admin_url)
        return self._connection

    async def _empty(self, connection: asyncpg.Connection[asyncpg.Record], tenant: Tenant) -> None:
        if await _shape(connection, tenant.schema) != self._shape:
            return
        async with connection.transaction():
            await connection.execute(_EMPTY.format(schema=tenant.schema))
            for statement in _GO:
                await connection.execute(statement, tenant.id)
            await connection.execute(_COME_BACK.format(schema=tenant.schema), UUID(bytes=uuid7().bytes), tenant.schema)


async def _shape(connection: asyncpg.Connection[asyncpg.Record], schema: str) -> str:
    namespace = await connection.fetchval("select oid from pg_namespace where nspname = $1", schema)
    shape: str = await connection.fetchval(_SHAPE, schema, namespace)
    return shape
