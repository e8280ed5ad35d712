"""What a person decides about money: a declined refund sent again, money of a wrong amount given back, an order let go while its payment is open."""

import asyncio
from datetime import UTC, datetime

import pytest

from app.access.models import MemberRole
from app.kernel import ids
from app.ordering import service as ordering
from app.ordering.placing import Placed
from app.payments import capturing, refunding
from app.payments import service as payments
from app.payments.gateways.port import Captured
from app.payments.service import StillOpening
from tenants.session import tenant_tx
from tests.app.payments.test_capturing import notice_for, unpaid
from tests.app.staff import staff
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
NOTE = {"note": "The account was topped up"}


async def declined(world: World) -> tuple[Placed, str]:
    """A delivered order whose refund the gateway declined; the order and its payment's number."""
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    placed = await world.bought(product.skus[0].listing.id)
    async with tenant_tx(world.tenant) as tx:
        await refunding.refund_by_merchant(tx, placed.id, reason="asked for", actor=STAFF)
    payment_no: str = await world.value("select payment_no from payment")
    world.gateway.script({"decline": "the account is empty"}, on="refund", times=1)
    await world.work()
    return placed, payment_no


async def test_a_declined_refund_waits_as_a_case_and_finance_sends_it_again_under_its_number(world: World) -> None:
    placed, payment_no = await declined(world)
    before = (await world.rows("select refund_no, state from refund"))[0]
    assert before["state"] == "declined"
    case = (await world.rows("select id, kind, state, facts ->> 'reason' as reason from staff_case"))[0]
    assert (case["kind"], case["state"], case["reason"]) == ("refund_declined", "open", "the account is empty")
    finance = await staff(world, MemberRole.FINANCE_MAKER)
    for _ in range(2):  # pressed twice, it is one refund
        assert (await finance.post(f"/cases/{case['id']}/refund", NOTE)).status_code == 303
    await world.work()
    assert await world.rows("select refund_no, state from refund") == [{"refund_no": before["refund_no"], "state": "succeeded"}]
    assert [(r["refund_no"], r["amount_minor"]) for r in world.gateway.book(payment_no)["refunds"]] == [
        (before["refund_no"], 1990)
    ]
    assert await world.value("select state from shop_order where id = $1", placed.id) == "refunded"
    assert await world.value("select count(*) from staff_case where state = 'open'") == 0


async def test_a_refund_sent_again_and_declined_again_is_another_case(world: World) -> None:
    await declined(world)
    finance = await staff(world, MemberRole.FINANCE_MAKER)
    case_id = await world.value("select id from staff_case")
    world.gateway.script({"decline": "still empty"}, on="refund", times=1)
    await finance.post(f"/cases/{case_id}/refund", NOTE)
    await world.work()
    assert await world.rows("select state from staff_case order by created_at") == [{"state": "closed"}, {"state": "open"}]


@pytest.mark.case("C12")
async def test_a_gateway_that_took_another_amount_leaves_it_on_suspense_and_a_case_open(world: World) -> None:
    placed = await unpaid(world)
    await payments.open_payment(world.tenant, placed.id)
    payment = (await world.rows("select id, payment_no, gateway_ref from payment"))[0]
    said = Captured("txn_wrong", payment["gateway_ref"], 1000, "CNY", datetime.now(UTC))
    for _ in range(3):  # one word may be a slip; said twice it is believed, and never booked twice
        async with tenant_tx(world.tenant) as tx:
            assert not await capturing.take_answer(tx, payment["id"], said)
    assert await world.rows("select purpose, amount_minor from capture") == [{"purpose": "surplus", "amount_minor": 1000}]
    assert await world.value("select credits_minor - debits_minor from ledger_account where name = 'suspense'") == 1000
    assert await world.value("select state from shop_order where id = $1", placed.id) == "awaiting_payment"
    assert await world.value("select state from payment") == "closed"
    kinds = await world.rows("select kind from staff_case where state = 'open' order by kind")
    assert kinds == [{"kind": "mismatch"}, {"kind": "wrong_amount"}]


