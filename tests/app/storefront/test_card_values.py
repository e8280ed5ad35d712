"""Buying cards of any value: chosen, paid and read without an account, two values in one cart; counted at the companies that sell them."""

from __future__ import annotations

import html
import re
import secrets
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest

from app.fulfillment import buying
from app.ordering.placing import Placed
from tenants.session import tenant_tx
from tests.app.fulfillment.gift_cards import CARD_HOUSES, COST, EXCHANGE, GiftCards, gift_cards, paid
from tests.app.fulfillment.supply import make_due, order_state, refund, settle
from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer, fields, words
from tests.app.suppliers.connectors.abroad.companies import House
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture(scope="module", params=CARD_HOUSES.values(), ids=CARD_HOUSES)
def house(request: pytest.FixtureRequest) -> House:
    found: House = request.param
    return found


@pytest.fixture(scope="module")
def house_simulator(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp(house.connector), house.protocol) as started:
        yield started


@pytest.fixture
def company(house_simulator: SupplierSimulator) -> Iterator[SupplierSimulator]:
    house_simulator.clear_script()
    yield house_simulator
    buying._pumps.clear()


async def put_in(buyer: Buyer, sold: GiftCards, value: str, units: str) -> int:
    page = (await buyer.get(f"/products/{sold.product.id}")).text
    sent = fields(page, "/checkout") | {sold.field: value, "quantity": units}
    return (await buyer.client.post("/cart/lines", data=sent)).status_code


async def checked_out(world: World, buyer: Buyer) -> tuple[Placed, str]:
    """The cart's order, paid; and where its buyer reads it."""
    asked = await buyer.send("/cart", "/cart/checkout", contact="13800132046")
    answer = (
        await buyer.client.post("/cart/checkout", data=fields(asked.text, "/cart/checkout"))
        if asked.status_code == 200
        else asked
    )
    assert answer.status_code == 303, words(answer.text)
    row = (await world.rows("select id, order_no from shop_order"))[0]
    placed = Placed(row["id"], row["order_no"], repeated=False)
    await world.pay(placed)
    await world.ask_gateway(placed)
    return placed, answer.headers["location"]


async def delivered(world: World, placed: Placed) -> None:
    """The worker's work, and the questions to companies that only took the purchase in."""
    await settle(world)
    for _ in range(3):
        await make_due(world)
        await settle(world)
    assert await order_state(world, placed.id) == "delivered"


def bought(company: SupplierSimulator, numbers: list[str]) -> dict[str, tuple[int, Decimal, str]]:
    """By our number: the value a company sold, what it cost, and the secret it handed out."""
    found = {}
    for out_no in numbers:
        book = company.book(out_no)
        [purchase], [card] = book["purchases"], book["cards"]
        assert company.effects(out_no) == 1
        found[out_no] = (purchase["face_value_minor"], Decimal(str(purchase["cost"])), card["number"])
    return found


async def test_two_values_of_one_card_in_one_cart_are_bought_and_read_without_an_account(
    world: World, company: SupplierSimulator, house: House
) -> None:
    sold, buyer = await gift_cards(world, company, house=house), Buyer(world.client())
    shown = words((await buyer.get(f"/products/{sold.product.id}")).text)
    assert "From $10.00 to $500.00, in steps of $5.00. $10.00 costs ¥73.00." in html.unescape(shown).replace("US$", "$")
    assert await put_in(buyer, sold, "27", "1") == 422
    assert [await put_in(buyer, sold, value, units) for value, units in (("25", "1"), ("50", "2"))] == [303, 303]
    assert "¥912.50" in words((await buyer.get("/cart")).text)  # 125 at 7.3
    placed, path = await checked_out(world, buyer)
    await delivered(world, placed)
    lines = await world.rows(
        "select sku_name, face_value_minor, face_value_currency, quantity, total_minor from order_line order by total_minor"
    )
    assert [tuple(line.values())[1:] for line in lines] == [(2500, "USD", 1, 18_250), (5000, "USD", 2, 73_000)]
    rows = await world.rows(_BOUGHT)
    book = bought(company, [row["out_no"] for row in rows])
    assert Counter(value for value, _, _ in book.values()) == {2500: 1, 5000: 2}
    for row in rows:
        value, cost, _ = book[row["out_no"]]
        assert (value, cost) == (row["face_value_minor"], COST * row["face_value_minor"] / 100)
        assert row["expected_cost"] == cost
        assert row["unit_cost"] == cost * EXCHANGE
    assert await world.value("select count(*) from recharge_account") == 0
    await _reads_each_beside_its_value(buyer, path, book)
    await _merchant_sees_values(world, placed)


