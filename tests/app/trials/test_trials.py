"""A trial shop: one click opens it, it reaches nobody outside, and when its time is over nothing of it is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest

from app.insight.invariants import breaches
from app.kernel import clock
from app.kernel.ids import new_id
from app.kernel.rates import Limit, RateWindow
from app.settings import settings
from app.storefront.shelf import shelf_of
from app.trials import service
from tenants import provisioning, routing, trials
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx
from tests.app.access.people import STAFF, browser, send
from tests.app.console.people import operator_of
from tests.app.storefront.buyer import Buyer, words
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture
def choose(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Start this process's settings anew with others."""

    def chosen(**values: int) -> None:
        for name, value in values.items():
            monkeypatch.setenv(f"QUANYI_{name.upper()}", str(value))
        settings.cache_clear()

    yield chosen
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture(autouse=True)
async def _few_tries_so_far(world: World) -> None:
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("delete from rate_counter where key like 'trial:%'")
        await tx.execute("update tenant set trial_ends_at = now() where trial_ends_at is not null")
    await service.end_trials(world.urls.owner_url)
    await provisioning.refill(world.urls.owner_url, wanted=4)


async def opened(client: httpx2.AsyncClient) -> Tenant:
    """The shop that a click opened."""
    answer = await send(client, "/trial")
    assert answer.status_code == 303, answer.text[:500]
    tenant = await routing.by_slug(answer.headers["location"].removeprefix("/m/"))
    assert tenant is not None
    return tenant


async def end(tenant: Tenant) -> None:
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update tenant set trial_ends_at = now() where id = $1", tenant.id)
    routing.forget()


async def stand(world: World, tenant: Tenant) -> dict[str, Any]:
    """What there is of a tenant, asked of the database itself; a role that another database needs is not counted."""
    connection = await asyncpg.connect(world.urls.owner_url)
    try:
        return dict(await connection.fetchrow(_STANDS, tenant.id, tenant.schema, tenant.role, f"{tenant.slug}@%"))
    finally:
        await connection.close()


async def test_one_click_opens_a_shop_that_sells(world: World) -> None:
    client = browser(world)
    assert "/trial" in (await client.get("/log-in")).text
    assert "After 24 hours it is deleted" in words((await client.get("/trial")).text)
    tenant = await opened(client)
    assert client.cookies.get(STAFF)
    page = words((await client.get(f"/m/{tenant.slug}")).text)
    assert "Trial shop: deleted with all that is in it on" in page
    assert await world.value("select sum(available)::int from stock", tenant=tenant) == 46
    assert await world.value("select count(*) from product where state = 'on_sale'", tenant=tenant) == 2
    listing_id = next(iter((await shelf_of(tenant)).offers))
    order = await world.bought(listing_id, 2, tenant=tenant)
    assert await world.value("select state from shop_order where id = $1", order.id, tenant=tenant) == "delivered"
    shop = Buyer(world.client(f"{tenant.slug}.{settings().shops_host}"))
    assert "Film pass" in (await shop.get("/")).text
    assert await world.value("select count(*) from outgoing_message", tenant=tenant) == 0, "nobody outside is written to"
    async with tenant_tx(tenant) as tx:
        assert await breaches(tx) == []


OUTSIDE = (
    "/settings/domain", "/settings/webhooks", "/settings/robots", "/settings/api-keys", "/team/invitations",
    f"/suppliers/{UUID(int=5)}/connections",
)  # fmt: skip


@pytest.mark.parametrize("path", OUTSIDE)
async def test_it_reaches_nobody_outside(world: World, path: str) -> None:
    client = browser(world)
    tenant = await opened(client)
    answer = await send(client, f"/m/{tenant.slug}{path}", page=f"/m/{tenant.slug}")
    assert answer.status_code == 403, path
    assert "A trial shop reaches nobody outside" in answer.text


