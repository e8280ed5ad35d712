"""Six connectors against companies that speak their protocols, and what goes wrong there. Effects are counted in the companies' books."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from app.suppliers.connectors import open_connector, wire
from app.suppliers.connectors.port import (
    Accepted,
    Balance,
    Delivered,
    NoSuchPurchase,
    Reason,
    Rejected,
    Unknown,
)
from tests.app.suppliers.connectors.abroad.companies import Shop

pytestmark = pytest.mark.anyio
LOST = [{"drop": True}, {"http_500_after_effect": True}, {"status": 404}, {"status": 302}]
NONSENSE = ["html", "huge", "empty", "list", "truncated"]


def needs_cards(shop: Shop) -> None:
    if not shop.house.hands_out:
        pytest.skip("a top-up hands out nothing")


# What goes well


async def test_purchase_is_delivered_once_with_its_secret_and_cost(shop: Shop) -> None:
    purchase = shop.house.purchase()
    placed = await shop.connector.place(purchase)
    assert isinstance(placed, Delivered if shop.house.answers_at_once else Accepted)
    found = await shop.settle(purchase, placed)
    assert isinstance(found, Delivered)
    assert shop.effects(purchase) == 1
    assert found.unit_cost in (None, Decimal(str(shop.simulator.book(purchase.out_no)["purchases"][0]["cost"])))
    issued = [(one.number or one.link, one.password) for one in found.issued]
    cards = [(card["number"], card["password"]) for card in shop.simulator.book(purchase.out_no)["cards"]]
    assert len(issued) == len(cards) == int(shop.house.hands_out)
    for (number, password), (handed_out, pin) in zip(issued, cards, strict=True):
        assert number.removeprefix("https://rewards.example/") == handed_out
        assert password in ("", pin)


async def test_asking_by_either_number_tells_the_same(shop: Shop) -> None:
    purchase = shop.house.purchase()
    placed = await shop.connector.place(purchase)
    assert isinstance(placed, Delivered | Accepted)
    found = await shop.settle(purchase, placed)
    for ref in (None, placed.supplier_ref):
        asked = await shop.query(purchase, ref=ref)
        assert isinstance(asked, Delivered)
        assert isinstance(found, Delivered)
        assert asked.issued == found.issued
    assert shop.effects(purchase) == 1


async def test_purchase_that_is_decided_later_is_accepted_and_asked_about(shop: Shop) -> None:
    purchase = shop.house.purchase()
    shop.simulator.script({"decide_ms": 400}, on="place", times=1)
    placed = await shop.connector.place(purchase)
    assert isinstance(placed, Accepted | Unknown)
    assert not isinstance(await shop.query(purchase), Delivered)
    await asyncio.sleep(0.6)
    assert isinstance(await shop.query(purchase), Delivered)
    assert shop.effects(purchase) == 1


async def test_balance_is_what_the_book_says(shop: Shop) -> None:
    if "balance" not in shop.connector.traits.abilities:
        pytest.skip("tells no balance")
    assert await shop.connector.balance() == Balance(Decimal(1_000_000), "USD")


# What is refused


@pytest.mark.case("B14")
@pytest.mark.parametrize("reason", ["out_of_stock", "no_balance", "bad_account"])
async def test_listed_refusal_is_a_definite_no_and_the_same_unlisted_is_unknown(shop: Shop, reason: str) -> None:
    purchase = shop.house.purchase()
    shop.simulator.script({"refuse": reason}, on="place")
    refused = await shop.connector.place(purchase)
    assert isinstance(refused, Rejected)
    assert refused.reason is Reason(reason)
    assert isinstance(await shop.reopened(refusals="").place(shop.house.purchase()), Unknown)
    assert shop.effects(purchase) == 0


@pytest.mark.case("B14")
@pytest.mark.parametrize("kind", ["undocumented", "busy", "internal", "malformed"])
async def test_refusal_that_is_on_no_list_is_unknown(shop: Shop, kind: str) -> None:
    purchase = shop.house.purchase()
    shop.simulator.script({"refuse": kind}, on="place", times=1)
    outcome = await shop.connector.place(purchase)
    assert isinstance(outcome, Unknown)
    assert outcome.is_sent
    assert shop.effects(purchase) == 0


async def test_refusal_because_the_number_is_used_is_never_a_definite_no(shop: Shop) -> None:
    purchase = shop.house.purchase()
    await shop.connector.place(purchase)
    shop.simulator.conduct(repeats="refuse")
    assert isinstance(await shop.connector.place(purchase), Unknown)
    assert isinstance(await shop.query(purchase), Delivered)
    assert shop.effects(purchase) == 1


async def test_repeat_of_a_number_is_the_same_purchase_where_the_protocol_promises_it(shop: Shop) -> None:
    if shop.house.protocol not in ("tango", "tremendous"):
        pytest.skip("promises nothing of the kind")
    purchase = shop.house.purchase()
    first = await shop.connector.place(purchase)
    repeats = await asyncio.gather(*(shop.connector.place(purchase) for _ in range(5)))
    assert isinstance(first, Delivered)
    assert {repeat.issued for repeat in repeats if isinstance(repeat, Delivered)} == {first.issued}
    assert shop.effects(purchase) == 1


async def test_two_purchases_under_one_number_are_unknown(shop: Shop) -> None:
    """A protocol whose repeats were not verified may buy twice: then nobody is told which of the two is his."""
    if shop.connector.traits.idempotency_life is not None:
        pytest.skip("its numbers buy once")
    purchase = shop.house.purchase()
    await shop.connector.place(purchase)
    await shop.connector.place(purchase)
    assert shop.effects(purchase) == 2
    if shop.house.connector == "dingconnect":
        assert isinstance(await shop.query(purchase), Unknown)


async def test_purchase_that_failed_is_refused_where_its_state_is_verified_or_listed(shop: Shop) -> None:
    if shop.house.connector == "agiso_acpr":
        pytest.skip("a pick has no later decision")
    purchase = shop.house.purchase()
    shop.simulator.script({"decision": "failure"}, on="place", times=1)
    placed = await shop.connector.place(purchase)
    found = await shop.settle(purchase, placed)
    assert isinstance(found, Rejected if shop.house.fails_by_default else Unknown)
    if not shop.house.fails_by_default:
        listed = shop.reopened(assumed="status.rejected=FAILED")
        assert isinstance(await replace_connector(shop, listed).query(purchase), Rejected)
    assert shop.effects(purchase) == 0


async def test_wrong_credentials_buy_nothing_and_are_no_refusal_of_the_purchase(shop: Shop) -> None:
    purchase = shop.house.purchase()
    secret = next(
        setting.name for setting in shop.connector.traits.settings if setting.is_secret and not setting.name.startswith("webhook")
    )
    stranger = shop.reopened(**{secret: "0" * 32})
    outcome = await stranger.place(purchase)
    assert isinstance(outcome, Unknown)
    assert shop.simulator.book(purchase.out_no)["purchases"] == []
    assert not isinstance(await replace_connector(shop, stranger).query(purchase), NoSuchPurchase)


async def test_mapping_that_names_no_goods_is_refused_before_anything_is_sent(shop: Shop) -> None:
    if shop.house.connector == "agiso_acpr":
        pytest.skip("any text may be a kind")
    before = len(shop.simulator.book()["asked"])
    outcome = await shop.connector.place(shop.house.purchase(supplier_sku="a:b:c", face_value_minor=None))
    assert isinstance(outcome, Rejected)
    assert len(shop.simulator.book()["asked"]) == before


async def test_goods_the_supplier_does_not_have_are_unknown_until_listed(shop: Shop) -> None:
    purchase = shop.house.purchase(supplier_sku="999999", face_value_minor=500)
    assert isinstance(await shop.connector.place(purchase), Unknown)
    assert shop.effects(purchase) == 0


# What is lost on the way


@pytest.mark.case("B01", "B02")
@pytest.mark.parametrize("fault", LOST, ids=str)
async def test_purchase_whose_answer_is_lost_is_unknown_and_asking_tells(shop: Shop, fault: dict[str, object]) -> None:
    purchase = shop.house.purchase()
    shop.simulator.script(fault, on="place", times=1)
    outcome = await shop.connector.place(purchase)
    assert isinstance(outcome, Unknown)
    assert outcome.is_sent
    assert isinstance(await shop.query(purchase), Delivered)
    assert shop.effects(purchase) == 1


@pytest.mark.case("B01")
async def test_purchase_that_hangs_is_unknown_at_the_deadline(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    purchase = shop.house.purchase()
    await shop.query(purchase)
    monkeypatch.setattr(wire, "READ_S", 0.3)
    shop.simulator.script({"hang": True}, on="place", times=1)
    assert isinstance(await shop.connector.place(purchase), Unknown)
    assert isinstance(await shop.query(purchase), Delivered)
    assert shop.effects(purchase) == 1


@pytest.mark.case("B07")
@pytest.mark.parametrize("body", NONSENSE)
async def test_nonsense_for_an_answer_is_unknown_and_asking_tells(shop: Shop, body: str) -> None:
    purchase = shop.house.purchase()
    shop.simulator.script({"body": body}, on="place", times=1)
    assert isinstance(await shop.connector.place(purchase), Unknown)
    shop.simulator.script({"body": body}, on="query")
    assert isinstance(await shop.query(purchase), Unknown)
    shop.simulator.clear_script()
    assert isinstance(await shop.query(purchase), Delivered)
    assert shop.effects(purchase) == 1


async def test_purchase_that_never_arrived_is_not_found(shop: Shop) -> None:
    purchase = shop.house.purchase()
    shop.simulator.script({"before": "drop"}, on="place", times=1)
    assert isinstance(await shop.connector.place(purchase), Unknown)
    assert isinstance(await shop.query(purchase), NoSuchPurchase)
    assert shop.effects(purchase) == 0


@pytest.mark.case("B05")
async def test_not_found_is_told_as_such_even_by_a_company_that_finds_it_later(shop: Shop) -> None:
    purchase = shop.house.purchase()
    shop.simulator.script({"drop": True}, on="place", times=1)
    await shop.connector.place(purchase)
    shop.simulator.script({"not_found": True}, on="query", times=1)
    assert isinstance(await shop.query(purchase), NoSuchPurchase)
    assert isinstance(await shop.query(purchase), Delivered)
    assert shop.effects(purchase) == 1


async def test_not_found_under_a_number_the_supplier_gave_is_asked_again_under_ours(shop: Shop) -> None:
    purchase = shop.house.purchase()
    await shop.connector.place(purchase)
    found = await shop.query(purchase, ref="12345678901234567890")
    assert isinstance(found, Delivered if shop.house.connector != "dingconnect" else Unknown)


async def test_company_that_is_away_is_unknown_and_says_that_nothing_was_sent(shop: Shop) -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    nowhere = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    changes = {"base_url": nowhere} | ({"token_url": nowhere} if shop.house.protocol == "reloadly" else {})
    outcome = await shop.reopened(**changes).place(shop.house.purchase())
    assert isinstance(outcome, Unknown)
    assert not outcome.is_sent


@pytest.mark.parametrize("state", ["down", "unavailable"])
async def test_company_that_is_down_is_unknown(shop: Shop, state: str) -> None:
    purchase = shop.house.purchase()
    shop.simulator.conduct(state=state)
    assert isinstance(await shop.connector.place(purchase), Unknown)
    assert isinstance(await shop.query(purchase), Unknown)
    shop.simulator.conduct(state="up")
    assert isinstance(await shop.query(purchase), NoSuchPurchase)
    assert shop.effects(purchase) == 0


# What is untrue


@pytest.mark.case("B10")
async def test_answer_about_another_order_delivers_nothing(shop: Shop) -> None:
    purchase = shop.house.purchase()
    shop.simulator.script({"misstate": "other_order"}, on="place", times=1)
    outcome = await shop.connector.place(purchase)
    assert isinstance(outcome, Unknown | Accepted)
    shop.simulator.script({"misstate": "other_order"}, on="query")
    assert isinstance(await shop.query(purchase), Unknown)
    shop.simulator.clear_script()
    assert isinstance(await shop.settle(purchase, outcome), Delivered | Unknown)
    assert isinstance(await shop.query(purchase), Delivered)
    assert shop.effects(purchase) == 1


@pytest.mark.case("B07")
@pytest.mark.parametrize("untruth", ["fewer_cards", "more_cards", "empty_card"])
async def test_wrong_cards_are_unknown_and_never_delivered(shop: Shop, untruth: str) -> None:
    needs_cards(shop)
    purchase = shop.house.purchase()
    shop.simulator.script({"misstate": untruth})
    outcome = await shop.connector.place(purchase)
    assert isinstance(outcome, Unknown | Accepted)
    found = await shop.settle(purchase, outcome)
    assert isinstance(found, Unknown)
    assert isinstance(await shop.query(purchase), Unknown)
    shop.simulator.clear_script()
    assert isinstance(await shop.query(purchase), Delivered)


@pytest.mark.parametrize("untruth", ["negative_cost", "nan_cost"])
async def test_cost_that_is_none_is_unknown(shop: Shop, untruth: str) -> None:
    if shop.house.connector == "agiso_acpr":
        pytest.skip("a pick tells no cost")
    purchase = shop.house.purchase()
    shop.simulator.script({"misstate": untruth})
    outcome = await shop.settle(purchase, await shop.connector.place(purchase))
    assert isinstance(outcome, Unknown)
    assert isinstance(await shop.query(purchase), Unknown)


@pytest.mark.case("B10")
async def test_order_of_another_value_is_unknown(shop: Shop) -> None:
    if shop.house.connector not in ("tango", "tremendous"):
        pytest.skip("answers name no face value")
    shop.simulator.script({"misstate": "face_value"}, on="place", times=1)
    assert isinstance(await shop.connector.place(shop.house.purchase()), Unknown)


async def test_first_order_under_a_number_that_was_for_other_goods_is_unknown(shop: Shop) -> None:
    """Tango returns the original order even if the item differs."""
    if shop.house.connector != "tango":
        pytest.skip("a rule of Tango's")
    shop.simulator.goods({**shop.house.goods, "sku": "U200"})
    purchase = shop.house.purchase()
    await shop.connector.place(purchase)
    assert isinstance(await shop.connector.place(replace(purchase, supplier_sku="U200:25")), Unknown)
    assert shop.effects(purchase) == 1


# Connections


async def test_no_secret_is_in_repr_or_evidence(shop: Shop) -> None:
    purchase = shop.house.purchase()
    outcome = await shop.settle(purchase, await shop.connector.place(purchase))
    assert isinstance(outcome, Delivered)
    shown = repr(shop.connector) + repr(outcome) + outcome.evidence
    secrets = [shop.credentials[setting.name] for setting in shop.connector.traits.settings if setting.is_secret]
    cards = [text for card in shop.simulator.book(purchase.out_no)["cards"] for text in (card["number"], card["password"])]
    assert [text for text in [*secrets, *cards] if text in shown] == []


async def test_no_secret_is_logged(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    purchase = shop.house.purchase()
    await shop.settle(purchase, await shop.connector.place(purchase))
    secrets = [shop.credentials[setting.name] for setting in shop.connector.traits.settings if setting.is_secret]
    cards = [card["number"] for card in shop.simulator.book(purchase.out_no)["cards"]]
    assert [text for text in [*secrets, *cards] if text in caplog.text] == []


def replace_connector(shop: Shop, connector: object) -> Shop:
    return replace(shop, connector=connector)  # type: ignore[arg-type]


async def test_connector_is_entered_under_its_own_name(shop: Shop) -> None:
    assert type(shop.connector).traits.name == shop.house.connector
    assert (
        open_connector(shop.house.connector, shop.house.config(shop.simulator, shop.credentials), shop.client) == shop.connector
    )
