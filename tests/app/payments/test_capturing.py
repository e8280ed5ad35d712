"""Money comes in once: repeated, misstated, misdirected and late notices, from a real gateway over real HTTP. Effects are counted at its book."""

import asyncio
import hashlib
import hmac
import json
import time
from typing import Any
from uuid import UUID

import asyncpg
import httpx2
import pytest

from app.kernel.ids import new_id
from app.kernel.vault import keyring
from app.ordering import service as ordering
from app.ordering.placing import Placed
from app.payments import capturing
from app.settings import settings
from tenants.directory import Tenant
from tenants.session import tenant_tx
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def paid_at_gateway(world: World, keys: int = 3) -> tuple[Placed, str]:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, keys)
    placed = await world.order(sku.listing.id)
    return placed, await world.pay(placed)


async def connection_of(tenant: Tenant) -> tuple[UUID, dict[str, str]]:
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow("select id, config from gateway_connection")
        assert row is not None
        config = (await keyring(tx)).open("gateway_connection", "config", row["id"], row["config"]).reveal()
    return row["id"], json.loads(config)


class Notice:
    """A payment notice as the gateway would sign it, to be sent anywhere and with anything changed before signing."""

    def __init__(self, tenant: Tenant, connection_id: UUID, config: dict[str, str], fields: dict[str, Any]) -> None:
        self.path = f"/hooks/{tenant.slug}/{connection_id}"
        self.secret = config["notice_secret"]
        self.fields = {"event_id": str(new_id()), "type": "payment.succeeded", "merchant_id": config["merchant_id"], **fields}

    async def send(self, world: World, path: str = "", secret: str | None = None, **changed: Any) -> int:
        body = json.dumps({**self.fields, **changed}).encode()
        at = str(int(time.time()))
        signature = hmac.new(
            (self.secret if secret is None else secret).encode(), at.encode() + b"." + body, hashlib.sha256
        ).hexdigest()
        headers = {"content-type": "application/json", "sandbox-timestamp": at, "sandbox-signature": f"v1={signature}"}
        async with httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=world.app), base_url=f"http://{settings().app_host}"
        ) as client:
            return (await client.post(path or self.path, content=body, headers=headers)).status_code


async def notice_for(world: World, placed: Placed, tenant: Tenant | None = None) -> Notice:
    """The notice of an order that was opened at the gateway and not paid there yet."""
    from app.payments import service as payments

    chosen = tenant or world.tenant
    await payments.open_payment(chosen, placed.id)
    row = (
        await world.rows(
            "select payment_no, gateway_ref, amount_minor from payment where order_id = $1", placed.id, tenant=chosen
        )
    )[0]
    connection_id, config = await connection_of(chosen)
    return Notice(
        chosen, connection_id, config,
        {"out_no": row["payment_no"], "gateway_ref": row["gateway_ref"], "gateway_txn": f"txn_{new_id().hex}", "amount_minor": row["amount_minor"],
         "currency": "CNY", "occurred_at": "2026-11-21T06:31:00Z"},
    )  # fmt: skip


async def unpaid(world: World, tenant: Tenant | None = None) -> Placed:
    product = await world.product(tenant=tenant)
    sku = product.skus[0]
    await world.stock(sku.id, 3, tenant=tenant)
    return await world.order(sku.listing.id, tenant=tenant)


async def test_a_payment_is_captured_by_its_notice_alone(world: World) -> None:
    placed, payment_no = await paid_at_gateway(world)
    await world.until("select true from shop_order where id = $1 and state = 'paid'", placed.id)
    assert await world.value("select credits_minor from ledger_account where name = 'buyer_deposits'") == 1990
    assert world.gateway.book(payment_no)["captures"][0]["amount_minor"] == 1990


@pytest.mark.case("C01")
async def test_one_notice_sent_twenty_times_at_once_is_one_capture(world: World) -> None:
    placed, payment_no = await paid_at_gateway(world)
    statuses = await asyncio.to_thread(world.gateway.replay, payment_no, times=20)
    assert statuses == [[200] * 20]
    assert await world.value("select count(*) from capture") == 1
    assert await world.value("select count(*) from transfer") == 1
    assert await world.value("select count(*) from task where kind = 'fulfillment.deliver'") == 1
    await world.work()
    assert await world.value("select count(*) from card_key where state = 'delivered'") == 1
    assert placed.order_no


