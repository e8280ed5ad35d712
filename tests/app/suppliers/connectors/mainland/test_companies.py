"""Five protocols against companies that speak them, and what goes wrong there. Effects are counted in the companies' books."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.suppliers.connectors import open_connector
from app.suppliers.connectors.port import (
    Accepted,
    Balance,
    CatalogPage,
    Delivered,
    NoSuchPurchase,
    Reason,
    Rejected,
    Unknown,
)
from tests.app.suppliers.connectors.mainland.companies import CARD, TOP_UP, Shop

pytestmark = pytest.mark.anyio
LOST = [{"drop": True}, {"http_500_after_effect": True}, {"status": 404}, {"status": 302}]
NONSENSE = ["html", "huge", "empty", "list", "truncated"]


def hasty(shop: Shop) -> Shop:
    """The same connection with a deadline of half a second."""
    connector: Any = shop.reopened()
    object.__setattr__(connector, "total_s", 0.5)
    return Shop(shop.company, shop.simulator, shop.credentials, shop.client, connector)


# What goes well


async def test_card_is_accepted_then_delivered_with_its_secret_and_cost(shop: Shop) -> None:
    shop.simulator.cards(CARD, {"number": "LARK-0001", "password": "p-77 81", "expires_on": "2027-12-31"})
    purchase = shop.card()
    placed, found = await shop.bought(purchase)
    assert isinstance(placed, Accepted)
    assert isinstance(found, Delivered)
    [issued] = found.issued
    assert (issued.number, issued.password, str(issued.expires_on)) == ("LARK-0001", "p-77 81", "2027-12-31")
    assert found.supplier_ref == placed.supplier_ref == shop.simulator.book(purchase.out_no)["purchases"][0]["own_no"]
    assert found.unit_cost == Decimal("9.8")
    assert shop.effects(purchase) == 1


@pytest.mark.case("K01")
async def test_secrets_are_in_no_repr_and_no_evidence(shop: Shop) -> None:
    shop.simulator.cards(CARD, {"number": "CANARY-NUMBER", "password": "CANARY-PASSWORD"})
    purchase = shop.card()
    placed, found = await shop.bought(purchase)
    assert isinstance(found, Delivered)
    shown = f"{placed!r} {found!r} {found.evidence} {shop.connector!r}"
    assert "CANARY" not in shown
    assert not [name for name, value in shop.credentials.items() if ("secret" in name or "key" in name) and value in shown]


async def test_top_up_reaches_the_account_once_and_carries_no_secret(shop: Shop) -> None:
    purchase = shop.top_up()
    placed, found = await shop.bought(purchase)
    assert isinstance(placed, Accepted)
    assert isinstance(found, Delivered)
    assert found.issued == ()
    [effect] = shop.simulator.book(purchase.out_no)["effects"]
    assert "13800138000" in effect["account"]


async def test_purchase_decided_later_is_accepted_until_then(shop: Shop) -> None:
    purchase = shop.card()
    shop.simulator.script({"decide_ms": 400}, on="place", times=1)
    assert isinstance(await shop.connector.place(purchase), Accepted)
    assert isinstance(await shop.query(purchase), Accepted)
    await asyncio.sleep(0.6)
    assert isinstance(await shop.query(purchase), Delivered)


async def test_goods_tell_price_stock_and_sale_of_this_moment(shop: Shop) -> None:
    if "goods" not in _calls(shop):
        pytest.skip("its text describes no goods call")
    first = await shop.connector.goods(CARD)
    shop.simulator.change_goods(CARD, cost="12.345678", stock=0)
    second = await shop.connector.goods(CARD)
    assert not isinstance(first, Unknown)
    assert [getattr(goods, "unit_cost", goods) for goods in (first, second)] == [Decimal("9.8"), Decimal("12.345678")]
    assert getattr(second, "stock", None) == 0
    assert isinstance(await shop.connector.goods("nothing"), Unknown)


async def test_top_up_says_what_the_buyer_is_asked(shop: Shop) -> None:
    if shop.company.connector == "declarative":
        pytest.skip("a recipe names the fields itself")
    found = await shop.connector.goods(TOP_UP)
    assert not isinstance(found, Unknown)
    assert [(one.name, one.label) for one in getattr(found, "account_fields", ())] == [
        (next(iter(shop.company.account)), "充值账号")
    ]
    shop.simulator.script({"body": "html"}, on="other")
    assert await shop.connector.goods(TOP_UP) == found


async def test_catalog_is_read_to_its_end(shop: Shop) -> None:
    if not shop.company.has_catalog:
        pytest.skip("its text describes no catalog")
    shop.simulator.goods(*({"sku": f"A{number:04d}", "cost": "1.5"} for number in range(520)))
    found, cursor, pages = [], None, 0
    while pages == 0 or cursor:
        page = await shop.connector.catalog(cursor, None)
        assert isinstance(page, CatalogPage)
        assert len(page.items) <= 500
        found += page.items
        cursor, pages = page.next_cursor, pages + 1
        assert pages < 20
    assert len({item.supplier_sku for item in found}) == 522
    kinds = {item.supplier_sku: (item.delivery_kind, [field.name for field in item.account_fields]) for item in found}
    assert kinds[CARD] == ("card_key", [])
    assert kinds[TOP_UP] == ("direct_top_up", list(shop.company.account))


async def test_balance_is_what_the_book_says(shop: Shop) -> None:
    balance = await shop.connector.balance()
    assert balance == Balance(Decimal(1_000_000), "CNY") if shop.company.has_balance else isinstance(balance, Unknown)


# What is refused


@pytest.mark.case("B14")
@pytest.mark.parametrize("reason", ["out_of_stock", "no_balance", "bad_account"])
async def test_listed_refusal_is_a_definite_no(shop: Shop, reason: str) -> None:
    purchase = shop.card()
    shop.simulator.script({"refuse": reason}, on="place", times=1)
    outcome = await shop.connector.place(purchase)
    assert isinstance(outcome, Rejected)
    assert outcome.reason is (Reason.REFUSED if shop.company.name == "fulu" else Reason(reason))
    assert shop.effects(purchase) == 0


@pytest.mark.case("B14")
@pytest.mark.parametrize("kind", ["undocumented", "busy", "internal", "malformed", "duplicate"])
async def test_refusal_on_no_list_is_unknown(shop: Shop, kind: str) -> None:
    purchase = shop.card()
    shop.simulator.script({"refuse": kind}, on="place", times=1)
    outcome = await shop.connector.place(purchase)
    assert isinstance(outcome, Unknown)
    assert outcome.is_sent


@pytest.mark.case("B14")
async def test_asking_that_is_refused_says_nothing_of_the_purchase(shop: Shop) -> None:
    purchase = shop.card()
    await shop.connector.place(purchase)
    for kind in ("out_of_stock", "no_balance", "undocumented", "busy"):
        shop.simulator.script({"refuse": kind}, on="query", times=1)
        assert isinstance(await shop.query(purchase), Unknown)


async def test_failed_purchase_is_refused(shop: Shop) -> None:
    purchase = shop.card()
    shop.simulator.script({"decision": "failure"}, on="place", times=1)
    _, found = await shop.bought(purchase)
    assert isinstance(found, Rejected)
    assert shop.effects(purchase) == 0


async def test_wrong_credentials_buy_nothing_and_are_no_refusal(shop: Shop) -> None:
    other = shop.simulator.client()
    secret = {"fulu": "app_secret", "kasushou": "api_key", "family_962699": "app_key", "family_haixin": "key"}
    name = secret.get(shop.company.name, "private_key")
    stranger = shop.with_credentials({**shop.credentials, name: other[name]})
    purchase = shop.card()
    assert isinstance(await stranger.place(purchase), Unknown)
    assert shop.simulator.book(purchase.out_no)["purchases"] == []


async def test_goods_that_do_not_exist_buy_nothing(shop: Shop) -> None:
    purchase = shop.card(supplier_sku="nothing")
    assert isinstance(await shop.connector.place(purchase), Rejected | Unknown)
    assert isinstance(await shop.query(purchase), NoSuchPurchase)


# What is lost on the way


@pytest.mark.case("B01", "B02")
@pytest.mark.parametrize("fault", LOST, ids=str)
async def test_purchase_whose_answer_is_lost_is_unknown_and_asking_tells(shop: Shop, fault: dict[str, Any]) -> None:
    purchase = shop.card()
    shop.simulator.script(fault, on="place", times=1)
    outcome = await shop.connector.place(purchase)
    assert isinstance(outcome, Unknown)
    assert outcome.is_sent
    assert isinstance(await shop.query(purchase), Delivered)
    assert shop.effects(purchase) == 1


@pytest.mark.case("B01")
async def test_purchase_that_hangs_is_unknown_at_the_deadline_and_succeeded_all_the_same(shop: Shop) -> None:
    purchase = shop.card()
    shop.simulator.script({"hang": True}, on="place", times=1)
    outcome = await hasty(shop).connector.place(purchase)
    assert isinstance(outcome, Unknown)
    assert outcome.is_sent
    assert isinstance(await shop.query(purchase), Delivered)
    assert shop.effects(purchase) == 1


async def test_purchase_dropped_before_it_was_done_is_unknown_too(shop: Shop) -> None:
    purchase = shop.card()
    shop.simulator.script({"before": "drop"}, on="place", times=1)
    outcome = await shop.connector.place(purchase)
    assert isinstance(outcome, Unknown)
    assert outcome.is_sent
    assert isinstance(await shop.query(purchase), NoSuchPurchase)
    assert shop.effects(purchase) == 0


async def test_company_that_is_away_says_that_nothing_was_sent(shop: Shop) -> None:
    closed = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    address = f"http://127.0.0.1:{closed.sockets[0].getsockname()[1]}"
    closed.close()
    name = "gateway_url" if shop.company.name == "fulu" else "base_url"
    outcome = await shop.reopened(**{name: address}).place(shop.card())
    assert isinstance(outcome, Unknown)
    assert not outcome.is_sent


async def test_private_addresses_are_not_called(shop: Shop) -> None:
    name = "gateway_url" if shop.company.name == "fulu" else "base_url"
    outcome = await shop.reopened(**{name: "http://10.0.0.1:8080"}).place(shop.card())
    assert isinstance(outcome, Unknown)
    assert not outcome.is_sent


@pytest.mark.case("B05")
async def test_not_found_soon_after_sending_turns_into_success(shop: Shop) -> None:
    purchase = shop.card()
    shop.simulator.script({"not_found": True}, on="query", times=2)
    await shop.connector.place(purchase)
    early = await shop.query(purchase, sent_ago=timedelta(seconds=5))
    assert isinstance(early, NoSuchPurchase | Unknown)
    assert shop.connector.traits.not_found_grace >= timedelta(minutes=10)
    assert isinstance(await shop.query(purchase), NoSuchPurchase)
    assert isinstance(await shop.query(purchase), Delivered)


@pytest.mark.case("B07")
@pytest.mark.parametrize("body", NONSENSE)
@pytest.mark.parametrize("step", ["place", "query"])
async def test_nonsense_is_unknown(shop: Shop, step: str, body: str) -> None:
    purchase = shop.card()
    shop.simulator.script({"body": body}, on=step, times=1)
    outcome = await shop.connector.place(purchase)
    assert isinstance(outcome, Unknown if step == "place" else Accepted)
    if step == "query":
        assert isinstance(await shop.query(purchase), Unknown)
    assert isinstance(await shop.query(purchase), Delivered)
    assert shop.effects(purchase) == 1


@pytest.mark.case("B10")
@pytest.mark.parametrize("step", ["place", "query"])
async def test_answer_about_another_order_is_unknown(shop: Shop, step: str) -> None:
    purchase = shop.card()
    shop.simulator.script({"misstate": "other_order"}, on=step, times=1)
    outcome = await shop.connector.place(purchase)
    assert isinstance(outcome, Unknown if step == "place" else Accepted)
    if step == "query":
        assert isinstance(await shop.query(purchase), Unknown)
    assert shop.effects(purchase) == 1


@pytest.mark.case("B07")
@pytest.mark.parametrize("untruth", ["more_cards", "empty_card", "negative_cost", "nan_cost"])
async def test_card_that_cannot_be_right_is_not_delivered(shop: Shop, untruth: str) -> None:
    purchase = shop.card()
    await shop.connector.place(purchase)
    shop.simulator.script({"misstate": untruth}, on="query", times=1)
    assert isinstance(await shop.query(purchase), Unknown)
    assert isinstance(await shop.query(purchase), Delivered)


@pytest.mark.case("B07")
async def test_fewer_cards_deliver_no_card(shop: Shop) -> None:
    """A success without a card is told as such: whoever sold a card asks again, whoever sold a top-up is done."""
    purchase = shop.card()
    await shop.connector.place(purchase)
    shop.simulator.script({"misstate": "fewer_cards"}, on="query", times=1)
    found = await shop.query(purchase)
    assert isinstance(found, Delivered)
    assert found.issued == ()


@pytest.mark.parametrize("untruth", ["negative_cost", "nan_cost"])
async def test_costs_that_are_none_are_unread(shop: Shop, untruth: str) -> None:
    if "goods" not in _calls(shop):
        pytest.skip("its text describes no goods call")
    shop.simulator.script({"misstate": untruth})
    assert isinstance(await shop.connector.goods(CARD), Unknown)
    if shop.company.has_catalog:
        page = await shop.connector.catalog(None, None)
        assert isinstance(page, Unknown) or (page.items == () and page.unread > 0)


async def test_repeat_of_a_number_is_the_engines_to_avoid(shop: Shop) -> None:
    """No text promises that a number buys once: the traits say so, and the engine never sends one twice."""
    assert shop.connector.traits.idempotency_life is None


async def test_connector_never_repeats_a_call_by_itself(shop: Shop) -> None:
    purchase = shop.card()
    shop.simulator.script({"drop": True}, on="place")
    await shop.connector.place(purchase)
    assert len([call for call in shop.simulator.book(purchase.out_no)["asked"] if call["step"] == "place"]) == 1


async def test_account_field_the_protocol_has_no_place_for_is_refused_unsent(shop: Shop) -> None:
    if shop.company.connector == "declarative":
        pytest.skip("a recipe takes the fields it names")
    outcome = await shop.connector.place(shop.card(account={shop.company.field_that_is_none: "x"}))
    assert isinstance(outcome, Rejected)


def _calls(shop: Shop) -> set[str]:
    recipe = getattr(shop.connector, "recipe", None)
    return {"goods"} if recipe is None else set(recipe.calls)


def test_every_connector_is_entered() -> None:
    for name in ("fulu", "kasushou", "declarative"):
        with pytest.raises(ValueError, match=r"missing|form|document"):
            open_connector(name, {})
