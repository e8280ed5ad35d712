"""One order's page: what it shows, what may be done in which state, and that pressing twice is one effect."""

import asyncio
import json
import re
from dataclasses import replace
from html import unescape

import pytest

from app.access.models import MemberRole
from app.kernel import audit
from app.ordering import actions
from app.ordering.actions import Action, Standing
from app.ordering.models import SERVED, OrderState
from tenants.session import tenant_tx
from tests.staff import Desk, desk, words_of
from tests.world import World

pytestmark = [pytest.mark.anyio]
KEYS = ["QWER-TYUI-OPAS-7M2P", "QWER-TYUI-OPAS-R4XD", "QWER-TYUI-OPAS-AA11", "QWER-TYUI-OPAS-BB22"]


async def bought(world: World, units: int = 2) -> str:
    product = await world.product()
    await world.stock(product.skus[0].id, KEYS)
    return (await world.bought(product.skus[0].listing.id, units)).order_no


async def unit_of(world: World) -> dict[str, str]:
    row = (await world.rows("select order_line_id, unit_no from delivery_unit order by unit_no limit 1"))[0]
    return {"line": str(row["order_line_id"]), "unit": str(row["unit_no"])}


async def refund_form(staff: Desk, order_no: str) -> dict[str, str]:
    html = (await staff.get(f"/orders/{order_no}/refunds")).text
    stated = re.search(r'name="stated_minor" value="(\d+)"', html)
    assert stated is not None, words_of(html)
    return {"stated_minor": stated[1], "reason": "bought by mistake"}


async def test_it_shows_money_units_payments_and_what_happened(world: World) -> None:
    order_no = await bought(world)
    page = await (await desk(world)).get(f"/orders/{order_no}")
    assert page.status_code == 200
    text = words_of(page.text)
    for expected in (
        "¥39.80",
        "−¥29.40",
        "¥10.40",
        "138****2046",
        "2 of 2 delivered",
        "Money captured by the gateway",
        "Order placed",
        "Sales",
    ):
        assert expected in text, expected
    payment = (await world.rows("select payment_no from payment"))[0]["payment_no"]
    txn = (await world.rows("select gateway_txn from capture"))[0]["gateway_txn"]
    assert payment in text
    assert txn in text
    assert "hx-trigger" not in page.text, "a finished order asks for nothing"


async def test_no_key_and_no_whole_contact_is_in_the_page(world: World) -> None:
    order_no = await bought(world)
    page = await (await desk(world)).get(f"/orders/{order_no}")
    assert page.headers["cache-control"] == "no-store"
    assert not any(key in page.text for key in KEYS)
    assert "13800132046" not in page.text
    assert any(f"****{key[-4:]}" in page.text for key in KEYS)


async def test_amounts_click_through_to_transfers_that_explain_them(world: World) -> None:
    order_no = await bought(world)
    html = (await (await desk(world)).get(f"/orders/{order_no}")).text
    assert 'href="#transfers"' in html
    rows = re.findall(
        r"¥19\.90|¥39\.80", html[html.index('id="transfers"') : html.index("</table>", html.index('id="transfers"'))]
    )
    assert rows.count("¥19.90") == 2, "two units sold"
    assert rows.count("¥39.80") == 1, "one capture"


async def test_another_merchants_number_looks_like_one_that_never_was(world: World) -> None:
    order_no = await bought(world)
    stranger = await desk(world, tenant=await world.new_tenant())
    answers = [
        await stranger.get(f"/orders/{number}") for number in (order_no, "N261121-ZZZZZZ0", "x", "%27or1=1", "N261121-\u0660")
    ]
    texts = {re.sub(r"[0-9a-f]{12}", "", re.sub(r"/m/[^\"? ]+", "", answer.text)) for answer in answers}
    assert {answer.status_code for answer in answers} == {404}
    assert len({re.sub(r'content="[0-9a-f]{40,}"|value="[0-9a-f]{40,}"', "", text) for text in texts}) == 1
    for path in ("notes", "refunds", "reveals", "cancellation", "redelivery", "messages", "questions"):
        assert (await stranger.post(f"/orders/{order_no}/{path}", {"reason": "x", "note": "x"})).status_code == 404
        assert (
            await stranger.client.post(
                f"/m/{world.tenant.slug}/orders/{order_no}/{path}", headers={"x-csrf-token": stranger.token}
            )
        ).status_code == 404