@pytest.mark.case("C01")
async def test_red_without_the_captures_own_number_a_repeat_is_booked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    notice = await notice_for(world, await unpaid(world))
    forgetful = capturing._CAPTURE.replace("c.gateway_txn,", "c.gateway_txn || gen_random_uuid()::text,")
    assert forgetful != capturing._CAPTURE
    monkeypatch.setattr(capturing, "_CAPTURE", forgetful)
    await asyncio.gather(*(notice.send(world) for _ in range(5)))
    assert await world.value("select count(*) from capture") > 1


@pytest.mark.parametrize(
    "changed",
    [
        {"amount_minor": 1},
        {"amount_minor": 1991},
        {"amount_minor": 1989},
        {"currency": "USD"},
        {"gateway_ref": "another"},
    ],
    ids=str,
)
@pytest.mark.case("C04")
async def test_a_signed_notice_that_misstates_is_refused_and_changes_nothing(world: World, changed: dict[str, Any]) -> None:
    placed = await unpaid(world)
    notice = await notice_for(world, placed)
    assert await notice.send(world, **changed) == 422
    assert await world.value("select state from shop_order where id = $1", placed.id) == "awaiting_payment"
    assert await world.value("select count(*) from capture") == 0
    assert await world.value("select count(*) from history where event = 'payment.mismatch'") == 1


@pytest.mark.parametrize(
    "changed", [{"amount_minor": "1990"}, {"amount_minor": 1990.0}, {"amount_minor": [1990]}, {"amount_minor": -1}], ids=str
)
@pytest.mark.case("C04")
async def test_an_amount_that_is_no_whole_number_is_a_forgery(world: World, changed: dict[str, Any]) -> None:
    placed = await unpaid(world)
    notice = await notice_for(world, placed)
    assert await notice.send(world, **changed) == 401
    assert await world.value("select count(*) from capture") == 0


@pytest.mark.case("C03")
async def test_a_wrong_or_empty_secret_is_a_forgery_and_leaves_no_row(world: World) -> None:
    notice = await notice_for(world, await unpaid(world))
    rows = await world.value("select count(*) from history")
    assert [await notice.send(world, secret=secret) for secret in ("wrong", "")] == [401, 401]
    assert await world.value("select count(*) from gateway_notice") == 0
    assert await world.value("select count(*) from history") == rows


@pytest.mark.case("C05")
async def test_a_notice_sent_to_another_tenants_address_pays_nothing(world: World) -> None:
    other = await world.new_tenant("Other")
    placed = await unpaid(world)
    notice = await notice_for(world, placed)
    connection_id, _config = await connection_of(other)
    assert await notice.send(world, path=f"/hooks/{other.slug}/{connection_id}") == 401
    own_connection, _config = await connection_of(world.tenant)
    assert await notice.send(world, path=f"/hooks/{other.slug}/{own_connection}") == 404
    assert await world.value("select state from shop_order where id = $1", placed.id) == "awaiting_payment"


@pytest.mark.case("C05")
async def test_a_notice_for_another_order_of_the_same_amount_pays_only_its_own(world: World) -> None:
    first = await unpaid(world)
    second = await world.order(await world.value("select listing_id from order_line where order_id = $1", first.id))
    notice = await notice_for(world, first)
    other = await notice_for(world, second)
    assert await notice.send(world, out_no=other.fields["out_no"]) == 422
    assert await notice.send(world) == 200
    assert await world.value("select state from shop_order where id = $1", first.id) == "paid"
    assert await world.value("select state from shop_order where id = $1", second.id) == "awaiting_payment"


@pytest.mark.case("C08")
async def test_an_order_paid_twice_is_delivered_once_and_the_second_payment_refunded(world: World) -> None:
    placed, payment_no = await paid_at_gateway(world)
    await world.until("select true from shop_order where id = $1 and state = 'paid'", placed.id)
    notice = await second_payment(world, placed)
    assert await notice.send(world) == 200
    assert await world.value("select count(*) from capture where purpose = 'surplus'") == 1
    assert await world.value("select credits_minor - debits_minor from ledger_account where name = 'suspense'") == 1990
    await world.work()
    assert await world.value("select count(*) from card_key where state = 'delivered'") == 1
    assert await world.value("select state from refund") in ("declined", "succeeded")
    assert payment_no


