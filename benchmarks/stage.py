"""What benches stand on: a database of their own, migrated, with durable commits; a shop filled by plain SQL; the whole system when asked."""

from __future__ import annotations

import asyncio
import os
import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import psycopg

from app.catalog import service as catalog
from app.kernel.ids import new_id
from app.kernel.vault import keyring
from app.settings import settings
from benchmarks.pgbench import ABSENT, Pgbench, find_program
from operations.leftovers import delete_killed
from operations.migrate import migrate
from operations.processes import Plan, System
from operations.settings import DATABASE
from operations.signals import stop_on_signals
from tenants import provisioning, routing
from tenants.directory import COLUMNS, PLATFORM, Tenant, tenant_of
from tenants.session import Databases, databases, tenant_session, tenant_tx, use_databases

# fsync and synchronous_commit stay on, as in production: a bench without durable commits measures something else.
POSTGRES = {"max_wal_size": "4GB", "checkpoint_timeout": "15min", "max_connections": "200"}
CONNECTIONS = 4
PRODUCTS = 5
SHOWN = ("server_version", "fsync", "synchronous_commit")
SYSTEM = {"QUANYI_LOG_LEVEL": "INFO", "QUANYI_TRUSTED_PROXIES": "1"}
"""Buyers come from many addresses behind one proxy, so the limit per address stays as it is in production."""


@dataclass(frozen=True)
class Stage:
    """A running system, or its database alone, and pgbench on that database."""

    system: System
    pgbench: Pgbench
    versions: Mapping[str, str]
    """Of the server and the tools beside it."""

    @property
    def owner_url(self) -> str:
        return self.system.settings["QUANYI_OWNER_DATABASE_URL"]


@contextmanager
def shared_stages() -> Iterator[None]:
    """Inside, benches that stand on the same stage share it, each with merchants of its own; all stages are deleted at the end."""
    global _shared  # noqa: PLW0603  # one set of stages per process
    with ExitStack() as ends:
        _shared = _Shared(ends, {})
        try:
            yield
        finally:
            _shared = None


@dataclass(frozen=True)
class _Shared:
    ends: ExitStack
    stages: dict[str, Stage]


_shared: _Shared | None = None


@contextmanager
def database() -> Iterator[Stage]:
    """A migrated database in a temporary folder, and its settings in this process's environment. Everything is deleted at the end."""
    with _stage("database", Plan(postgres_settings=POSTGRES), is_whole=False) as stage:
        yield stage


@contextmanager
def whole(*, web_processes: int = 2) -> Iterator[Stage]:
    """The whole system: web processes, the worker, the simulators."""
    plan = Plan(postgres_settings=POSTGRES, more_settings=SYSTEM, web_processes=web_processes)
    with _stage(f"{web_processes} web processes", plan, is_whole=True) as stage:
        yield stage


@contextmanager
def _stage(name: str, plan: Plan, *, is_whole: bool) -> Iterator[Stage]:
    if _shared is None:
        with _made(plan, is_whole=is_whole) as stage:
            yield stage
        return
    if name not in _shared.stages:
        _shared.stages[name] = _shared.ends.enter_context(_made(plan, is_whole=is_whole))
    _use_settings_of(_shared.stages[name].system)
    yield _shared.stages[name]


@contextmanager
def _made(plan: Plan, *, is_whole: bool) -> Iterator[Stage]:
    delete_killed()
    system = System.temporary(plan)
    with stop_on_signals():
        try:
            system.start() if is_whole else system.start_database()
            _use_settings_of(system)
            if not is_whole:
                asyncio.run(migrate(say=lambda _line: None))
            program = find_program("pgbench", system.postgres.bin if system.postgres else None)
            if program is None:
                print(ABSENT)
            yield Stage(system, Pgbench(program, system.settings["QUANYI_DATABASE_URL"]), _versions(system, program))
        finally:
            system.delete()


def _use_settings_of(system: System) -> None:
    os.environ.update(system.settings)
    settings.cache_clear()


def _versions(system: System, program: str | None) -> dict[str, str]:
    """Said with the settings that decide how durable a commit is."""
    with psycopg.connect(system.postgres_admin_url(DATABASE), autocommit=True) as connection:
        server, fsync, commit = (str(connection.execute(f"show {name}").fetchone()[0]) for name in SHOWN)  # type: ignore[index]
    tools = {"postgresql": f"{server} (fsync {fsync}, synchronous_commit {commit})"}
    if program:
        words = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout.split()
        tools["pgbench"] = words[2]
    return tools