async def test_read_only_staff_see_no_action_and_may_do_none(world: World) -> None:
    order_no = await bought(world)
    reader = await desk(world, MemberRole.READ_ONLY)
    page = await reader.get(f"/orders/{order_no}")
    assert page.status_code == 200
    for word in ("What you can do", "/refunds", "/reveals", "/notes", "Refund ¥"):
        assert word not in page.text
    for path in ("notes", "refunds", "reveals", "cancellation", "redelivery", "messages", "questions"):
        assert (
            await reader.post(f"/orders/{order_no}/{path}", {"reason": "x", "note": "x", **await unit_of(world)})
        ).status_code == 403
    for path in ("refunds", "reveals"):
        assert (await reader.get(f"/orders/{order_no}/{path}")).status_code == 403
    assert await world.value("select count(*) from refund") == 0


@pytest.mark.parametrize(
    ("role", "sees"), [(MemberRole.SUPPORT, {"reveal", "note"}), (MemberRole.FINANCE_MAKER, {"refund", "note"})]
)
async def test_each_role_is_shown_what_it_may_do(world: World, role: MemberRole, sees: set[str]) -> None:
    order_no = await bought(world)
    html = (await (await desk(world, role)).get(f"/orders/{order_no}")).text
    assert {name for name, word in {"reveal": "/reveals", "refund": "/refunds", "note": "/notes"}.items() if word in html} == sees


async def test_a_form_without_the_token_changes_nothing(world: World) -> None:
    order_no = await bought(world)
    staff = await desk(world)
    for headers in ({}, {"x-csrf-token": "0" * 64}, {"x-csrf-token": staff.token, "origin": "https://evil.example"}):
        answer = await staff.client.post(f"{staff.home}/orders/{order_no}/notes", data={"note": "hello"}, headers=headers)
        assert answer.status_code == 403
    assert await world.value("select count(*) from history where event = 'order.noted'") == 0


async def test_a_note_is_in_the_timeline_under_its_writers_name(world: World) -> None:
    order_no = await bought(world)
    staff = await desk(world, MemberRole.SUPPORT)
    text = words_of(await staff.look(await staff.post(f"/orders/{order_no}/notes", {"note": "Called <b>twice</b> 100% %(x)s"})))
    assert "Called &lt;b&gt;twice&lt;/b&gt; 100% %(x)s" in text
    assert staff.name in text
    empty = await staff.post(f"/orders/{order_no}/notes", {"note": "  "})
    assert empty.status_code == 422
    assert 'aria-invalid="true"' in empty.text
    long = await staff.post(f"/orders/{order_no}/notes", {"note": "x" * 1001})
    assert long.status_code == 422
    assert "x" * 1001 in long.text, "what was typed is kept"


async def test_a_refund_states_its_amount_route_and_effect_before_it_is_made(world: World) -> None:
    order_no = await bought(world)
    staff = await desk(world)
    for answer in (await staff.get(f"/orders/{order_no}/refunds"), await staff.get(f"/orders/{order_no}/refunds", partial=True)):
        text = words_of(answer.text)
        assert "Give ¥39.80 back to 138****2046?" in text
        assert "through Sandbox" in text
        assert "2 units are taken back" in text
        assert "Refund ¥39.80" in text
    assert "<html" not in (await staff.get(f"/orders/{order_no}/refunds", partial=True)).text
    assert await world.value("select count(*) from refund") == 0


async def test_a_refund_gives_the_money_back_once(world: World) -> None:
    order_no = await bought(world)
    staff = await desk(world)
    form = await refund_form(staff, order_no)
    answers = await asyncio.gather(*(staff.post(f"/orders/{order_no}/refunds", form) for _ in range(10)))
    assert {answer.status_code for answer in answers} == {303}
    await world.work()
    payment_no = await world.value("select payment_no from payment")
    book = world.gateway.book(payment_no)
    assert [refund["amount_minor"] for refund in book["refunds"]] == [3980]
    assert await world.value("select count(*) from refund") == 1
    text = words_of((await staff.get(f"/orders/{order_no}")).text)
    assert "Everything given back" in text
    assert "Everything of this order was given back already." in text
    again = await staff.post(f"/orders/{order_no}/refunds", form)
    assert "nothing was added" in words_of(await staff.look(again))
    await world.work()
    assert len(world.gateway.book(payment_no)["refunds"]) == 1