async def test_when_it_is_over_nothing_of_it_is_left_and_nothing_else_is_touched(world: World) -> None:
    client, other = browser(world), browser(world)
    tenant, standing = await opened(client), await opened(other)
    before = await stand(world, standing)
    assert await stand(world, tenant) | {"roles": 1} == {
        "named": 1, "schemas": 1, "roles": 1, "people": 1, "sessions": 1, "alarms": 0,
    }  # fmt: skip
    await world.bought(next(iter((await shelf_of(tenant)).offers)), tenant=tenant)
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute(
            "insert into alarm (id, home_id, rule, says, shown) values ($1, $2, 'INV-1', 'said', '')", new_id(), tenant.id
        )
    assert (await stand(world, tenant))["alarms"] == 1
    await end(tenant)
    assert await service.end_trials(world.urls.owner_url) == 1
    assert await stand(world, tenant) == dict.fromkeys(before, 0)
    assert await stand(world, standing) == before
    assert (await client.get(f"/m/{tenant.slug}")).headers["location"].startswith("/log-in")
    assert (await Buyer(world.client(f"{tenant.slug}.{settings().shops_host}")).get("/")).status_code == 421
    assert (await other.get(f"/m/{standing.slug}")).status_code == 200
    assert await service.end_trials(world.urls.owner_url) == 0
    with pytest.raises(ValueError, match="no trial that is over"):
        await trials.delete(world.urls.owner_url, world.tenant)
    with pytest.raises(ValueError, match="no trial that is over"):
        await trials.delete(world.urls.owner_url, standing)
    assert await stand(world, standing) == before


async def test_one_that_was_half_deleted_is_deleted_by_the_next_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant = await opened(browser(world))
    await end(tenant)

    async def die(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(trials, "delete", die)
        with pytest.raises(ConnectionError):
            await service.end_trials(world.urls.owner_url)
    assert (await stand(world, tenant))["named"] == 1
    assert await service.end_trials(world.urls.owner_url) == 1
    assert sum((await stand(world, tenant)).values()) == 0


async def test_what_a_process_counted_for_one_that_is_gone_is_let_go(world: World) -> None:
    tenant = await opened(browser(world))
    window = RateWindow(Limit("tests.trial", 10, 3600))
    window.count(tenant, "somebody")
    await end(tenant)
    await service.end_trials(world.urls.owner_url)
    await window.share()
    assert not any(known.unsaid for known in window._subjects.values())


async def test_there_are_so_many_and_so_many_an_hour_and_an_address(world: World, choose: Callable[..., None]) -> None:
    client = browser(world)
    choose(trials_at_once=1)
    await opened(client)
    full = await send(client, "/trial")
    assert full.status_code == 503
    assert "Try again in an hour" in full.text
    for _ in range(3):
        assert (await send(client, "/trial")).status_code == 503
    assert (await send(client, "/trial")).status_code == 429


async def test_where_none_is_offered_there_is_no_page(world: World, choose: Callable[..., None]) -> None:
    client = browser(world)
    choose(trial_hours=0)
    assert "/trial" not in (await client.get("/log-in")).text
    assert (await client.get("/trial")).status_code == 404
    assert (await send(client, "/trial", page="/log-in")).status_code == 404


async def test_it_ends_when_it_was_said_to(world: World) -> None:
    tenant = await opened(browser(world))
    assert tenant.trial_ends_at is not None
    assert abs(tenant.trial_ends_at - clock.now() - timedelta(hours=settings().trial_hours)) < timedelta(minutes=5)


async def test_the_operator_sees_which_shops_are_trials(world: World) -> None:
    tenant, client = await opened(browser(world)), await operator_of(world)
    assert "Trial" in words((await client.get(f"/console?q={tenant.slug}")).text).partition(tenant.slug)[2][:60]
    assert "Trial until" in words((await client.get(f"/console/tenants/{tenant.id}")).text)
    assert "Trial until" not in (await client.get(f"/console/tenants/{world.tenant.id}")).text


_STANDS = """
select (select count(*) from tenant where id = $1) as named, (select count(*) from pg_namespace where nspname = $2) as schemas,
       (select count(*) from pg_roles r where rolname = $3 and not exists (
          select 1 from pg_shdepend d join pg_database b on b.oid = d.dbid where d.refobjid = r.oid and b.datname <> current_database()
       )) as roles, (select count(*) from app_user where email like $4) as people,
       (select count(*) from alarm where home_id = $1) as alarms,
       (select count(*) from user_session s join app_user u on u.id = s.user_id where u.email like $4) as sessions
"""
