"""The demo's data: made by the real verbs, dated back without breaking what must hold, and its log-ins kept from others."""

from __future__ import annotations

import asyncio
import json
import secrets
import stat
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from app.access import passwords
from app.insight.invariants import breaches
from app.kernel import clock
from operations.demo_data import MAINLAND, SUPPLIERS, bought, dating, people, stocking, supplying, trade
from operations.demo_data.goods import MERCHANTS, NANZHI, Merchant
from operations.demo_data.people import Login, Opened
from operations.seed import _buy, _supply, extend, seed, write_logins
from operations.trouble import Trouble
from tenants import provisioning
from tenants.directory import PLATFORM
from tenants.session import databases, tenant_tx, use_databases
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import World

pytestmark = [pytest.mark.anyio]


async def furnished(world: World, merchant: Merchant) -> tuple[Opened, list[stocking.Shelved]]:
    await provisioning.refill(world.urls.owner_url, wanted=3)
    opened = await people.open_merchant(replace(merchant, slug=f"demo-{secrets.token_hex(4)}"))
    shelved = await stocking.furnish(opened, merchant)
    await stocking.fill_pools(opened, shelved)
    return opened, shelved


async def test_a_demo_merchant_has_a_fortnight_of_orders_in_every_state_and_keeps_every_rule(world: World) -> None:
    opened, shelved = await furnished(world, NANZHI)
    traded = await trade.trade(opened, shelved, orders=90)
    await dating.date_back(world.urls.owner_url, opened.tenant, traded)
    await extend(opened, shelved)
    async with tenant_tx(opened.tenant) as tx:
        batches = await tx.fetch("select state, row_count from issue_batch order by state")
        states = {row["state"]: row["n"] for row in await tx.fetch("select state, count(*) as n from shop_order group by state")}
        days = await tx.fetchval("select count(distinct placed_at::date) from shop_order")
        wrong = await tx.fetchval(
            "select count(*) from shop_order where placed_at > now() or paid_at < placed_at or ended_at < placed_at"
        )
        orders = await tx.fetch("select order_no, placed_at from shop_order")
        shelf = await tx.fetchrow(
            "select count(*) filter (where s.available = 0) as none, count(*) filter (where s.available between 1 and k.warn_below) as low,"
            " sum(s.quarantined) as quarantined from stock s join sku k on k.id = s.sku_id"
        )
        assert await breaches(tx) == []
    assert [tuple(row) for row in batches] == [("ended", 12), ("ready", 12)]
    assert {"delivered", "refunded", "cancelled", "expired", "awaiting_payment"} <= set(states)
    assert states["delivered"] > 60
    assert days >= 10
    assert wrong == 0
    assert all(row["order_no"][1:7] == clock.business_day(row["placed_at"]).strftime("%y%m%d") for row in orders)
    assert shelf is not None
    assert shelf["none"] >= 1
    assert shelf["low"] >= 1
    assert shelf["quarantined"] == 30


@pytest.fixture
def companies(tmp_path: Path) -> Iterator[dict[str, SupplierSimulator]]:
    with ExitStack() as running:
        yield {name: running.enter_context(supplier_simulator(tmp_path, name)) for name in SUPPLIERS}


