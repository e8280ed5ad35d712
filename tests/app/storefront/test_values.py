"""Buying any value of a range: typed, priced once, credited as it was typed, and said clearly where it is not one of them."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from app.catalog.values import ValueRange
from app.kernel.contact import parse_contact
from app.kernel.ids import new_id
from app.ordering import placing
from app.ordering.placing import NotSoldNow, OfferChanged, Placed
from app.ordering.rules import NoSuchValue, quote
from app.pricing import service as pricing
from app.pricing.ranges import set_range
from app.pricing.rules import Effect
from app.pricing.service import RuleTerms
from app.storefront.shelf import forget_shelf, shelf_of
from app.suppliers import service as suppliers
from app.suppliers.models import RoutePolicy
from app.suppliers.service import RouteTerms
from tenants.session import tenant_session
from tests.app.fulfillment.supply import settle
from tests.app.fulfillment.top_up import TopUp, by_value
from tests.app.storefront.buyer import Answer, Buyer, fields, words
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
COMPANY = "dingconnect"
NUMBER = "+85251234567"


@pytest.fixture
def buyer(world: World) -> Buyer:
    return Buyer(world.client())


def field(sold: TopUp) -> str:
    return f"value-{sold.listing_id}"


async def typed(buyer: Buyer, sold: TopUp, value: str, **more: str) -> Answer:
    return await buyer.buy(sold.product.id, **{"account-phone": NUMBER, field(sold): value, **more})


async def last_order(world: World) -> Placed:
    row = (await world.rows("select id, order_no from shop_order order by placed_at desc limit 1"))[0]
    return Placed(row["id"], row["order_no"], repeated=False)


async def test_a_typed_value_is_priced_kept_on_the_line_and_credited(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await by_value(world, company, rate="0.983")
    page = words((await buyer.get(f"/products/{sold.product.id}")).text)
    assert "From ¥10.00 to ¥500.00, in steps of ¥5.00." in page
    asked = await typed(buyer, sold, "55")
    assert "¥54.07" in words(asked.text)  # 54.065, rounded once, half up
    answer = await buyer.client.post("/checkout", data=fields(asked.text, "/checkout"))
    assert answer.status_code == 303, words(answer.text)
    placed = await last_order(world)
    await world.pay(placed)
    await world.ask_gateway(placed)
    await settle(world)
    line = (await world.rows("select face_value_minor, face_value_currency, unit_price_minor, sku_name from order_line"))[0]
    assert line == {"face_value_minor": 5500, "face_value_currency": "CNY", "unit_price_minor": 5407, "sku_name": "¥5 ¥55.00"}
    assert await world.value("select state from shop_order") == "delivered"
    bought = company.book(await world.value("select out_no from attempt"))["purchases"]
    assert [one["face_value_minor"] for one in bought] == [5500]
    assert await world.value("select expected_cost from attempt") == Decimal("49.5")
    assert "¥55.00" in words((await buyer.get(answer.headers["location"])).text)


async def test_what_is_no_value_is_said_beside_its_field_with_every_other_fault(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await by_value(world, company)
    for value, sentence in (
        ("", "Say how much: from ¥10.00 to ¥500.00."),
        ("fifty", "Type a value in figures, from ¥10.00 to ¥500.00."),
        ("-10", "Type a value in figures"),
        ("1e2", "Type a value in figures"),
        ("5", "Choose a value from ¥10.00 to ¥500.00."),
        ("505", "Choose a value from ¥10.00 to ¥500.00."),
        ("9999999", "Choose a value from ¥10.00 to ¥500.00."),
        ("12.50", "Values go in steps of ¥5.00: take ¥10.00 or ¥15.00."),
    ):
        answer = await typed(buyer, sold, value, contact="nobody", quantity="0")
        assert answer.status_code == 422, value
        text = words(answer.text)
        assert sentence in text, value
        assert f'id="f-{field(sold)}-error"' in answer.text
        assert 'id="f-contact-error"' in answer.text
        assert value == "" or f'value="{value}"' in answer.text
    assert await world.value("select count(*) from shop_order") == 0


async def test_without_scripts_the_price_of_a_value_is_shown_on_asking(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await by_value(world, company)
    shown = await typed(buyer, sold, "100", act="change")
    assert "¥100.00 costs ¥98.00." in words(shown.text)
    by_address = await buyer.get(f"/products/{sold.product.id}?{field(sold)}=200")
    assert "¥200.00 costs ¥196.00." in words(by_address.text)
    wrong = await typed(buyer, sold, "101", act="change")
    assert "take ¥100.00 or ¥105.00" in words(wrong.text)


async def test_the_cart_keeps_two_values_of_one_thing_apart(world: World, company: SupplierSimulator, buyer: Buyer) -> None:
    sold = await by_value(world, company)
    page = f"/products/{sold.product.id}"
    for value, units in (("50", "1"), ("100", "2"), ("50", "1")):
        sent = fields((await buyer.get(page)).text, "/checkout") | {field(sold): value, "quantity": units}
        assert (await buyer.client.post("/cart/lines", data=sent)).status_code == 303
    sent = fields((await buyer.get(page)).text, "/checkout") | {field(sold): "51", "quantity": "0"}
    refused = await buyer.client.post("/cart/lines", data=sent)
    assert refused.status_code == 422
    assert "take ¥50.00 or ¥55.00" in words(refused.text)
    assert 'id="f-quantity-error"' in refused.text
    cart = (await buyer.get("/cart")).text
    assert "¥294.00" in words(cart)  # 2 of 50 and 2 of 100, at 0.98
    name = f"account-{sold.listing_id.hex}-phone"
    asked = await buyer.send("/cart", "/cart/checkout", contact="13800132046", **{name: NUMBER})
    answer = await buyer.client.post("/cart/checkout", data=fields(asked.text, "/cart/checkout"))
    assert answer.status_code == 303, words(answer.text)
    rows = await world.rows("select face_value_minor, quantity, total_minor from order_line order by face_value_minor")
    assert [tuple(row.values()) for row in rows] == [(5000, 2, 9800), (10_000, 2, 19_600)]
    assert await world.value("select reserved from stock") == 4


async def test_a_range_that_changed_meanwhile_is_looked_at_again(world: World, company: SupplierSimulator) -> None:
    sold = await by_value(world, company)
    request = await requested(world, sold, 5000)
    async with tenant_session(world.tenant) as session:
        changed = ValueRange(1000, 50_000, 500, Decimal("1.05"))
        await set_range(session, sold.product.id, sold.product.skus[0].id, changed, actor=STAFF)
    with pytest.raises(OfferChanged):
        await placing.place(world.tenant, request)
    assert await world.value("select count(*) from shop_order") == 0


async def requested(world: World, sold: TopUp, value: int) -> placing.Request:
    """A request for one of a value, as the checkout makes it."""
    forget_shelf(world.tenant)
    offered = (await shelf_of(world.tenant)).offers[sold.listing_id]
    stated = {(sold.listing_id, offered.sku_id): {"phone": NUMBER}}
    contact = parse_contact("13800132046")
    assert contact is not None
    face = (await shelf_of(world.tenant)).face
    return placing.Request(face.storefront_id, quote([(offered.at(value), 1)], stated), contact, "en", str(new_id()))


async def test_below_the_least_margin_no_value_is_sold_whatever_its_size(world: World, company: SupplierSimulator) -> None:
    sold = await by_value(world, company)
    sku_id = sold.product.skus[0].id
    async with tenant_session(world.tenant) as session:
        terms = RouteTerms([(sold.offer_id, 1)], RoutePolicy.FIXED_ORDER, 500, 1800)
        await suppliers.route(session, sku_id, terms, actor=STAFF)
    await world.work()
    assert await world.value("select least_rate from listing") == Decimal("0.947369")  # 0.9 over 0.95, rounded up
    for value in (1000, 50_000):
        good = await requested(world, sold, value)
        await placing.place(world.tenant, replace(good, idempotency_key=str(new_id())))
        line = good.quote.lines[0]
        cheap = replace(line, priced=replace(line.priced, unit_price_minor=value * 94 // 100))
        with pytest.raises(NotSoldNow):
            await placing.place(world.tenant, replace(good, quote=replace(good.quote, lines=(cheap,))))
    assert await world.value("select count(*) from shop_order") == 2


async def test_rules_by_share_apply_to_values_and_one_price_for_all_is_refused(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await by_value(world, company)
    sku_id = sold.product.skus[0].id
    async with tenant_session(world.tenant) as session:
        await pricing.add_rule(session, sold.product.id, RuleTerms(Effect.SHARE, -100, sku_id), actor=STAFF)
        await pricing.add_rule(session, sold.product.id, RuleTerms(Effect.UNIT_PRICE, 500), actor=STAFF)
        with pytest.raises(pricing.ManyValues):
            await pricing.add_rule(session, sold.product.id, RuleTerms(Effect.UNIT_PRICE, 500, sku_id), actor=STAFF)
    forget_shelf(world.tenant)
    page = words((await buyer.get(f"/products/{sold.product.id}?{field(sold)}=100")).text)
    assert "¥100.00 costs ¥97.02." in page


async def test_a_value_that_no_supplier_sells_takes_it_off_the_shelf(world: World, company: SupplierSimulator) -> None:
    sold = await by_value(world, company)
    assert await world.value("select available from stock") > 0
    async with tenant_session(world.tenant) as session:
        wider = ValueRange(1000, 60_000, 500, Decimal("0.98"))
        await set_range(session, sold.product.id, sold.product.skus[0].id, wider, actor=STAFF)
    await world.work()
    assert await world.value("select available from stock") == 0
    assert await world.value("select shelf_reason from supply_route") == "no supplier sells all its face values"


async def test_a_quote_without_a_value_is_refused_and_the_cookie_cannot_name_one(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await by_value(world, company)
    offered = (await shelf_of(world.tenant)).offers[sold.listing_id]
    with pytest.raises(NoSuchValue):
        quote([(offered, 1)])
    with pytest.raises(NoSuchValue):
        offered.at(1001)
    for value in ("", "-1001", "-99999999999999", "-x"):
        buyer.client.cookies.set("__Host-q_cart", f"{sold.listing_id.hex}-1{value}")
        assert "no longer on sale" in words((await buyer.get("/cart")).text) or "Your cart is empty" in words(
            (await buyer.get("/cart")).text
        )