async def _reads_each_beside_its_value(buyer: Buyer, path: str, book: dict[str, tuple[int, Decimal, str]]) -> None:
    page = (await buyer.get(path)).text
    text = html.unescape(words(page)).replace("US$", "$")
    assert "US gift card Any value $25.00" in text
    assert "US gift card Any value $50.00" in text
    seen: list[str] = []
    for address in sorted(set(re.findall(r'"([^"]*/reveals/[0-9a-f-]{36}/\d+)"', page))):
        seen.append((await buyer.post(path, address)).text)
    assert len(seen) == len(book) == 3
    for _, _, number in book.values():
        assert sum(number in html.unescape(text) for text in seen) == 1, "each card is read once, by its buyer"


async def _merchant_sees_values(world: World, placed: Placed) -> None:
    owner = await staff(world)
    text = html.unescape(words((await owner.get(f"/orders/{placed.order_no}")).text)).replace("US$", "$")
    assert "US gift card Any value $25.00" in text
    assert "US gift card Any value $50.00" in text
    batch_no = await world.value("select batch_no from import_batch")
    batch = words(html.unescape((await owner.get(f"/imports/{batch_no}")).text)).replace("US$", "$")
    assert batch.count("$25.00") == 1
    assert batch.count("$50.00") == 2


async def test_one_value_that_is_refused_is_given_back_exactly_and_the_other_stays(
    world: World, company: SupplierSimulator, house: House
) -> None:
    sold = await gift_cards(world, company, house=house)
    company.script({"refuse": "out_of_stock"}, on="place", times=1)
    before = company.totals()["effects"]["count"]
    placed = await paid(world, sold, (1500, 1), (3500, 2))
    await settle(world)
    for _ in range(3):
        await make_due(world)
        await settle(world)
    await refund(world)
    units = await world.rows(
        "select l.face_value_minor as value, u.state, u.amount_minor from delivery_unit u join order_line l on l.id = u.order_line_id"
    )
    [missed] = [unit for unit in units if unit["state"] == "refunded"]
    assert {unit["state"] for unit in units if unit is not missed} == {"delivered"}
    assert missed["amount_minor"] == missed["value"] * 73 // 10
    assert await world.value("select sum(amount_minor) from refund where state = 'succeeded'") == missed["amount_minor"]
    assert company.totals()["effects"]["count"] - before == 2
    assert await world.value("select total_minor from shop_order where id = $1", placed.id) == 10_950 + 51_100


async def test_the_mail_names_the_value_beside_each_card(world: World, company: SupplierSimulator, house: House) -> None:
    sold = await gift_cards(world, company, house=house)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update storefront set mails_keys = true")
    address = f"{secrets.token_hex(6)}@mail.test"
    placed = await paid(world, sold, (2500, 1), (5000, 1), contact=address)
    await delivered(world, placed)
    rows = await world.rows(_BOUGHT)
    body = html.unescape(world.outbox.wait_for(address)[0]["text"])
    for row in rows:
        [card] = company.book(row["out_no"])["cards"]
        [line] = [line for line in body.splitlines() if card["number"] in line]
        assert f"{row['face_value_minor'] // 100}.00" in line


_BOUGHT = """
select a.out_no, a.expected_cost, u.unit_cost, l.face_value_minor
from attempt a join order_line l on l.id = a.order_line_id
join delivery_unit u on u.order_line_id = a.order_line_id and u.unit_no = a.unit_no
"""
