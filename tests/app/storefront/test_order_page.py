"""One order's page through all its states, and that it is nobody's but its buyer's."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from app.catalog.service import SkuTerms
from app.kernel import audit
from app.ordering import service as ordering
from app.ordering.placing import Placed
from app.payments import refunding
from app.storefront.checkout import path_of
from tenants.session import tenant_tx
from tests.app.storefront.buyer import Buyer, words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio]
PARTIAL = {"hx-request-type": "partial", "hx-request": "true"}


async def _stocked(world: World, keys: int | list[str] = 5, *, price_minor: int = 1990) -> Any:
    product = await world.product(SkuTerms("Month", price_minor))
    await world.stock(product.skus[0].id, keys)
    return product.skus[0]


async def _path(world: World, order: Placed) -> str:
    return await path_of(world.tenant, order)


def _reveal_address(html: str) -> str:
    return next(part for part in html.split('"') if re.search(r"/reveals/[0-9a-f-]{36}/\d+$", part))


async def test_waiting_shows_amount_clock_and_the_way_to_pay(world: World) -> None:
    sku = await _stocked(world)
    order = await world.order(sku.listing.id, 2)
    page = await Buyer(world.client()).get(await _path(world, order))
    text = words(page.text)
    for wanted in (
        "Waiting for your payment",
        "¥39.80",
        order.order_no,
        "138****2046",
        "Cancel the order",
        "Ask about my payment",
    ):
        assert wanted in text, wanted
    assert 'role="timer"' in page.text
    assert 'hx-trigger="every 1s"' in page.text
    assert '<noscript><meta http-equiv="refresh"' in page.text
    assert "13800132046" not in page.text


@pytest.mark.case("C10")
async def test_looking_changes_nothing(world: World) -> None:
    """The gateway leads back here; that proves nothing and does nothing (neither does the status, nor the question's page)."""
    sku = await _stocked(world)
    path = await _path(world, await world.order(sku.listing.id))
    buyer = Buyer(world.client())
    for address in (path, f"{path}?paid=1&trade_status=TRADE_SUCCESS", f"{path}/status", f"{path}/cancellation"):
        assert (await buyer.get(address)).status_code == 200
    assert await world.value("select state from shop_order") == "awaiting_payment"
    assert await world.value("select count(*) from payment") == 0
    for address in (f"{path}/payment", f"{path}/question", f"{path}/reveals"):
        assert (await buyer.get(address)).status_code in (404, 405)


async def test_paying_leads_to_the_gateway_and_twice_to_the_same_payment(world: World) -> None:
    sku = await _stocked(world)
    path = await _path(world, await world.order(sku.listing.id))
    buyer = Buyer(world.client())
    answers = [await buyer.send(path, f"{path}/payment") for _ in range(2)]
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert await world.value("select count(*) from payment") == 1
    assert '<svg class="qr"' in (await buyer.get(path)).text


async def test_with_scripts_the_page_gets_its_code_in_place(world: World) -> None:
    sku = await _stocked(world)
    path = await _path(world, await world.order(sku.listing.id))
    part = await Buyer(world.client()).post(path, f"{path}/payment", headers=PARTIAL)
    assert part.status_code == 200
    assert part.text.lstrip().startswith('<div class="stack" id="order"')
    assert '<svg class="qr"' in part.text
    assert 'hx-trigger="load"' not in part.text


async def test_status_is_silent_until_something_changes(world: World) -> None:
    sku = await _stocked(world)
    order = await world.order(sku.listing.id)
    path = await _path(world, order)
    buyer = Buyer(world.client())
    asked = re.search(r'hx-get="([^"]+/status\?seen=[^"]*)"', (await buyer.get(path)).text)
    assert asked
    assert (await buyer.get(asked[1], headers=PARTIAL)).status_code == 204
    assert (await buyer.get(asked[1])).status_code == 200, "without the header a whole page"
    world.gateway.script({"drop": True}, on="notice")
    await world.pay(order)
    await world.ask_gateway(order)
    working = await buyer.get(asked[1], headers=PARTIAL)
    assert "Paid. Your key is being fetched" in working.text
    assert "Your key is here" not in working.text
    await world.work()
    asked = re.search(r'hx-get="([^"]+/status\?seen=[^"]*)"', working.text)
    assert asked
    delivered = await buyer.get(asked[1], headers=PARTIAL)
    assert "Your key is here" in delivered.text
    assert "every 1s" not in delivered.text


@pytest.mark.case("A14")
async def test_a_key_is_shown_only_when_asked_for_and_each_time_is_written_down(world: World) -> None:
    sku = await _stocked(world, ["SECRET-KEY-ONE-0001"])
    order = await world.bought(sku.listing.id)
    path = await _path(world, order)
    buyer = Buyer(world.client())
    page = await buyer.get(path)
    assert "SECRET" not in page.text
    assert "****0001" in page.text
    address = _reveal_address(page.text)
    assert (await buyer.get(address)).status_code in (404, 405), "looking at the address is not asking"
    shown = await buyer.post(path, address)
    part = await buyer.post(path, address, headers=PARTIAL)
    copied = await buyer.post(path, address, headers={"accept": "text/plain"})
    for answer in (shown, part, copied):
        assert answer.status_code in (200, 201)
        assert "SECRET-KEY-ONE-0001" in answer.text
        assert answer.headers["cache-control"] == "no-store"
    assert 'data-secret="30"' in part.text
    assert copied.text == "SECRET-KEY-ONE-0001"
    assert "SECRET" not in (await buyer.get(path)).text
    async with tenant_tx(world.tenant) as tx:
        entries = await audit.search(tx, action="card_key.revealed")
        assert await audit.first_broken(tx) is None
    assert [(e["actor_kind"], e["actor_name"]) for e in entries] == [("buyer", "138****2046")] * 3
    assert "SECRET" not in str(await world.rows("select * from audit_entry")) + str(await world.rows("select * from history"))


async def test_all_keys_at_once_with_their_passwords(world: World) -> None:
    sku = await _stocked(world, ["NUMBER-AAAA-0001 pin-1", "NUMBER-AAAA-0002 pin-2"])
    path = await _path(world, await world.bought(sku.listing.id, 2))
    buyer = Buyer(world.client())
    copied = await buyer.post(path, f"{path}/reveals", headers={"accept": "text/plain"})
    assert sorted(copied.text.splitlines()) == ["NUMBER-AAAA-0001 pin-1", "NUMBER-AAAA-0002 pin-2"]
    shown = await buyer.send(path, f"{path}/reveals")
    assert "pin-2" in shown.text
    assert await world.value("select count(*) from audit_entry where action = 'card_key.revealed'") == 4


async def test_a_key_that_is_not_of_this_order_is_not_there(world: World) -> None:
    sku = await _stocked(world)
    mine, theirs = await world.bought(sku.listing.id), await world.bought(sku.listing.id, contact="other@example.com")
    path = await _path(world, mine)
    buyer = Buyer(world.client())
    line = await world.value("select id from order_line where order_id = $1", theirs.id)
    own = await world.value("select id from order_line where order_id = $1", mine.id)
    for address in (f"{line}/1", f"{own}/2", f"{own}/0", f"{own}/-1", f"{own}/x", "x/1"):
        assert (await buyer.post(path, f"{path}/reveals/{address}")).status_code == 404, address
    assert await world.value("select count(*) from audit_entry where action = 'card_key.revealed'") == 0


async def test_an_unpaid_orders_keys_are_not_there(world: World) -> None:
    sku = await _stocked(world)
    order = await world.order(sku.listing.id)
    path = await _path(world, order)
    line = await world.value("select id from order_line")
    assert (await Buyer(world.client()).post(path, f"{path}/reveals/{line}/1")).status_code == 404


@pytest.mark.case("H08")
async def test_a_strangers_number_and_a_forged_signature_get_one_answer(world: World) -> None:
    sku = await _stocked(world)
    mine, theirs = await world.order(sku.listing.id), await world.order(sku.listing.id, contact="b@example.com")
    right, other = (await _path(world, mine)).split("/")[-1], (await _path(world, theirs)).split("/")[-1]
    buyer = Buyer(world.client())
    tried = [
        f"/orders/{mine.order_no}/{other}",
        f"/orders/{mine.order_no}/{right[:-1]}",
        f"/orders/{mine.order_no}/{right.swapcase()}",
        f"/orders/{mine.order_no}/é",
        f"/orders/N991231-ABCDEFG/{right}",
        f"/orders/N261121-0000000/{right}",
        f"/orders/{mine.order_no}%00/{right}",
        f"/orders/' or 1=1/{right}",
    ]
    answers = [await buyer.get(path) for path in tried]
    assert {answer.status_code for answer in answers} == {404}
    assert len({re.sub(r'mono">\w+|href="[^"]*lang=[^"]*"|content="[0-9a-f]{64}"', "", answer.text) for answer in answers}) == 1
    for verb in ("payment", "question", "cancellation", "reveals"):
        assert (await buyer.post("/", f"{tried[0]}/{verb}")).status_code == 404


@pytest.mark.case("H08")
async def test_guessing_is_counted_and_stopped(world: World) -> None:
    sku = await _stocked(world)
    order = await world.order(sku.listing.id)
    buyer = Buyer(world.client())
    statuses = [(await buyer.get(f"/orders/{order.order_no}/{'A' * 22}")).status_code for _ in range(32)]
    assert statuses == [404] * 30 + [429] * 2
    assert (await buyer.get(await _path(world, order))).status_code == 200, "who has the address is not stopped"


@pytest.mark.case("H08", "G02")
async def test_another_tenants_signature_is_worth_nothing(world: World) -> None:
    sku = await _stocked(world)
    path = await _path(world, await world.order(sku.listing.id))
    from app.settings import settings

    other = await world.new_tenant("Other", with_gateway=False)
    assert (await Buyer(world.client(f"{other.slug}.{settings().shops_host}")).get(path)).status_code == 404


async def test_cancelling_asks_first_frees_the_stock_and_can_be_repeated(world: World) -> None:
    sku = await _stocked(world, 1)
    path = await _path(world, await world.order(sku.listing.id))
    buyer = Buyer(world.client())
    asked = await buyer.get(f"{path}/cancellation")
    assert "Nothing is charged" in asked.text
    assert (await buyer.get(f"{path}/cancellation", headers=PARTIAL)).text.lstrip().startswith("<h2")
    for _ in range(2):
        assert (await buyer.post(path, f"{path}/cancellation")).status_code == 303
    assert "Order cancelled" in (await buyer.get(path)).text
    assert await world.value("select available from stock") == 1


async def test_what_is_paid_is_not_cancelled(world: World) -> None:
    sku = await _stocked(world)
    path = await _path(world, await world.bought(sku.listing.id))
    answer = await Buyer(world.client()).post(path, f"{path}/cancellation")
    assert answer.status_code == 409
    assert "can no longer be cancelled" in words(answer.text)


async def test_pay_pressed_once_more_after_paying_leads_to_the_order(world: World) -> None:
    sku = await _stocked(world)
    path = await _path(world, await world.bought(sku.listing.id))
    answer = await Buyer(world.client()).post(path, f"{path}/payment")
    assert (answer.status_code, answer.headers["location"]) == (303, path)


async def test_time_over_is_said_at_its_minute_before_any_sweep(world: World) -> None:
    sku = await _stocked(world)
    path = await _path(world, await world.order(sku.listing.id))
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update shop_order set expires_at = now() - interval '1 second'")
    buyer = Buyer(world.client())
    assert "The time to pay is over" in (await buyer.get(path)).text
    answer = await buyer.post(path, f"{path}/payment")
    assert answer.headers["location"] == path
    assert await world.value("select count(*) from payment") == 0


async def _expire(world: World) -> None:
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update shop_order set expires_at = now() - interval '1 minute'")
        assert await ordering.expire_unpaid(tx) == 1


@pytest.mark.case("C07")
async def test_paid_too_late_is_delivered_while_there_is_stock(world: World) -> None:
    sku = await _stocked(world, 1)
    order = await world.order(sku.listing.id)
    world.gateway.script({"drop": True}, on="notice")
    payment_no = await world.pay(order)
    await _expire(world)
    path = await _path(world, order)
    buyer = Buyer(world.client())
    assert "The time to pay is over" in (await buyer.get(path)).text
    assert (await buyer.post(path, f"{path}/question")).status_code == 303, "I have paid"
    await world.work()
    assert "Your key is here" in (await buyer.get(path)).text
    book = world.gateway.book(payment_no)
    assert (len(book["captures"]), len(book["refunds"])) == (1, 0)


@pytest.mark.case("C07")
async def test_paid_too_late_and_sold_out_is_given_back_once_and_the_page_says_so(world: World) -> None:
    sku = await _stocked(world, 1)
    order = await world.order(sku.listing.id)
    world.gateway.script({"drop": True}, on="notice")
    payment_no = await world.pay(order)
    await _expire(world)
    await world.bought(sku.listing.id, contact="faster@example.com")
    await world.ask_gateway(order)
    path = await _path(world, order)
    buyer = Buyer(world.client())
    waiting = words((await buyer.get(path)).text)
    assert "Not delivered; your money goes back" in waiting
    assert "¥19.90 goes back the way you paid" in waiting
    assert "every 1s" in (await buyer.get(path)).text
    await world.work()
    done = words((await buyer.get(path)).text)
    assert "¥19.90 was given back in full" in done
    assert "usually minutes" in done
    book = world.gateway.book(payment_no)
    assert [refund["amount_minor"] for refund in book["refunds"]] == [1990]


@pytest.mark.case("C08")
async def test_paid_twice_is_one_refund_at_the_gateway(world: World) -> None:
    sku = await _stocked(world)
    order = await world.order(sku.listing.id)
    world.gateway.script({"drop": True}, on="notice")
    first = await world.pay(order)
    async with tenant_tx(world.tenant) as tx:  # the buyer opened a second payment before the first was known
        await tx.execute("update payment set state = 'closed'")
    second = await world.pay(order)
    for payment_id in [row["id"] for row in await world.rows("select id from payment")]:
        async with tenant_tx(world.tenant) as tx:
            await tx.execute("update payment set state = 'open' where id = $1 and state <> 'succeeded'", payment_id)
        from app.payments import service as payments

        await payments.ask(world.tenant, payment_id)
        await payments.ask(world.tenant, payment_id)
    await world.work()
    text = words((await Buyer(world.client()).get(await _path(world, order))).text)
    assert "Your key is here" in text
    assert "Paid twice, so ¥19.90 goes back" in text
    refunds = [refund for number in (first, second) for refund in world.gateway.book(number)["refunds"]]
    assert [refund["amount_minor"] for refund in refunds] == [1990]
    assert await world.value("select count(*) from delivery_unit where state = 'delivered'") == 1


async def test_partly_delivered_shows_the_keys_and_the_money(world: World) -> None:
    sku = await _stocked(world, 2)
    order = await world.order(sku.listing.id, 2)
    world.gateway.script({"drop": True}, on="notice")
    await world.pay(order)
    await world.ask_gateway(order)
    async with tenant_tx(world.tenant) as tx:  # one key was voided behind the counter's back, as a quarantine does
        await tx.execute("update card_key set state = 'quarantined' where id = (select id from card_key limit 1)")
        await tx.execute("update stock set quarantined = quarantined + 1, short = short + 1")
    await world.work()
    page = await Buyer(world.client()).get(await _path(world, order))
    text = words(page.text)
    assert "1 of 2 could be delivered" in text
    assert "¥19.90 for the rest goes back" in text
    assert "/reveals/" in page.text


async def test_refunded_by_the_merchant_before_it_was_seen(world: World) -> None:
    sku = await _stocked(world)
    order = await world.bought(sku.listing.id)
    async with tenant_tx(world.tenant) as tx:
        await refunding.refund_by_merchant(tx, order.id, reason="asked for it", actor=STAFF)
    path = await _path(world, order)
    buyer = Buyer(world.client())
    assert "your money goes back" in words((await buyer.get(path)).text)
    await world.work()
    page = await buyer.get(path)
    assert "Your money is on its way back" in words(page.text)
    assert "asked for it" not in page.text
    assert "/reveals/" not in page.text


async def test_keys_that_go_back_while_all_are_asked_for_are_left_out(world: World) -> None:
    """The refund is under way when the buyer asks: he gets what is still his, here nothing, and never "no such page"."""
    sku = await _stocked(world)
    order = await world.bought(sku.listing.id, 2)
    path, buyer = await _path(world, order), Buyer(world.client())
    async with tenant_tx(world.tenant) as tx:
        await refunding.refund_by_merchant(tx, order.id, reason="asked for it", actor=STAFF)
        asked = asyncio.create_task(buyer.post(path, f"{path}/reveals", headers={"accept": "text/plain"}))
        await world.until("select true from pg_locks where not granted limit 1")
    answer = await asked
    assert (answer.status_code, answer.text) == (200, "")
    assert await world.value("select count(*) from audit_entry where action = 'card_key.revealed'") == 0


async def test_an_unknown_refund_is_asked_about_and_never_called_done(world: World) -> None:
    sku = await _stocked(world)
    order = await world.bought(sku.listing.id)
    async with tenant_tx(world.tenant) as tx:
        await refunding.refund_by_merchant(tx, order.id, reason="x", actor=STAFF)
    world.gateway.script({"drop": True}, on="notice")
    world.gateway.script({"drop": True}, on="refund", times=1)
    world.gateway.script({"drop": True}, on="query_refund", times=20)
    await world.work()
    text = words((await Buyer(world.client()).get(await _path(world, order))).text)
    assert "has not confirmed it yet" in text
    assert "was given back" not in text


async def test_a_shop_that_cannot_take_payments_says_so(world: World) -> None:
    other = await world.new_tenant("Other", with_gateway=False)
    product = await world.product(tenant=other)
    await world.stock(product.skus[0].id, 1, tenant=other)
    order = await world.order(product.skus[0].listing.id, tenant=other)
    path = await path_of(other, order)
    from app.settings import settings

    buyer = Buyer(world.client(f"{other.slug}.{settings().shops_host}"))
    answer = await buyer.post(path, f"{path}/payment")
    assert answer.status_code == 409
    assert "cannot take payments yet" in words(answer.text)


async def test_a_silent_gateway_costs_nothing_and_can_be_tried_again(world: World) -> None:
    sku = await _stocked(world)
    path = await _path(world, await world.order(sku.listing.id))
    buyer = Buyer(world.client())
    world.gateway.script({"drop": True}, on="create", times=1)
    refused = await buyer.post(path, f"{path}/payment", headers=PARTIAL)
    assert refused.status_code == 503
    assert refused.headers["hx-retarget"] == "#flash"
    world.gateway.clear_script()
    assert (await buyer.post(path, f"{path}/payment")).status_code == 303
    assert await world.value("select count(*) from payment") == 1


@pytest.mark.case("C11")
async def test_questions_are_bounded(world: World) -> None:
    sku = await _stocked(world)
    path = await _path(world, await world.order(sku.listing.id))
    buyer = Buyer(world.client())
    statuses = [(await buyer.post(path, f"{path}/question")).status_code for _ in range(7)]
    assert statuses == [303] * 6 + [429]


async def test_an_order_is_read_in_the_language_asked_for(world: World) -> None:
    sku = await _stocked(world)
    path = await _path(world, await world.bought(sku.listing.id))
    page = await Buyer(world.client()).get(path, headers={"accept-language": "zh-CN"})
    assert "卡密已发出" in page.text


async def test_two_presses_reveal_at_the_same_instant(world: World) -> None:
    sku = await _stocked(world)
    path = await _path(world, await world.bought(sku.listing.id))
    buyer = Buyer(world.client())
    address = _reveal_address((await buyer.get(path)).text)
    answers = await asyncio.gather(*(buyer.post(path, address) for _ in range(4)))
    assert {answer.status_code for answer in answers} <= {200, 201}
    async with tenant_tx(world.tenant) as tx:
        assert await audit.first_broken(tx) is None
