"""Topping up an account: asked for, checked, shown again, credited once, and what becomes of a wrong one."""

from __future__ import annotations

import re

import pytest

from app.access.models import MemberRole
from app.catalog.accounts import AccountField, FieldKind
from app.ordering.placing import Placed
from tests.app.fulfillment.supply import make_due, settle
from tests.app.fulfillment.top_up import TopUp, top_up
from tests.app.staff import staff
from tests.app.storefront.buyer import Answer, Buyer, fields, words
from tests.simulators import SupplierSimulator
from tests.world import World

pytestmark = [pytest.mark.anyio]
COMPANY = "dingconnect"
NUMBER = "+85251234567"
GAME = (
    AccountField("region", "Region", FieldKind.CHOICE, choices={"": ("East", "West")}),
    AccountField(
        "server", "Server", FieldKind.CHOICE, depends_on="region", choices={"East": ("Lake", "Hill"), "West": ("Dune",)}
    ),
    AccountField("phone", "Role number", FieldKind.NUMBER, most=12),
)


@pytest.fixture
def buyer(world: World) -> Buyer:
    return Buyer(world.client())


async def confirmation(buyer: Buyer, sold: TopUp, **typed: str) -> Answer:
    """The page that shows the account again."""
    return await buyer.buy(sold.product.id, **{"account-phone": NUMBER, **typed})


async def confirmed(buyer: Buyer, answer: Answer, action: str = "/checkout") -> Answer:
    """Say yes to it."""
    return await buyer.client.post(action, data=fields(answer.text, action))


async def ordered(world: World, buyer: Buyer, sold: TopUp, **typed: str) -> tuple[Placed, str]:
    """An order placed through the pages and paid; and its page's path."""
    answer = await confirmed(buyer, await confirmation(buyer, sold, **typed))
    assert answer.status_code == 303, words(answer.text)
    path = answer.headers["location"]
    row = (await world.rows("select id, order_no from shop_order order by placed_at desc limit 1"))[0]
    placed = Placed(row["id"], row["order_no"], repeated=False)
    await world.pay(placed)
    await world.ask_gateway(placed)
    return placed, path


