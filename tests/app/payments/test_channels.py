"""Two connections of one merchant, a notice that never comes, a return that proves nothing, a total of nothing, a storm of lies."""

import asyncio

import asyncpg
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.kernel import clock
from app.kernel.actor import SYSTEM
from app.kernel.ids import new_id
from app.kernel.vault import keyring
from app.ordering.rules import Offered, quote
from app.payments import connecting
from app.payments import service as payments
from app.payments.gateways.port import PaymentRequest
from app.payments.gateways.sandbox import open_account
from app.settings import settings
from tenants.session import tenant_tx
from tests.app.payments.test_capturing import Notice, notice_for, unpaid
from tests.app.staff import staff
from tests.attacks.merchant import fingerprint
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def another_account(world: World) -> tuple[object, dict[str, str]]:
    """A fresh connection in the place of the first; the old one keeps the payments it began."""
    config = dict(await open_account(world.gateway.url))
    async with tenant_tx(world.tenant) as tx:
        return await connecting.replace_sandbox(tx, config=config, actor=SYSTEM), config


@pytest.mark.case("C06")
async def test_a_payment_of_one_connection_is_not_completed_through_anothers_address(world: World) -> None:
    placed = await unpaid(world)
    notice = await notice_for(world, placed)
    other_id, other = await another_account(world)
    lying = Notice(world.tenant, other_id, other, {**notice.fields, "merchant_id": other["merchant_id"]})  # type: ignore[arg-type]
    assert await lying.send(world) == 422
    assert await lying.send(world, path=notice.path) == 401
    assert await notice.send(world, path=lying.path) == 401
    assert await world.value("select state from shop_order where id = $1", placed.id) == "awaiting_payment"
    assert await world.value("select count(*) from capture") == 0
    assert await notice.send(world) == 200


@pytest.mark.case("C08")
async def test_paid_through_two_connections_the_second_is_on_suspense_and_refunded_once(world: World) -> None:
    placed = await unpaid(world)
    world.gateway.script({"drop": True}, on="notice")
    first_no = await world.pay(placed)
    await world.value("update payment set state = 'closed' returning 1")  # asked about for two hours in vain, say
    await another_account(world)
    second_no = await world.pay(placed)
    await world.ask_gateway(placed)
    assert await world.value("select state from shop_order where id = $1", placed.id) == "paid"
    world.gateway.clear_script()
    assert await asyncio.to_thread(world.gateway.replay, first_no, times=3) == [[200] * 3]
    assert await world.value("select credits_minor - debits_minor from ledger_account where name = 'suspense'") == 1990
    await world.work()
    assert [refund["amount_minor"] for refund in world.gateway.book(first_no)["refunds"]] == [1990]
    assert world.gateway.book(second_no)["refunds"] == []
    assert await world.value("select credits_minor - debits_minor from ledger_account where name = 'suspense'") == 0
    assert await world.value("select count(*) from card_key where state = 'delivered'") == 1


@pytest.mark.case("C11")
async def test_a_silent_payment_is_asked_about_within_two_minutes_then_ever_less_often(world: World) -> None:
    placed = await unpaid(world)
    await payments.open_payment(world.tenant, placed.id)
    waits = []
    for _ in range(6):
        waits.append(await world.value("select round(extract(epoch from run_at - now())) from task where kind = 'payments.ask'"))
        await world.value("delete from task where kind = 'payments.ask' returning 1")  # its time has come: the worker asks
        await world.ask_gateway(placed)
    assert waits[0] <= 120
    assert waits == sorted(waits)
    assert waits[-1] > waits[0]


@pytest.mark.case("C10")
async def test_coming_back_from_the_gateway_proves_nothing(world: World) -> None:
    placed = await unpaid(world)
    notice = await notice_for(world, placed)
    shop, app = world.client(), world.client("app")
    async with tenant_tx(world.tenant) as tx:
        path = f"/orders/{placed.order_no}/{(await keyring(tx)).link_signature('order', placed.id)}"
    before = await fingerprint(world.tenant)
    claims = "?success=1&state=paid&out_no=" + notice.fields["out_no"]
    for tail in ("", "/status", "/cancellation"):
        assert (await shop.get(path + tail + claims)).status_code in (200, 204)
    assert (await app.get(notice.path + claims)).status_code == 405
    assert await fingerprint(world.tenant) == before
    assert await world.value("select state from shop_order where id = $1", placed.id) == "awaiting_payment"


@pytest.mark.case("C13")
@given(st.lists(st.tuples(st.integers(1, 10**7), st.integers(1, 100)), min_size=1, max_size=20))
def test_a_total_is_over_zero_and_the_sum_of_its_lines(lines: list[tuple[int, int]]) -> None:
    offers = [
        (Offered(new_id(), new_id(), new_id(), "Skylark", "Month", "card_key", price, "CNY", None, False), units)
        for price, units in lines
    ]
    assert quote(offers).total_minor == sum(price * units for price, units in lines) > 0


@pytest.mark.case("C13")
@pytest.mark.parametrize("price", ["0", "0.00", "-1", "-0.01", "0.001", "１", "1e3", ""])
async def test_no_price_of_nothing_is_taken(world: World, price: str) -> None:
    owner = await staff(world)
    form = {"name": "For free", "kind": "card_key", "sku-0-name": "Month", "sku-0-price": price}
    answer = await owner.post("/products/new", form)
    assert answer.status_code in (404, 405, 422) or (await owner.post("/products", form)).status_code == 422
    assert await world.value("select count(*) from product") == 0


@pytest.mark.case("C13")
async def test_no_order_payment_capture_or_refund_of_nothing_can_be_written(world: World) -> None:
    placed = await unpaid(world)
    await payments.open_payment(world.tenant, placed.id)
    for change in (
        "update listing set price_minor = 0 returning 1",
        "update listing set price_minor = -1 returning 1",
        "update shop_order set total_minor = 0 returning 1",
        "update payment set amount_minor = 0 returning 1",
    ):
        with pytest.raises(asyncpg.CheckViolationError):
            await world.value(change)
    notice = await notice_for(world, placed)
    for amount in (0, -1990):
        assert await notice.send(world, amount_minor=amount) == 401
    assert await world.value("select state from shop_order where id = $1", placed.id) == "awaiting_payment"
    with pytest.raises(AssertionError):
        PaymentRequest("P", 0, "CNY", "", "", "", clock.now())


@pytest.mark.case("C15")
async def test_a_storm_of_lies_writes_no_row_and_the_shop_stays_open(world: World) -> None:
    placed = await unpaid(world)
    notice = await notice_for(world, placed)
    before, shop = await fingerprint(world.tenant), world.client()
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=world.app), base_url=f"http://{settings().app_host}"
    ) as client:

        async def lie(number: int) -> int:
            match number % 4:
                case 0:
                    return await notice.send(world, secret="wrong", event_id=str(new_id()))
                case 1:
                    return (await client.post(f"/hooks/{world.tenant.slug}/{new_id()}", content=b"{}")).status_code
                case 2:
                    return (await client.post(f"/hooks/nobody-{number}/{new_id()}", content=b"{}")).status_code
                case _:
                    return (await client.post(notice.path, content=b"[" * 5000)).status_code

        statuses = await asyncio.gather(*(lie(number) for number in range(400)), *(shop_page(shop) for _ in range(20)))
    assert {401, 404} <= set(statuses[:400]) <= {401, 404, 503}, "refused, or put off while too many wait"
    assert set(statuses[400:]) == {200}
    assert await fingerprint(world.tenant) == before


async def shop_page(shop: httpx2.AsyncClient) -> int:
    return (await shop.get("/")).status_code
