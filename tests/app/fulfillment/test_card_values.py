"""Cards of a face value come from suppliers alone, and those that are nobody's never become stock: set aside, found again, and told with their value."""

from __future__ import annotations

import html
import re
from uuid import UUID

import pytest

from app.access.models import MemberRole
from app.fulfillment import outcomes, receiving, service
from app.fulfillment.outcomes import Answer
from app.pricing.ranges import set_range
from app.storefront.shelf import forget_shelf
from app.suppliers import service as suppliers
from app.suppliers.connectors.port import Delivered, Issued
from app.suppliers.models import OwnStock, RoutePolicy
from app.suppliers.service import RouteTerms
from tenants.session import Tx, tenant_session, tenant_tx
from tests.app.fulfillment.gift_cards import SOLD, GiftCards, gift_cards, paid
from tests.app.fulfillment.supply import attempt_states, order_state, settle
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
STOCK = "select imported, available, reserved, delivered, voided, short from stock where sku_id = $1"


def effects(companies: list[SupplierSimulator]) -> list[int]:
    return [company.totals()["effects"]["count"] for company in companies]


async def one_price(world: World, sold: GiftCards) -> None:
    async with tenant_session(world.tenant) as session:
        await set_range(session, sold.product.id, sold.sku_id, None, actor=STAFF)
    await world.work()
    forget_shelf(world.tenant)


async def given_up(world: World, sold: GiftCards) -> tuple[UUID, UUID]:
    """An order of $25 whose purchase was given up by two people, though it took place, and bought elsewhere; the order's id and the attempt's."""
    placed = await paid(world, sold, (2500, 1))
    await settle(world)
    attempt_id: UUID = await world.value("select id from attempt where order_id = $1", placed.id)
    assert await attempt_states(world, placed.id) == ["unknown"]
    path = f"/orders/{placed.order_no}/attempts/{attempt_id}/overrides"
    maker, reviewer = [await staff(world, role) for role in (MemberRole.OPERATOR, MemberRole.FINANCE_CHECKER)]
    assert (await maker.post(path, {"reason": "Their desk says no such order"})).status_code == 303
    assert (await reviewer.post(f"{path}/approval")).status_code == 303
    await settle(world)
    assert await attempt_states(world, placed.id) == ["failed", "succeeded"]
    return placed.id, attempt_id


async def test_what_comes_late_is_kept_aside_with_its_value_and_sold_to_nobody(
    world: World, companies: list[SupplierSimulator]
) -> None:
    sold = await gift_cards(world, *companies)
    before = effects(companies)
    companies[0].script({"drop": True}, on="place", times=1)
    order_id, attempt_id = await given_up(world, sold)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update task set run_at = now() where subject_id = $1", attempt_id)
        await outcomes.attempts.ask_now(tx, attempt_id)
    await settle(world)
    assert await attempt_states(world, order_id) == ["succeeded_late", "succeeded"]
    assert [now - was for now, was in zip(effects(companies), before, strict=True)] == [1, 1]
    out_no = await world.value("select out_no from attempt where id = $1", attempt_id)
    [card] = companies[0].book(out_no)["cards"]
    assert companies[0].book(out_no)["purchases"][0]["face_value_minor"] == 2500
    [key] = await world.rows("select id, masked from card_key where state = 'voided'")
    assert key["masked"] == f"****{card['number'][-4:]}"
    assert await world.value("select count(*) from card_key where state = 'free'") == 0
    assert await world.value("select voided from stock where sku_id = $1", sold.sku_id) == 1
    await _is_told_and_found(world, key, card["number"])
    other = await paid(world, sold, (5000, 1))
    await settle(world)
    assert await order_state(world, other.id) == "delivered"
    assert [now - was for now, was in zip(effects(companies), before, strict=True)] == [2, 1], (
        "it is bought, not taken from what is aside"
    )
    assert await world.value("select state from card_key where id = $1", key["id"]) == "voided"