async def test_the_account_is_asked_for_and_shown_again_before_anything_is_ordered(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    page = (await buyer.get(f"/products/{sold.product.id}")).text
    assert 'name="account-phone"' in page
    assert "You see the account once more before you pay." in words(page)
    answer = await confirmation(buyer, sold)
    assert answer.status_code == 200
    assert "Is this the right account?" in words(answer.text)
    assert NUMBER in words(answer.text)
    assert answer.headers["cache-control"] == "no-store"
    assert await world.value("select count(*) from shop_order") == 0
    placed = await confirmed(buyer, answer)
    assert placed.status_code == 303
    assert await world.value("select count(*) from shop_order") == 1
    assert await world.value("select count(*) from history where event = 'order.account_confirmed'") == 1


async def test_a_paid_top_up_is_credited_once_and_its_page_shows_the_account_masked(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    before = sold.effects()
    placed, path = await ordered(world, buyer, sold)
    await settle(world)
    assert sold.effects() == before + 1
    page = words((await buyer.get(path)).text)
    assert "Credited" in page
    assert "+85****4567" in page
    assert NUMBER not in page
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"


async def test_all_faults_are_said_at_once_and_what_was_typed_stays(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    answer = await confirmation(buyer, sold, contact="nobody", **{"account-phone": "12"})
    assert answer.status_code == 422
    assert 'id="f-account-phone-error"' in answer.text
    assert 'id="f-contact-error"' in answer.text
    assert 'value="12"' in answer.text


async def test_an_account_that_was_changed_after_it_was_shown_is_shown_again(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    sent = fields((await confirmation(buyer, sold)).text, "/checkout") | {"account-phone": "+85261234567"}
    answer = await buyer.client.post("/checkout", data=sent)
    assert answer.status_code == 200
    assert "+85261234567" in words(answer.text)
    assert await world.value("select count(*) from shop_order") == 0


async def test_change_it_leads_back_with_everything_that_was_typed(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    sent = fields((await confirmation(buyer, sold)).text, "/checkout") | {"act": "change"}
    answer = await buyer.client.post("/checkout", data=sent)
    assert answer.status_code == 200
    assert f'value="{NUMBER}"' in answer.text
    assert 'id="buy"' in answer.text


async def test_pressed_twice_the_confirmation_is_one_order(world: World, company: SupplierSimulator, buyer: Buyer) -> None:
    sold = await top_up(world, company)
    page = await confirmation(buyer, sold)
    assert [(await confirmed(buyer, page)).status_code for _ in range(2)] == [303, 303]
    assert await world.value("select count(*) from shop_order") == 1


async def test_an_account_its_supplier_does_not_know_is_refused_before_paying(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    company.script({"refuse": "bad_account"}, on="pre_check", times=1)
    answer = await confirmation(buyer, sold)
    assert answer.status_code == 422
    assert "The supplier says that this account cannot be credited" in words(answer.text)
    assert await world.value("select count(*) from shop_order") == 0


async def test_a_supplier_that_does_not_answer_the_check_lets_the_account_pass(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    company.script({"drop": True}, on="pre_check")
    assert "Is this the right account?" in words((await confirmation(buyer, sold)).text)


async def test_a_refused_account_is_refunded_and_nobody_else_is_tried(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    before = sold.effects()
    company.script({"refuse": "bad_account"}, on="place", times=1)
    placed, path = await ordered(world, buyer, sold)
    await settle(world)
    assert sold.effects() == before
    assert await world.value("select state from shop_order where id = $1", placed.id) in ("refunding", "refunded")
    assert "The supplier refused the account" in words((await buyer.get(path)).text)


async def test_an_answer_that_is_lost_shows_checking_and_never_success(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    company.script({"drop": True}, on="place", times=1)
    _, path = await ordered(world, buyer, sold)
    await settle(world)
    page = words((await buyer.get(path)).text)
    assert "Checking with the supplier" in page
    assert "Do not order again" in page
    assert "Credited at" not in page
    await make_due(world)
    await settle(world)
    assert "Tell the shop" in words((await buyer.get(path)).text)


@pytest.mark.case("B15")
async def test_a_wrong_account_that_was_credited_is_a_case_and_no_refund(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    placed, path = await ordered(world, buyer, sold)
    await settle(world)
    line = await world.value("select id from order_line where order_id = $1", placed.id)
    for _ in range(2):
        assert (await buyer.send(path, f"{path}/accounts/{line}/dispute")).status_code == 303
    assert await world.rows("select kind, facts::jsonb ->> 'was_confirmed' as sure from staff_case") == [
        {"kind": "wrong_account", "sure": "true"}
    ]
    assert await world.value("select count(*) from refund") == 0
    assert await world.value("select count(*) from history where event = 'order.account_confirmed'") == 1
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"
    desk = words((await (await staff(world)).get(f"/orders/{placed.order_no}")).text)
    assert "The buyer confirmed the account to credit" in desk
    assert "A buyer says the account was the wrong one" in desk


async def test_staff_see_the_account_masked_and_open_it_with_a_reason(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    placed, _ = await ordered(world, buyer, sold)
    await settle(world)
    owner, path = await staff(world), f"/orders/{placed.order_no}"
    shown = (await owner.get(path)).text
    assert "+85****4567" in shown
    assert NUMBER not in shown
    line = await world.value("select id from order_line where order_id = $1", placed.id)
    sent = {"line": str(line), "unit": "1", "reason": "He asks on the phone"}
    assert (await owner.post(f"{path}/reveals", {**sent, "reason": ""})).status_code == 422
    assert NUMBER in (await owner.post(f"{path}/reveals", sent)).text
    assert await world.value("select count(*) from audit_entry where action = 'recharge_account.revealed'") == 1
    viewer = await staff(world, MemberRole.READ_ONLY)
    assert (await viewer.post(f"{path}/reveals", sent)).status_code == 403


async def test_a_list_that_depends_on_another_is_narrowed_by_its_address(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company, fields=GAME)
    path = f"/products/{sold.product.id}"
    plain = (await buyer.get(path)).text
    assert "East" in plain
    assert "Lake" not in plain
    narrowed = (await buyer.get(f"{path}?account-region=East")).text
    assert re.search(r'<option value="Lake"', narrowed)
    assert "Dune" not in narrowed
    assert fields(narrowed, "/checkout")["account-region"] == "East"
    other = {"account-region": "East", "account-server": "Dune", "account-phone": "5512345"}
    assert "f-account-server-error" in (await buyer.buy(sold.product.id, **other)).text
    answer = await buyer.buy(sold.product.id, **{**other, "account-server": "Hill"})
    assert all(word in words(answer.text) for word in ("East", "Hill", "5512345"))


async def test_the_cart_asks_for_each_account_and_shows_them_again(
    world: World, company: SupplierSimulator, buyer: Buyer
) -> None:
    sold = await top_up(world, company)
    added = await buyer.post(f"/products/{sold.product.id}", "/cart/lines", listing=str(sold.listing_id), quantity="2")
    assert added.status_code == 303
    name = f"account-{sold.listing_id.hex}-phone"
    assert f'name="{name}"' in (await buyer.get("/cart")).text
    missing = await buyer.send("/cart", "/cart/checkout", contact="13800132046")
    assert missing.status_code == 422
    answer = await buyer.send("/cart", "/cart/checkout", contact="13800132046", **{name: NUMBER})
    assert "Is this the right account?" in words(answer.text)
    placed = await confirmed(buyer, answer, "/cart/checkout")
    assert placed.status_code == 303, words(placed.text)
    assert await world.value("select count(*) from recharge_account") == 1


async def test_an_order_without_its_account_is_not_placed(world: World, company: SupplierSimulator) -> None:
    from app.ordering.rules import AccountMissing

    sold = await top_up(world, company)
    with pytest.raises(AccountMissing):
        await world.order(sold.listing_id)