async def second_payment(world: World, placed: Placed) -> Notice:
    """A second gateway transaction over the same payment, as a gateway that took the money twice would report it."""
    row = (await world.rows("select payment_no, gateway_ref, amount_minor from payment where order_id = $1", placed.id))[0]
    connection_id, config = await connection_of(world.tenant)
    fields = {
        "out_no": row["payment_no"],
        "gateway_ref": row["gateway_ref"],
        "gateway_txn": "txn_second",
        "amount_minor": row["amount_minor"],
    }
    return Notice(world.tenant, connection_id, config, {**fields, "currency": "CNY", "occurred_at": "2026-11-21T06:31:00Z"})


@pytest.mark.case("C07")
async def test_a_payment_after_expiry_takes_stock_again_and_is_delivered(world: World) -> None:
    placed, _payment_no = await late_payment(world, keys_left=1)
    await world.work()
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"
    assert await world.rows("select available, reserved, delivered from stock") == [
        {"available": 0, "reserved": 0, "delivered": 1}
    ]


@pytest.mark.case("C07")
async def test_a_payment_after_expiry_and_sold_out_is_refunded_at_the_gateway(world: World) -> None:
    placed, payment_no = await late_payment(world, keys_left=0)
    await world.work()
    assert await world.value("select state from shop_order where id = $1", placed.id) == "refunded"
    assert [refund["amount_minor"] for refund in world.gateway.book(payment_no)["refunds"]] == [1990]
    assert await world.value("select count(*) from card_key where state = 'delivered'") == 0
    deposits = await world.value("select credits_minor - debits_minor from ledger_account where name = 'buyer_deposits'")
    assert deposits == 0


async def late_payment(world: World, *, keys_left: int) -> tuple[Placed, str]:
    """An order whose time ran out just before its buyer paid."""
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 1)
    placed = await world.order(sku.listing.id)
    from app.payments import service as payments

    await payments.open_payment(world.tenant, placed.id)
    await world.rows("update shop_order set expires_at = now() - interval '1 second' where id = $1 returning id", placed.id)
    async with tenant_tx(world.tenant) as tx:
        assert await ordering.expire_unpaid(tx) == 1
    if keys_left == 0:
        await world.order(sku.listing.id, contact="13900000001")
    payment_no: str = await world.value("select payment_no from payment where order_id = $1", placed.id)
    await asyncio.to_thread(world.gateway.pay, payment_no)
    await world.until("select true from capture where order_id = $1", placed.id)
    return placed, payment_no


@pytest.mark.case("A05")
async def test_expiry_and_payment_in_one_instant_end_in_one_of_two_ways(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 20)
    for _ in range(20):
        placed = await world.order(sku.listing.id, contact=f"138{new_id().int % 10**8:08d}")
        notice = await notice_for(world, placed)
        await world.rows("update shop_order set expires_at = now() where id = $1 returning id", placed.id)

        async def expire() -> None:
            async with tenant_tx(world.tenant) as tx:
                await ordering.expire_unpaid(tx)

        status, _ = await asyncio.gather(notice.send(world), expire())
        assert status == 200
        assert await world.value("select state from shop_order where id = $1", placed.id) == "paid"
    await world.work()
    stock = (await world.rows("select available, reserved, delivered from stock"))[0]
    assert stock == {"available": 0, "reserved": 0, "delivered": 20}


@pytest.mark.case("C11")
async def test_a_notice_that_never_comes_is_asked_for(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 1)
    placed = await world.order(sku.listing.id)
    world.gateway.script({"drop": True}, on="notice")
    await world.pay(placed)
    assert await world.value("select state from shop_order where id = $1", placed.id) == "awaiting_payment"
    await world.ask_gateway(placed)
    assert await world.value("select state from shop_order where id = $1", placed.id) == "paid"


async def test_the_ledger_refuses_what_no_business_key_explains(world: World) -> None:
    await paid_at_gateway(world)
    await world.until("select true from capture")
    row = (await world.rows("select debit_account_id, credit_account_id from transfer"))[0]
    insert = "insert into transfer (id, debit_account_id, credit_account_id, amount_minor, currency, kind, subject_id) values ($1, $2, $3, $4, 'CNY', 'x', $1)"
    for amount, credit in ((0, row["credit_account_id"]), (-5, row["credit_account_id"]), (5, row["debit_account_id"])):
        with pytest.raises(asyncpg.CheckViolationError):
            await world.rows(insert + " returning id", new_id(), row["debit_account_id"], credit, amount)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await world.rows("update transfer set amount_minor = 1 returning id")
