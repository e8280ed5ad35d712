"""The walls: a tenant's transaction reaches its own rows or nothing, whatever happened on its connection before."""

import asyncio
import random
from contextlib import suppress

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from tenants.directory import PLATFORM, Tenant
from tenants.session import CommitRefused, TenantNotBound, TenantSession, databases, tenant_session, tenant_tx
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def name_seen(tenant: Tenant) -> str:
    async with tenant_tx(tenant) as tx:
        return str(await tx.fetchval("select name from storefront"))


async def test_each_tenant_sees_its_own_rows_on_shared_connections(world: World) -> None:
    other = await world.new_tenant("Other")
    names = await asyncio.gather(*(name_seen(tenant) for tenant in [world.tenant, other] * 100))
    assert names == ["Nanzhi", "Other"] * 100


@pytest.mark.case("G06")
async def test_another_tenants_schema_is_refused_even_by_its_name(world: World) -> None:
    other = await world.new_tenant("Other")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant_tx(world.tenant) as tx:
            await tx.fetch(f"select name from {other.schema}.storefront")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant_tx(world.tenant) as tx:
            await tx.fetch("select slug from public.tenant")


@pytest.mark.case("G06")
async def test_an_unbound_connection_reaches_no_table(world: World) -> None:
    async with (await databases().pool("main")).acquire() as connection:
        with pytest.raises((asyncpg.UndefinedTableError, asyncpg.InsufficientPrivilegeError)):
            await connection.fetch("select name from storefront")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch(f"select name from {world.tenant.schema}.storefront")


@pytest.mark.case("G05", "G06")
async def test_a_session_without_a_tenant_raises(world: World) -> None:
    async with AsyncSession(databases().engine("main"), sync_session_class=TenantSession) as session:
        with pytest.raises(TenantNotBound):
            await session.execute(text("select 1"))


@pytest.mark.case("G05")
async def test_the_binding_follows_a_commit_in_the_middle(world: World) -> None:
    async with tenant_session(world.tenant) as session:
        await session.execute(text("update storefront set tagline = 'one'"))
        await session.commit()
        assert await session.scalar(text("select current_user")) == world.tenant.role
        assert await session.scalar(text("select tagline from storefront")) == "one"


@pytest.mark.case("G04")
async def test_nothing_stays_on_a_connection_after_any_end(world: World) -> None:
    """Five hundred transactions that commit, fail, roll back or are cancelled, on shared connections: the next borrower starts clean."""
    other = await world.new_tenant("Other")
    chance = random.Random(20261121)

    async def once(tenant: Tenant) -> None:
        fate = chance.choice(["commit", "raise", "sql error", "cancel"])
        try:
            async with asyncio.timeout(0.001 if fate == "cancel" else 10), tenant_tx(tenant) as tx:
                assert await tx.fetchval("select current_user") == tenant.role
                if fate == "raise":
                    raise LookupError
                if fate == "sql error":
                    await tx.fetchval("select 1 / 0")
                if fate == "cancel":
                    await tx.fetchval("select pg_sleep(1)")
        except (LookupError, asyncpg.DivisionByZeroError, TimeoutError):
            pass

    for _ in range(25):
        await asyncio.gather(*(once(chance.choice([world.tenant, other])) for _ in range(20)))
    async with (await databases().pool("main")).acquire() as connection:
        assert await connection.fetchval("select current_user") == "quanyi_app"
        assert await connection.fetchval("show search_path") == '"$user", public'
        assert (
            await connection.fetchval("select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()") == 0
        )


async def test_a_read_only_session_cannot_write(world: World) -> None:
    with pytest.raises(DBAPIError, match="read-only"):
        async with tenant_session(world.tenant, read_only=True) as session:
            await session.execute(text("update storefront set tagline = 'x'"))


async def test_a_swallowed_error_is_not_committed_in_silence(world: World) -> None:
    async def swallow() -> None:
        async with tenant_tx(world.tenant) as tx:
            with suppress(asyncpg.DivisionByZeroError):
                await tx.fetchval("select 1 / 0")

    with pytest.raises(CommitRefused):
        await swallow()


@pytest.mark.parametrize("table", ["audit_entry", "history", "transfer", "capture", "gateway_notice"])
async def test_what_is_written_once_cannot_be_changed_by_the_application(world: World, table: str) -> None:
    for statement in (f"delete from {table}", f"truncate {table}"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with tenant_tx(world.tenant) as tx:
                await tx.execute(statement)


async def test_the_platforms_tables_are_bound_like_a_tenants(world: World) -> None:
    async with tenant_tx(PLATFORM) as tx:
        assert await tx.fetchval("select count(*) from tenant where slug = $1", world.tenant.slug) == 1
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with tenant_tx(PLATFORM) as tx:
            await tx.fetch(f"select * from {world.tenant.schema}.storefront")


@pytest.mark.case("G14")
async def test_schemas_of_two_revisions_are_served_through_one_pool(world: World) -> None:
    """A column that only one tenant has yet: both are read and written by the same statements, without a wrong plan."""
    other = await world.new_tenant("Other")
    owner = await asyncpg.connect(world.urls.owner_url)
    await owner.execute(f"alter table {other.schema}.storefront add column newer text default 'x'")
    await owner.close()
    for _ in range(50):
        assert await name_seen(world.tenant) == "Nanzhi"
        assert await name_seen(other) == "Other"
        async with tenant_session(other) as session:
            await session.execute(text("update storefront set tagline = 'both' where name = 'Other'"))
