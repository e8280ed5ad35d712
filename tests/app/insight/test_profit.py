"""The profit report: its rows and their sum are the ledger to the cent."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from app.access.models import MemberRole
from app.catalog.models import DeliveryKind
from app.catalog.service import SkuTerms
from app.insight.profit import By, profit
from app.inventory import service as inventory
from app.kernel import clock
from app.payments.deciding import decide_refund
from app.payments.refunding import refund_by_merchant
from app.pricing.rules import Effect
from app.pricing.service import RuleTerms
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import settle
from tests.app.issuing.issued import PRICE, issued, numbers, states, work
from tests.app.ordering.bundles import bundle, keys, vouchers
from tests.app.pricing.test_sales import ruled
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def trade(world: World) -> None:
    """Own keys of a cost finer than a cent, some by rule, one order given back after delivery; vouchers that cost nothing; both in one order.

    The gateway keeps 0.6 % of each payment.
    """
    await world.rows("update gateway_connection set fee_bp = 60 returning 1")
    film = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 19800))
    month = film.skus[0]
    await world.stock(month.id, 12)
    await world.rows("update card_key set unit_cost = 14.705 returning 1")
    await ruled(world, film, RuleTerms(Effect.UNIT_PRICE, 1800, month.id, least_quantity=3))
    await world.bought(month.listing.id, 3)
    given_back = await world.bought(month.listing.id, 2, contact="13800132047")
    voucher = await world.product(SkuTerms("Cup", 2500), name="Coffee", delivery_kind=DeliveryKind.VOUCHER)
    async with tenant_tx(world.tenant) as tx:
        await inventory.allow(tx, sku_id=voucher.skus[0].id, units=10)
    await world.bought(voucher.skus[0].listing.id, 2, contact="13800132048")
    async with tenant_tx(world.tenant) as tx:
        await decide_refund(tx, given_back.id, stated_minor=3980, reason="asked for", actor=STAFF)
    await world.work()
    await world.until("select count(*) from refund where state = 'succeeded'")


async def test_the_report_is_the_ledger_to_the_cent(world: World) -> None:
    await trade(world)
    today = clock.business_day()
    async with tenant_tx(world.tenant) as tx:
        found = {by: await profit(tx, first=today - timedelta(days=1), last=today, by=by) for by in By}
        earlier = await profit(tx, first=today - timedelta(days=9), last=today - timedelta(days=2), by=By.SKU)
    for by, report in found.items():
        assert report.sums == report.ledger, by
        assert not report.is_cut
    by_sku = {row.name: row for row in found[By.SKU].rows}
    month, cup = by_sku["Skylark Video Month"], by_sku["Coffee Cup"]
    assert (month.units, month.sales_minor, month.refunds_minor, month.cost_minor) == (5, 9380, 3980, 5 * 1471)
    assert month.fees_minor == 32 + 24, "0.6 % of ¥54.00 and of ¥39.80, the second given back later"
    assert month.margin_minor == 9380 - 3980 - 7355 - 56
    assert (cup.units, cup.sales_minor, cup.cost_minor, cup.fees_minor, cup.margin_bp) == (2, 5000, 0, 30, 9_940)
    assert [row.name for row in found[By.CHANNEL].rows] == ["storefront"]
    assert sum(row.margin_minor for row in found[By.DAY].rows) == found[By.PRODUCT].sums[0].margin_minor == 3045 - 86
    assert (list(earlier.rows), earlier.ledger) == ([], [])
    balances = "select name, debits_minor - credits_minor as minor from ledger_account where name in ('sales', 'cost_of_goods', 'goods', 'gateway_fees')"
    assert {row["name"]: row["minor"] for row in await world.rows(balances)} == {
        "sales": -(9380 + 5000 - 3980), "cost_of_goods": 7355, "goods": -7355, "gateway_fees": 86,
    }  # fmt: skip
    assert await world.value("select min(unit_cost) from delivery_unit where minted_id is not null") == Decimal(0)


async def test_a_fee_is_shared_among_the_things_of_an_order_without_losing_a_cent(world: World) -> None:
    await world.rows("update gateway_connection set fee_bp = 55 returning 1")
    coffee, salad = await keys(world, "Coffee", 2000, 10), await vouchers(world, "Salad", 1000)
    meal = await bundle(world, [(coffee.id, 2), (salad.id, 1)], price_minor=4001)
    await world.bought(meal.skus[0].listing.id, 2)
    async with tenant_tx(world.tenant) as tx:
        report = await profit(tx, first=clock.business_day(), last=clock.business_day(), by=By.PRODUCT)
    assert {row.name: (row.sales_minor, row.fees_minor) for row in report.rows} == {"Coffee": (6402, 35), "Salad": (1600, 9)}
    assert report.sums == report.ledger


async def test_what_comes_off_a_companys_account_is_in_it(world: World) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, 5)
    batch_no = await issued(world, sku.listing.id, numbers(2))
    await work(world)
    order_id = await world.value("select order_id from issue_row order by row_no limit 1")
    async with tenant_tx(world.tenant) as tx:
        await refund_by_merchant(tx, order_id, reason="sent by mistake", actor=STAFF)
    await settle(world)
    async with tenant_tx(world.tenant) as tx:
        report = await profit(tx, first=clock.business_day(), last=clock.business_day(), by=By.SKU)
    assert await states(world, batch_no) == {"delivered": 2}
    assert [(row.units, row.sales_minor, row.refunds_minor) for row in report.rows] == [(2, 2 * PRICE, PRICE)]
    assert report.sums == report.ledger


async def test_the_page_shows_it_whole_and_as_a_fragment(world: World) -> None:
    await trade(world)
    owner = await staff(world)
    told = words((await owner.get("/profit?by=sku")).text)
    assert "Skylark Video Month" in told
    assert "Together" in told
    assert "The ledger says the same" in told
    part = await owner.get("/profit?by=day", part=True)
    assert "<html" not in part.text
    assert part.text.lstrip().startswith('<div class="stack" id="profit">')
    assert "Nothing was delivered on these days" in (await owner.get("/profit?first=2020-01-01&last=2020-02-01")).text
    for wrong in ("first=2027-01-02&last=2027-01-01", "first=soon", "by=colour", "first=2020-01-01&last=2027-01-01"):
        assert (await owner.get(f"/profit?{wrong}")).status_code == 422, wrong


async def test_who_does_not_see_money_and_strangers_do_not_see_it(world: World) -> None:
    assert (await (await staff(world, MemberRole.SUPPORT)).get("/profit")).status_code == 403
    other = await staff(world, tenant=await world.new_tenant("Bluebird"))
    other.base = f"/m/{world.tenant.slug}"
    assert (await other.get("/profit")).status_code == 404