@pytest.mark.case("C12")
async def test_money_of_a_wrong_amount_is_given_back_once_when_somebody_says_so(world: World) -> None:
    placed = await unpaid(world)
    await payments.open_payment(world.tenant, placed.id)
    payment = (await world.rows("select id, payment_no, gateway_ref from payment"))[0]
    await asyncio.to_thread(world.gateway.script, {"drop": True}, on="notice")
    await asyncio.to_thread(world.gateway.pay, payment["payment_no"])
    txn = world.gateway.book(payment["payment_no"])["captures"][0]["gateway_txn"]
    said = Captured(txn, payment["gateway_ref"], 1000, "CNY", datetime.now(UTC))
    for _ in range(2):
        async with tenant_tx(world.tenant) as tx:
            await capturing.take_answer(tx, payment["id"], said)
    finance = await staff(world, MemberRole.FINANCE_MAKER)
    case_id = await world.value("select id from staff_case where kind = 'wrong_amount'")
    for _ in range(2):
        assert (await finance.post(f"/cases/{case_id}/refund", NOTE)).status_code == 303
    await world.work()
    assert await world.rows("select reason, state, amount_minor from refund") == [
        {"reason": "wrong_amount", "state": "succeeded", "amount_minor": 1000}
    ]
    assert [refund["amount_minor"] for refund in world.gateway.book(payment["payment_no"])["refunds"]] == [1000]
    assert await world.value("select credits_minor - debits_minor from ledger_account where name = 'suspense'") == 0


@pytest.mark.case("C12", "C04")
async def test_one_false_word_books_nothing_and_the_true_one_still_pays(world: World) -> None:
    placed = await unpaid(world)
    await payments.open_payment(world.tenant, placed.id)
    payment_no = await world.value("select payment_no from payment")
    world.gateway.script({"drop": True}, on="notice")
    world.gateway.script({"misstate": "amount"}, on="query", times=1)
    await asyncio.to_thread(world.gateway.pay, payment_no)
    await world.ask_gateway(placed)
    assert await world.value("select count(*) from capture") == 0
    assert await world.value("select count(*) from staff_case where kind = 'mismatch'") == 1
    assert await world.value("select count(*) from task where kind = 'payments.ask' and state = 'waiting'") == 1
    await world.ask_gateway(placed)
    assert await world.value("select state from shop_order where id = $1", placed.id) == "paid"


async def test_an_order_let_go_closes_its_payment_at_the_gateway(world: World) -> None:
    placed = await unpaid(world)
    await payments.open_payment(world.tenant, placed.id)
    payment_no = await world.value("select payment_no from payment")
    async with tenant_tx(world.tenant) as tx:
        await ordering.cancel(tx, placed.id, actor=STAFF)
    await world.work()
    assert world.gateway.book(payment_no)["payments"][0]["state"] == "closed"
    assert await world.value("select state from payment") == "closed"
    assert (await asyncio.to_thread(world.gateway.pay, payment_no)).status_code == 409


@pytest.mark.case("C07")
async def test_who_pays_while_his_order_is_let_go_is_a_late_payer(world: World) -> None:
    placed = await unpaid(world)
    await payments.open_payment(world.tenant, placed.id)
    payment_no = await world.value("select payment_no from payment")
    world.gateway.script({"drop": True}, on="notice")
    async with tenant_tx(world.tenant) as tx:
        await ordering.cancel(tx, placed.id, actor=STAFF)
    await asyncio.to_thread(world.gateway.pay, payment_no)
    await world.work()
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"
    assert await world.value("select count(*) from capture") == 1


async def test_a_gateway_that_is_silent_about_closing_is_asked_again(world: World) -> None:
    placed = await unpaid(world)
    await payments.open_payment(world.tenant, placed.id)
    async with tenant_tx(world.tenant) as tx:
        await ordering.cancel(tx, placed.id, actor=STAFF)
    world.gateway.script({"drop": True}, on="close", times=1)
    with pytest.raises(StillOpening):
        await payments.close(world.tenant, placed.id)
    await payments.close(world.tenant, placed.id)
    await payments.close(world.tenant, placed.id)
    assert await world.value("select state from payment") == "closed"


async def test_a_number_that_is_taken_is_drawn_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await unpaid(world)
    second = await unpaid(world)
    await payments.open_payment(world.tenant, first.id)
    taken = await world.value("select payment_no from payment")
    drawn = iter([taken, taken, ids.new_number("P")])
    monkeypatch.setattr(ids, "new_number", lambda letter: next(drawn))
    await payments.open_payment(world.tenant, second.id)
    assert await world.value("select count(distinct payment_no) from payment") == 2


async def test_numbers_that_are_all_taken_are_an_error_not_a_loop() -> None:
    async def taken(_number: str) -> int:
        return 0

    with pytest.raises(RuntimeError):
        await ids.drawn_number("P", taken)


@pytest.mark.case("C04")
async def test_a_misstated_notice_leaves_a_case(world: World) -> None:
    notice = await notice_for(world, await unpaid(world))
    for _ in range(3):
        assert await notice.send(world, amount_minor=1) == 422
    assert await world.rows("select kind, state, facts ->> 'said_minor' as said from staff_case") == [
        {"kind": "mismatch", "state": "open", "said": "1"}
    ]
