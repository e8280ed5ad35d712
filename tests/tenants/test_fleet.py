"""Migrating a fleet while it sells: a tenant that fails stops nobody, a half-migrated fleet is served, and a lock in use is not waited for."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import pytest

from app.kernel.ids import new_id
from app.settings import settings
from benchmarks.migrate import history_with
from tenants import migrating
from tenants.directory import Tenant
from tenants.migrating import Migrated, migrate_tenants
from tenants.session import tenant_tx
from tests.app.storefront.buyer import Buyer
from tests.installation import Installation
from tests.second_database import second_database
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture
async def fleet(world: World, installation: Installation) -> AsyncIterator[World]:
    async with second_database(world, installation, f"fleet_{secrets.token_hex(4)}") as made:
        yield made


class Shop:
    """A merchant of the fleet with something to sell, and a buyer's browser on it."""

    def __init__(self, fleet: World, tenant: Tenant, product: Any) -> None:
        self.tenant, self.product = tenant, product
        self.buyer = Buyer(fleet.client(f"{tenant.slug}.{settings().shops_host}"))

    async def visit(self) -> list[int]:
        """Look around, look at the product, buy it: the statuses."""
        contact = f"138{new_id().int % 10**8:08d}"
        looked = [(await self.buyer.get(path)).status_code for path in ("/", f"/products/{self.product.id}")]
        return [*looked, (await self.buyer.buy(self.product.id, contact=contact)).status_code]


async def shops(fleet: World, count: int) -> list[Shop]:
    made = []
    for n in range(count):
        tenant = await fleet.new_tenant(f"Shop {n}")
        product = await fleet.product(tenant=tenant)
        await fleet.stock(product.skus[0].id, 200, tenant=tenant)
        made.append(Shop(fleet, tenant, product))
    return made


async def alternately(fleet_shops: list[Shop], times: int) -> list[int]:
    """Visit one shop after the other, so that each connection of the pool meets schemas of both revisions."""
    return [status for n in range(times) for status in await fleet_shops[n % len(fleet_shops)].visit()]


async def migrated(fleet: World) -> list[Migrated]:
    return [moved async for moved in migrate_tenants(fleet.urls.owner_url)]


async def as_owner(fleet: World, tenant: Tenant, statement: str) -> Any:
    owner = await asyncpg.connect(fleet.urls.owner_url)
    try:
        await owner.execute(f"set search_path to {tenant.schema}")
        return await owner.fetchval(statement)
    finally:
        await owner.close()


async def revision_of(fleet: World, tenant: Tenant) -> str:
    return str(await as_owner(fleet, tenant, "select version_num from schema_revision"))


@pytest.mark.case("J08", "G14")
async def test_a_tenant_that_cannot_be_migrated_stops_nobody_and_all_are_served(fleet: World) -> None:
    fleet_shops = await shops(fleet, 5)
    stuck, before = fleet_shops[2].tenant, migrating.head("tenant")
    await as_owner(fleet, stuck, "create table bench_first (in_the_way int)")
    with history_with("bench_first"):
        served, moved = await asyncio.gather(alternately(fleet_shops, 100), migrated(fleet))
        assert {one.schema for one in moved if one.problem} == {stuck.schema}
        assert await revision_of(fleet, stuck) == before
        assert await as_owner(fleet, stuck, _NEW_COLUMNS) == 0, "untouched"
        others = [shop.tenant for shop in fleet_shops if shop.tenant != stuck]
        assert {await revision_of(fleet, tenant) for tenant in others} == {"bench_first"}
        served += await alternately(fleet_shops, 100)
        await as_owner(fleet, stuck, "drop table bench_first")
        again = await migrated(fleet)
        assert again == [Migrated(stuck.schema, before, "bench_first")], "the next run does what is left and no more"
        served += await alternately(fleet_shops, 10)
    assert {status for status in served if status >= 400} == set()
    for shop in fleet_shops:
        await fleet.assert_books_balance(shop.tenant)


class Reader:
    """Somebody who reads a table for long: a transaction that does not end until told."""

    def __init__(self, fleet: World, tenant: Tenant) -> None:
        self._url, self._schema = fleet.urls.owner_url, tenant.schema

    async def __aenter__(self) -> Reader:
        self._connection = await asyncpg.connect(self._url)
        await self._connection.execute(f"begin; set local search_path to {self._schema}; lock table product in access share mode")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def is_waited_for(self) -> None:
        """Return once somebody waits for the table."""
        query = "select exists (select from pg_locks where relation = $1::text::regclass and not granted)"
        while not await self._connection.fetchval(query, f"{self._schema}.product"):  # noqa: ASYNC110  # the server brings it about
            await asyncio.sleep(0.01)


@pytest.mark.case("J09")
async def test_a_migration_behind_a_reader_gives_up_lets_others_through_and_comes_again(fleet: World) -> None:
    [shop] = await shops(fleet, 1)
    await shop.visit()
    with history_with("bench_first"):
        async with asyncio.timeout(60), Reader(fleet, shop.tenant) as reader:
            running = asyncio.create_task(migrated(fleet))
            await reader.is_waited_for()
            assert await as_app(shop) == shop.product.name, "answered while the reader still reads"
            assert not running.done(), "it comes again"
        assert {moved.problem for moved in await running} == {""}
    assert await revision_of(fleet, shop.tenant) == "bench_first"


@pytest.mark.case("J09")
async def test_red_without_its_time_limit_a_migration_blocks_everybody_behind_it(
    fleet: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrating, "_LOCK_TIMEOUT", "0")
    [shop] = await shops(fleet, 1)
    with history_with("bench_first"):
        async with Reader(fleet, shop.tenant) as reader:
            running = asyncio.create_task(migrated(fleet))
            await reader.is_waited_for()
            with pytest.raises(asyncpg.LockNotAvailableError):
                await as_app(shop)
        await running


@pytest.mark.case("J09")
async def test_a_reader_who_never_ends_is_reported_and_the_others_are_done(fleet: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(migrating, "_TRIES", 2)
    monkeypatch.setattr(migrating, "_FIRST_PAUSE_S", 0.01)
    [read, other] = await shops(fleet, 2)
    with history_with("bench_first"):
        async with Reader(fleet, read.tenant):
            moved = {one.schema: one.problem for one in await migrated(fleet)}
    assert "LockNotAvailableError" in moved[read.tenant.schema]
    assert "(2 times)" in moved[read.tenant.schema]
    assert moved[other.tenant.schema] == ""


async def as_app(shop: Shop) -> str:
    """What the application reads of the table that is waited for."""
    async with tenant_tx(shop.tenant) as tx:
        return str(await tx.fetchval("select name from product"))


_NEW_COLUMNS = """
select count(*) from information_schema.columns where table_schema = current_schema() and column_name = 'bench_first'
"""