async def test_its_suppliers_delivered_what_was_bought_of_them_and_a_second_seed_does_nothing(
    world: World, companies: dict[str, SupplierSimulator], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await provisioning.refill(world.urls.owner_url, wanted=3)
    opened = await people.open_merchant(replace(NANZHI, slug=f"demo-{secrets.token_hex(4)}"))
    shelved = await stocking.furnish(opened, NANZHI)
    supplied = await supplying.connect(opened, shelved, {name: company.url for name, company in companies.items()})
    traded = await bought.buy(opened, supplied)
    await dating.date_back(world.urls.owner_url, opened.tenant, traded)
    await bought.settle(opened, supplied)
    async with tenant_tx(opened.tenant) as tx:
        connections = await tx.fetch("select is_on, tested_at, balance from supplier_connection")
        attempts = {row["state"]: row["n"] for row in await tx.fetch("select state, count(*) as n from attempt group by state")}
        orders = await tx.fetch("select distinct state from shop_order where id = any($1)", [one.order.id for one in traded])
        imported = await tx.fetchval("select count(*) from offer_import_line where result = 'made'")
        open_differences = await tx.fetchval("select count(*) from discrepancy where state = 'open'")
        bills = await tx.fetchval("select count(*) from settlement_statement where purchases > 0")
        wrong = await tx.fetchval("select count(*) from attempt where decided_at > now() or decided_at < sent_at")
        assert await breaches(tx) == []
    assert [(row["is_on"], row["tested_at"] is not None, row["balance"] > 0) for row in connections] == [(True, True, True)] * 2
    assert [row["state"] for row in orders] == ["delivered"]
    assert attempts == {"succeeded": len(traded), "failed": 1}
    tests = len(companies)
    assert sum(company.totals()["effects"]["count"] for company in companies.values()) == len(traded) + tests
    assert (imported, open_differences, wrong) == (3, 1, 0)
    assert bills >= 1
    before = [company.totals()["asked"] for company in companies.values()]
    await refuse_to_seed(tmp_path / "logins.json", {name: company.url for name, company in companies.items()})
    assert [company.totals()["asked"] for company in companies.values()] == before
    companies[MAINLAND].process.kill()
    assert await _buy(opened, supplied) == []
    assert capsys.readouterr().out.count("The simulated suppliers do not answer") == 1


async def test_without_its_suppliers_it_goes_on(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    await provisioning.refill(world.urls.owner_url, wanted=3)
    opened = await people.open_merchant(replace(NANZHI, slug=f"demo-{secrets.token_hex(4)}"))
    away = dict.fromkeys(SUPPLIERS, "http://127.0.0.1:9")
    assert await _supply(opened, [], away) is None
    assert capsys.readouterr().out.count("The simulated suppliers do not answer") == 1
    assert await _supply(opened, [], {}) is None


async def test_its_people_can_log_in(world: World) -> None:
    await provisioning.refill(world.urls.owner_url, wanted=3)
    opened = await people.open_merchant(replace(NANZHI, slug=f"demo-{secrets.token_hex(4)}"))
    logins = [*opened.logins, *await people.make_team(opened)]
    async with tenant_tx(PLATFORM) as tx:
        stored = {row["email"]: row for row in await tx.fetch("select email, password_hash, email_verified_at from app_user")}
    people_of_shop = [login for login in logins if login.login]
    assert len(people_of_shop) == 6
    for login in people_of_shop:
        assert stored[login.login]["email_verified_at"] is not None
        assert await passwords.fits(login.password, stored[login.login]["password_hash"])
        assert passwords.fault_of(login.password, near=[login.login]) is None


def test_what_it_sells_is_told_apart() -> None:
    for merchant in MERCHANTS:
        names = [good.name for good in merchant.goods]
        assert len(set(names)) == len(names)
        assert all(item.was_minor is None or item.was_minor > item.price_minor for good in merchant.goods for item in good.items)
    assert len({good.category for good in NANZHI.goods if good.is_on_sale}) >= 6


async def test_a_database_in_use_is_left_alone(world: World, tmp_path: Path) -> None:
    await people.open_merchant(replace(NANZHI, slug=f"demo-{secrets.token_hex(4)}"))
    await refuse_to_seed(tmp_path / "logins.json", {})


async def refuse_to_seed(logins: Path, suppliers: dict[str, str]) -> None:
    from app.kernel import http

    kept, client = databases(), http._process.pop()
    try:
        with pytest.raises(Trouble, match="accounts in this database"):
            await seed(logins, suppliers)
    finally:
        use_databases(kept)
        http._process.append(client)
    assert not await asyncio.to_thread(logins.exists)


def test_log_ins_are_for_their_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "logins.json"
    for _ in range(2):
        write_logins(file, [Login("店主", "app", "/m/x", "a@b.example", "secret")])
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert json.loads(file.read_text())[0]["who"] == "店主"
