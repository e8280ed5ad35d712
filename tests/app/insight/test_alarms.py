"""The watch over what must always hold: an alarm once, told to the operators, closed by itself; sales stand still where that is wanted."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from app.insight import alarms
from app.insight.invariants import platform_breaches
from app.kernel import clock, metrics
from app.ordering import placing
from app.ordering.placing import ShopClosed
from tenants import routing
from tenants.directory import PLATFORM
from tenants.session import tenant_tx
from tests.app.console.people import browser_of, csrf, member, operator_of, person
from tests.world import World
from workers import timers

pytestmark = [pytest.mark.anyio, pytest.mark.database]
BREAK = "update ledger_account set debits_minor = debits_minor + 1 where name = 'gateway'"
MEND = "update ledger_account set debits_minor = debits_minor - 1 where name = 'gateway'"


async def as_owner(world: World, statement: str) -> None:
    owner = await asyncpg.connect(world.urls.owner_url)
    await owner.execute(f"set search_path to {world.tenant.schema}; {statement}")
    await owner.close()


async def sold(world: World) -> Any:
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    await world.bought(product.skus[0].listing.id)
    return product.skus[0]


async def open_alarms(world: World) -> set[str]:
    async with tenant_tx(PLATFORM) as tx:
        return {row["rule"] for row in await alarms.recent(tx) if row["home_id"] == world.tenant.id and row["closed_at"] is None}


async def mails(world: World) -> int:
    return int(await world.value("select count(*) from outgoing_message where template = 'rule_broken'", tenant=PLATFORM))


async def test_a_broken_rule_is_one_alarm_and_one_mail_and_closes_by_itself(world: World) -> None:
    await sold(world)
    await person(is_operator=True)
    operators = await world.value("select least(count(*), 20) from app_user where is_operator", tenant=PLATFORM)
    before = await mails(world)
    await as_owner(world, BREAK)
    for _ in range(3):
        await alarms.look_at(world.tenant)
    assert await open_alarms(world) == {"INV-4", "INV-5"}
    assert await mails(world) == before + operators
    await alarms.count()
    assert 'quanyi_open_alarms{rule="INV-4"} 1.0' in metrics.exposition().decode()
    await as_owner(world, MEND)
    await alarms.look_at(world.tenant)
    assert await open_alarms(world) == set()
    await alarms.count()
    assert 'quanyi_open_alarms{rule="INV-4"} 0.0' in metrics.exposition().decode()
    assert await mails(world) == before + operators


async def test_an_alarm_stands_on_the_console(world: World) -> None:
    await sold(world)
    client = await operator_of(world)
    await as_owner(world, BREAK)
    await alarms.look_at(world.tenant)
    page = (await client.get("/console/health")).text
    assert world.tenant.name in page
    assert "Over all accounts of a currency, debits equal credits." in page
    await as_owner(world, MEND)
    await alarms.look_at(world.tenant)


async def test_sales_stand_still_where_that_is_wanted_and_go_on_by_themselves(world: World) -> None:
    sku = await sold(world)
    client = await operator_of(world)
    path = f"/console/tenants/{world.tenant.id}"
    answer = await client.post(f"{path}/pausing", data={"pauses_on_breach": "yes", **await csrf(client, path)})
    assert answer.status_code == 303
    request = await world.request(sku.listing.id)
    await as_owner(world, BREAK)
    await alarms.look_at(world.tenant)
    stopped = await routing.by_slug(world.tenant.slug)
    assert stopped is not None
    with pytest.raises(ShopClosed):
        await placing.place(stopped, request)
    assert "closed" in (await world.client().get("/")).text
    assert "Sales stand still" in (await client.get(path)).text
    await as_owner(world, MEND)
    await alarms.look_at(world.tenant)
    open_again = await routing.by_slug(world.tenant.slug)
    assert open_again is not None
    assert (await placing.place(open_again, request)).order_no


async def test_another_tenant_goes_on_selling_and_one_that_does_not_want_it_too(world: World) -> None:
    sku = await sold(world)
    await as_owner(world, BREAK)
    await alarms.look_at(world.tenant)
    tenant = await routing.by_slug(world.tenant.slug)
    assert tenant is not None
    assert tenant.is_open
    assert (await placing.place(tenant, await world.request(sku.listing.id))).order_no
    await as_owner(world, MEND)
    await alarms.look_at(world.tenant)


async def test_choosing_is_the_operators_alone_and_audited(world: World) -> None:
    path = f"/console/tenants/{world.tenant.id}"
    stranger = await browser_of(world, await member(world.tenant))
    assert (await stranger.post(f"{path}/pausing", data=await csrf(stranger, f"/m/{world.tenant.slug}"))).status_code == 404
    client = await operator_of(world)
    await client.post(f"{path}/pausing", data={"pauses_on_breach": "yes", **await csrf(client, path)})
    assert await world.value("select count(*) from audit_entry where action = 'tenant.pausing_chosen'") == 1


async def test_a_clock_that_is_wrong_is_an_alarm(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + timedelta(minutes=10))
    async with tenant_tx(PLATFORM) as tx:
        assert [breach.number for breach in await platform_breaches(tx)] == ["INV-20"]


async def test_a_message_of_the_platform_that_nothing_carries_is_an_alarm(world: World) -> None:
    lost = await world.value(
        "insert into outgoing_message (id, medium, template, locale, recipient, recipient_masked, params)"
        " values (gen_random_uuid(), 'mail', 'x', 'en', 'x', 'x', 'x') returning id",
        tenant=PLATFORM,
    )
    try:
        async with tenant_tx(PLATFORM) as tx:
            assert [(breach.number, breach.rows) for breach in await platform_breaches(tx)] == [("INV-14", (str(lost),))]
    finally:
        await world.rows("delete from outgoing_message where id = $1 returning id", lost, tenant=PLATFORM)


async def test_the_watch_visits_every_home(world: World) -> None:
    await sold(world)
    await as_owner(world, BREAK)
    await timers.watch(lambda: False)
    assert "INV-4" in await open_alarms(world)
    await as_owner(world, MEND)
    await timers.watch(lambda: False)
    assert await open_alarms(world) == set()