async def test_refunds_without_the_orders_lock_would_be_several(world: World) -> None:
    """The red control: the same decision, read first and written later without a lock, is taken more than once."""
    order_no = await bought(world)
    order_id = await world.value("select id from shop_order where order_no = $1", order_no)
    gate = asyncio.Barrier(5)

    async def naive() -> int:
        async with tenant_tx(world.tenant) as tx:
            state = await tx.fetchval("select state from shop_order where id = $1", order_id)
            await gate.wait()
            return int(state == OrderState.DELIVERED)

    assert sum(await asyncio.gather(*(naive() for _ in range(5)))) == 5


async def test_a_refund_of_another_amount_than_the_page_stated_is_not_made(world: World) -> None:
    order_no = await bought(world)
    staff = await desk(world)
    form = await refund_form(staff, order_no)
    world.may_break.add("INV-13b")  # seen without its entry: only by hand
    await world.value("update delivery_unit set revealed_at = now() where unit_no = 1 returning 1")
    world.may_break.add("INV-13b")  # read, for this test, without its audit entry
    refused = await staff.post(f"/orders/{order_no}/refunds", form)
    assert refused.status_code == 409
    assert "Meanwhile ¥19.90 can be refunded" in words_of(refused.text)
    for wrong in (
        {"stated_minor": "-1", "reason": "x"},
        {"stated_minor": "１", "reason": "x"},
        {"reason": ""},
        {"stated_minor": "1.5", "reason": " "},
    ):
        assert (await staff.post(f"/orders/{order_no}/refunds", wrong)).status_code == 422
    assert await world.value("select count(*) from history where event = 'refund.asked_by_merchant'") == 0


async def test_an_unknown_refund_is_asked_about_and_never_sent_again(world: World) -> None:
    order_no = await bought(world)
    staff = await desk(world)
    payment_no = await world.value("select payment_no from payment")
    world.gateway.script({"drop": True}, on="refund", out_no=payment_no, times=1)
    await staff.post(f"/orders/{order_no}/refunds", await refund_form(staff, order_no))
    await world.work()
    state = await world.value("select state from refund")
    html = (await staff.get(f"/orders/{order_no}")).text
    if state == "unknown":
        assert "has not said whether the refund" in html
        assert 'aria-disabled="true" aria-describedby="why-refund"' in html
        refused = await staff.post(f"/orders/{order_no}/refunds", {"stated_minor": "3980", "reason": "again"})
        assert refused.status_code == 303
    await staff.post(f"/orders/{order_no}/questions")
    await world.work()
    assert await world.value("select state from refund") == "succeeded"
    assert len(world.gateway.book(payment_no)["refunds"]) == 1