@contextmanager
def _pools() -> Iterator[None]:
    chosen = settings()
    use_databases(
        Databases({"main": chosen.database_url}, size=chosen.database_connections, statement_cache=chosen.statement_cache)
    )
    yield


def in_loop(main: Any) -> Any:
    """Run a coroutine on uvloop with this process's pools open, as a web process would have them."""
    import uvloop

    async def run() -> Any:
        with _pools():
            try:
                return await main
            finally:
                await databases().close()

    return uvloop.run(run())


# A shop


@dataclass(frozen=True)
class Shop:
    """A merchant with a storefront and SKUs on sale, each on a product of its own."""

    tenant: Tenant
    storefront_id: UUID
    listings: tuple[UUID, ...]
    skus: tuple[UUID, ...]
    products: tuple[UUID, ...]


async def open_tenant(owner_url: str) -> Tenant:
    await provisioning.refill(owner_url, wanted=1)
    async with tenant_tx(PLATFORM) as tx:
        tenant = await provisioning.take_spare(tx, slug=f"bench-{secrets.token_hex(4)}", name="Bench")
    routing.forget()
    async with tenant_session(tenant) as session:
        await catalog.open_storefront(session, name="Bench")
    async with tenant_tx(tenant) as tx:
        await keyring(tx)
    return tenant


async def open_shop(owner_url: str, *, skus: int, stock: int, is_hot: bool = False) -> Shop:
    """A new tenant with so many SKUs on sale. Its stock is a number without card-keys: enough to place orders."""
    tenant = await open_tenant(owner_url)
    rows = await put_on_shelf(tenant, skus=skus, stock=stock, is_hot=is_hot)
    await tidy(owner_url, tenant)
    columns = list(zip(*((row["listing_id"], row["sku_id"], row["product_id"]) for row in rows), strict=True))
    return Shop(tenant, rows[0]["storefront_id"], tuple(columns[0]), tuple(columns[1]), tuple(columns[2]))


async def put_on_shelf(tenant: Tenant, *, skus: int, stock: int, is_hot: bool = False) -> list[asyncpg.Record]:
    """SKUs on sale, each on a product of its own, by plain SQL; a storefront when there is none."""
    async with tenant_tx(tenant) as tx:
        await tx.execute(
            "insert into storefront (id, name) select $1, 'Bench' where not exists (select 1 from storefront)", new_id()
        )
        return await tx.fetch(_SHELF, skus, stock, is_hot)


async def make_tenants(owner_url: str, wanted: int) -> list[Tenant]:
    """So many tenants of the real schema over four connections, named and without content. Their commits do not wait for the disk."""
    waiting = iter(range(wanted))

    async def make() -> None:
        connection = await asyncpg.connect(owner_url, server_settings={"synchronous_commit": "off"})
        try:
            for _ in waiting:
                await provisioning.make_spare(connection)
        finally:
            await connection.close()

    await asyncio.gather(*(make() for _ in range(CONNECTIONS)))
    async with tenant_tx(PLATFORM) as tx:
        rows = await tx.fetch(_NAME_SPARES, wanted)
    routing.forget()
    return [tenant_of(row) for row in rows]


async def tidy(owner_url: str, tenant: Tenant) -> None:
    """Vacuum and analyze a tenant's large tables and write a checkpoint's worth of pages out, so that measuring starts from rest."""
    connection = await asyncpg.connect(owner_url)
    try:
        for table in ("shop_order", "order_line", "delivery_unit", "stock", "card_key", "task", "sku", "listing", "product"):
            await connection.execute(f"vacuum analyze {tenant.schema}.{table}")
    finally:
        await connection.close()


_NAME_SPARES = f"""
update tenant
set slug = 'bench-' || right(schema_name, 8), name = 'Bench', state = 'active', opened_at = now()
where id in (select id from tenant where state = 'spare' order by created_at desc limit $1)
returning {COLUMNS}
"""  # noqa: S608  # own column list
_SHELF = """
with made as materialized (
  select n, gen_random_uuid() as product_id, gen_random_uuid() as sku_id, gen_random_uuid() as listing_id from generate_series(1, $1::int) n
), p as (
  insert into product (id, name, delivery_kind, state) select product_id, 'Card ' || n, 'card_key', 'on_sale' from made
), s as (
  insert into sku (id, product_id, name, is_hot) select sku_id, product_id, 'Month', $3 from made
), l as (
  insert into listing (id, storefront_id, sku_id, price_minor) select listing_id, f.id, sku_id, 1990 from made, storefront f
), t as (
  insert into stock (sku_id, imported, available) select sku_id, $2::bigint, $2::bigint from made
)
select f.id as storefront_id, listing_id, sku_id, product_id from made, storefront f order by n
"""