async def _is_told_and_found(world: World, key: dict[str, object], number: str) -> None:
    """The cases say its value and where it is; its page shows it, once a reason is given."""
    owner = await staff(world)
    for kind in ("supplier_late", "spare_goods"):
        case_id = await world.value("select id from staff_case where kind = $1 and state = 'open'", kind)
        page = (await owner.get(f"/cases/{case_id}")).text
        text = words(html.unescape(page)).replace("US$", "$")
        assert f"Card kept aside $25.00 {key['masked']}" in text
        assert "never own stock" in text
        assert f"/card-keys/{key['id']}/reveal" in page
    assert f"$25.00 {key['masked']}" in words((await owner.get("/cases")).text).replace("US$", "$")
    [batch] = set(re.findall(r"/imports/(S[0-9]{6}-[0-9A-F]{8})", page))
    batch_page = words(html.unescape((await owner.get(f"/imports/{batch}")).text)).replace("US$", "$")
    assert f"{key['masked']} Voided" in batch_page
    assert "Kept aside: nobody's, and never sold" in batch_page
    assert f"$25.00 {key['masked']}" in batch_page
    assert number in (await owner.post(f"/card-keys/{key['id']}/reveal", {"reason": "Claimed from the supplier"})).text


async def _one_too_many(world: World, companies: list[SupplierSimulator], sold: GiftCards) -> Answer:
    """A supplier's answer of one card more than was bought of $25, written down twice."""
    companies[0].script({"drop": True}, on="place", times=1)
    placed = await paid(world, sold, (2500, 1))
    await settle(world)
    row = (await world.rows("select id, out_no from attempt where order_id = $1", placed.id))[0]
    cards = [Issued(card["number"], card["password"]) for card in companies[0].book(row["out_no"])["cards"]]
    answer = Answer(row["id"], None, Delivered("R-1", (*cards, Issued("SIMEXTRA0001", "extra"))), 5)
    for _ in range(2):
        async with tenant_tx(world.tenant) as tx:
            await outcomes.record(tx, [answer])
    assert await order_state(world, placed.id) == "delivered"
    return answer


async def test_a_card_too_many_is_kept_aside_and_its_case_says_its_value(
    world: World, companies: list[SupplierSimulator]
) -> None:
    sold = await gift_cards(world, *companies)
    left = await world.value("select available from stock where sku_id = $1", sold.sku_id)
    await _one_too_many(world, companies, sold)
    facts = await world.rows(
        "select facts ->> 'cards' as cards, facts ->> 'value_minor' as value, facts ->> 'value_currency' as currency from staff_case"
    )
    assert facts == [{"cards": "1", "value": "2500", "currency": "USD"}]
    states = await world.rows("select state, count(*) as keys from card_key group by state order by state")
    assert [tuple(row.values()) for row in states] == [("delivered", 1), ("voided", 1)]
    await world.work()
    assert await world.value("select available from stock where sku_id = $1", sold.sku_id) <= left
    for state in ("quarantine", "release"):
        owner, batch = await staff(world), await world.value("select batch_no from import_batch")
        answer = await owner.post(f"/imports/{batch}/{state}", {"reason": "A look at what is aside"})
        assert answer.status_code == (303 if state == "quarantine" else 409), "what is aside comes back by no way"
    await one_price(world, sold)
    assert (await (await staff(world)).post(f"/imports/{batch}/release", {"reason": "One price again"})).status_code == 303
    await world.work()
    assert await world.value("select count(*) from card_key where state = 'free'") == 0


async def test_a_card_too_many_of_a_value_stays_aside_though_its_sku_has_one_price_by_now(
    world: World, companies: list[SupplierSimulator]
) -> None:
    sold = await gift_cards(world, *companies)
    companies[0].script({"drop": True}, on="place", times=1)
    placed = await paid(world, sold, (2500, 1))
    await settle(world)
    await one_price(world, sold)
    attempt_id: UUID = await world.value("select id from attempt where order_id = $1", placed.id)
    async with tenant_tx(world.tenant) as tx:
        found = Delivered("R-1", (Issued("SIMBUYERS001", "his"), Issued("SIMEXTRA0001", "extra")))
        await outcomes.record(tx, [Answer(attempt_id, None, found, 5)])
    states = await world.rows("select state from card_key order by state")
    assert [row["state"] for row in states] == ["delivered", "voided"]