async def test_an_unpaid_order_is_cancelled_once_and_its_stock_is_free(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 2)
    order = await world.order(product.skus[0].listing.id)
    staff = await desk(world)
    page = (await staff.get(f"/orders/{order.order_no}")).text
    assert 'hx-trigger="every 3s"' in page
    assert "Nothing was paid, so there is nothing to give back." in words_of(page)
    answers = await asyncio.gather(*(staff.post(f"/orders/{order.order_no}/cancellation") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {303}
    assert await world.value("select available from stock") == 2
    assert await world.value("select count(*) from history where event = 'order.cancelled'") == 1
    assert (await staff.post(f"/orders/{await bought(world)}/cancellation")).status_code == 409


async def test_the_gateway_is_asked_and_the_page_learns_of_it_without_reload(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 2)
    order = await world.order(product.skus[0].listing.id)
    world.gateway.script({"drop": True}, on="notice")
    await world.pay(order)
    staff = await desk(world)
    shown = (await staff.get(f"/orders/{order.order_no}")).text
    asked_next = unescape(re.search(r'hx-get="(?:/m/[^/"]+)?([^"]+/timeline\?seen=[^"]*)"', shown)[1])
    before = await staff.get(asked_next, partial=True)
    assert "<html" not in before.text
    assert "hx-swap-oob" not in before.text, "nothing has changed yet"
    assert (await staff.post(f"/orders/{order.order_no}/questions")).status_code == 303
    await world.work()
    after = await staff.get(asked_next, partial=True)
    assert "Money captured by the gateway" in after.text
    assert 'id="order-actions" hx-swap-oob="true"' in after.text
    assert "hx-trigger" not in after.text
    assert "<html" in (await staff.get(f"/orders/{order.order_no}/timeline")).text


@pytest.mark.case("A14")
async def test_delivery_asked_for_again_gives_the_same_key(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    order = await world.order(product.skus[0].listing.id)
    await world.pay(order)
    await world.ask_gateway(order)
    staff = await desk(world)
    await asyncio.gather(*(staff.post(f"/orders/{order.order_no}/redelivery") for _ in range(5)))
    await world.work()
    keys = await world.rows("select card_key_id from delivery_unit where order_id = $1", order.id)
    await world.work()
    assert (await staff.post(f"/orders/{order.order_no}/redelivery")).status_code == 409
    await world.work()
    assert await world.rows("select card_key_id from delivery_unit where order_id = $1", order.id) == keys
    assert await world.value("select count(*) from card_key where state = 'delivered'") == 1


@pytest.mark.case("A14")
async def test_the_delivery_message_goes_again_and_not_without_end(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, KEYS)
    order_no = (await world.bought(product.skus[0].listing.id, contact="resend@mail.example")).order_no
    staff = await desk(world)
    answers = [(await staff.post(f"/orders/{order_no}/messages")).status_code for _ in range(4)]
    assert answers == [303, 303, 303, 429]
    await world.work()
    mails = world.outbox.wait_for("resend@mail.example", count=4)
    assert len(mails) == 4
    assert not any(key in json.dumps(mail) for mail in mails for key in KEYS)


async def test_a_key_is_shown_for_a_reason_and_written_down(world: World) -> None:
    order_no = await bought(world, 1)
    staff = await desk(world, MemberRole.SUPPORT)
    unit = await unit_of(world)
    assert "hides again after 30 seconds" in (await staff.get(f"/orders/{order_no}/reveals", partial=True, **unit)).text
    for partial in (False, True):
        refused = await staff.post(f"/orders/{order_no}/reveals", {**unit, "reason": " "}, partial=partial)
        assert refused.status_code == 422
        assert not any(key in refused.text for key in KEYS)
    shown = await staff.post(f"/orders/{order_no}/reveals", {**unit, "reason": "reads it out on the phone"}, partial=True)
    assert sum(key in shown.text for key in KEYS) == 1
    assert 'data-secret="30"' in shown.text
    assert shown.headers["cache-control"] == "no-store"
    whole = await staff.post(f"/orders/{order_no}/reveals", {**unit, "reason": "again"})
    assert "<html" in whole.text
    assert sum(key in whole.text for key in KEYS) == 1
    async with tenant_tx(world.tenant) as tx:
        entries = await audit.search(tx, action="card_key.revealed")
    assert [entry["reason"] for entry in entries] == ["again", "reads it out on the phone"]
    assert {entry["actor_name"] for entry in entries} == {staff.name}
    assert not any(key in json.dumps([dict(e) for e in entries], default=str) for key in KEYS)
    assert await world.value("select revealed_at from delivery_unit") is None, "the buyer has not read it"


@pytest.mark.parametrize(
    "unit", [{"line": "x", "unit": "1"}, {"line": "", "unit": ""}, {"unit": "99"}, {"unit": "-1"}, {"unit": "\x001"}]
)
async def test_a_unit_that_is_not_there_is_not_shown(world: World, unit: dict[str, str]) -> None:
    order_no = await bought(world, 1)
    staff = await desk(world)
    wanted = {**await unit_of(world), **unit, "reason": "why"}
    assert (await staff.post(f"/orders/{order_no}/reveals", wanted)).status_code in (400, 404)
    assert (await staff.get(f"/orders/{order_no}/reveals", line=wanted["line"], unit=wanted["unit"])).status_code == 404
    assert await world.value("select count(*) from audit_entry where action = 'card_key.revealed'") == 0


@pytest.mark.parametrize("state", list(OrderState))
def test_every_action_is_allowed_or_says_why_not(state: OrderState) -> None:
    for refunds in (frozenset[str](), frozenset({"unknown"}), frozenset({"declined"}), frozenset({"succeeded"})):
        for refundable in (0, 1990):
            order = Standing(state, refundable, has_open_payment=False, refund_states=refunds)
            reasons = {action: actions.refused(action, order) for action in Action}
            assert all(reason == "" or reason.endswith(".") for reason in reasons.values())
            assert (not reasons[Action.CANCEL]) == (state is OrderState.AWAITING_PAYMENT)
            assert (not reasons[Action.REFUND]) == (state in {OrderState.PAID, *SERVED} and refundable > 0)
            assert actions.refused(Action.REFUND, replace(order, is_being_bought=True))