async def test_red_without_the_look_at_the_value_a_card_too_many_is_sold_as_one_of_another(
    world: World, companies: list[SupplierSimulator], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both guards off: it stands free on the shelf of what is sold by value, and a buyer of $500 is given it."""
    sold = await gift_cards(world, *companies)
    lock = outcomes.attempts.lock

    async def without_values(tx: Tx, attempt_ids: list[UUID]) -> list[dict[str, object]]:
        return [dict(row) | {"value_minor": None} for row in await lock(tx, attempt_ids)]

    async def has_one_price(tx: Tx, sku_id: UUID) -> bool:
        return False

    with monkeypatch.context() as off:
        off.setattr(outcomes.attempts, "lock", without_values)
        off.setattr(receiving, "is_by_value", has_one_price)
        await _one_too_many(world, companies, sold)
    assert await world.value("select count(*) from card_key where state = 'free'") == 1
    before = effects(companies)
    with monkeypatch.context() as off:
        off.setattr(service, "_OWED", service._OWED.replace("l.face_value_minor as value_minor", "null::bigint as value_minor"))
        placed = await paid(world, sold, (50_000, 1))
        await settle(world)
    assert await order_state(world, placed.id) == "delivered"
    assert effects(companies) == before, "nobody was asked for a card of $500"
    world.may_break.add("BY-VALUE")
    assert await world.value("select count(*) from card_key where state = 'free'") == 0


@pytest.mark.parametrize("own", [OwnStock.FIRST, OwnStock.RESERVE])
async def test_a_paid_value_is_bought_from_its_supplier_whatever_stands_in_the_pool_by_then(
    world: World, companies: list[SupplierSimulator], own: OwnStock
) -> None:
    """The range was taken back and keys came in before the worker looked: the unit is still of $25, and no key of the pool says so."""
    sold = await gift_cards(world, companies[0])
    async with tenant_session(world.tenant) as session:
        terms = RouteTerms([(sold.offers[0], 1)], RoutePolicy.FIXED_ORDER, 0, 1800, own_stock=own)
        await suppliers.route(session, sold.sku_id, terms, actor=STAFF)
    before = effects(companies)
    placed = await paid(world, sold, (2500, 1))
    async with tenant_session(world.tenant) as session:
        await set_range(session, sold.product.id, sold.sku_id, None, actor=STAFF)
    await world.stock(sold.sku_id, 3)
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"
    assert effects(companies)[0] == before[0] + 1
    bought = companies[0].book(await world.value("select out_no from attempt"))["purchases"]
    assert [one["face_value_minor"] for one in bought] == [2500]
    assert await world.value("select count(*) from card_key where state = 'free'") == 3


async def test_what_was_ordered_at_one_price_is_bought_at_its_own_value_once_there_is_a_choice(
    world: World, companies: list[SupplierSimulator]
) -> None:
    """An order that passed the price check in the instant before the range was saved has no value of its own: its SKU's stands for it."""
    sold = await gift_cards(world, companies[0])
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update sku set face_value_minor = 2000")
    early = await paid(world, sold, (2000, 1))
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update order_line set face_value_minor = null, face_value_currency = null")
    await settle(world)
    assert await order_state(world, early.id) == "delivered"
    row = (await world.rows("select out_no, expected_cost from attempt where order_id = $1", early.id))[0]
    assert companies[0].book(row["out_no"])["purchases"][0]["face_value_minor"] == 2000
    assert row["expected_cost"] == 19, "2000 cents at 0.95"


async def test_a_card_known_already_is_bought_elsewhere_at_the_same_value(
    world: World, companies: list[SupplierSimulator]
) -> None:
    sold = await gift_cards(world, *companies)
    card = {"number": "SIMKNOWN0001", "password": "p"}
    companies[0].cards("U100", card)
    first = await paid(world, sold, (1000, 1))
    await settle(world)
    assert await order_state(world, first.id) == "delivered"
    before = effects(companies)
    companies[0].cards("U100", card)
    second = await paid(world, sold, (SOLD.most_minor, 1))
    await settle(world)
    assert await order_state(world, second.id) == "delivered"
    assert await attempt_states(world, second.id) == ["failed", "succeeded"]
    assert [now - was for now, was in zip(effects(companies), before, strict=True)] == [1, 1]
    out_no = await world.value("select out_no from attempt where order_id = $1 and state = 'succeeded'", second.id)
    assert companies[1].book(out_no)["purchases"][0]["face_value_minor"] == SOLD.most_minor
