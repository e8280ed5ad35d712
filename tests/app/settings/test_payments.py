"""The payment settings: connections without their secrets, and a fresh sandbox account in an old one's place."""

import json

import pytest

from app.access.models import MemberRole
from app.kernel.ids import new_id
from app.kernel.vault import keyring
from tenants.session import tenant_tx
from tests.staff import desk, words_of
from tests.world import World

pytestmark = [pytest.mark.anyio]


async def secrets_of(world: World) -> list[str]:
    async with tenant_tx(world.tenant) as tx:
        ring = await keyring(tx)
        rows = await tx.fetch("select id, config from gateway_connection")
    configs = [json.loads(ring.open("gateway_connection", "config", row["id"], row["config"]).reveal()) for row in rows]
    return [value for config in configs for name, value in config.items() if "secret" in name]


async def test_it_shows_connections_and_never_their_secrets(world: World) -> None:
    answer = await (await desk(world)).get("/settings/payments")
    assert answer.status_code == 200
    merchant_id = await world.value("select merchant_id from gateway_connection")
    assert f"****{merchant_id[-4:]}" in words_of(answer.text)
    assert merchant_id not in answer.text
    found = await secrets_of(world)
    assert found
    assert not any(secret in answer.text for secret in found)
    assert "Not tried yet" in words_of(answer.text)


async def test_a_shop_without_a_gateway_is_told_what_it_cannot_do(world: World) -> None:
    answer = await (await desk(world, tenant=await world.new_tenant(with_gateway=False))).get("/settings/payments")
    assert "No gateway is connected" in words_of(answer.text)


async def test_a_fresh_account_takes_new_payments_and_the_old_one_finishes_its_own(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 4)
    listing = product.skus[0].listing.id
    before = await world.order(listing)
    await world.pay(before)
    staff = await desk(world)
    assert "In use" in words_of(await staff.look(await staff.post("/settings/payments/sandbox")))
    await world.ask_gateway(before)
    await world.work()
    assert await world.value("select state from shop_order where id = $1", before.id) == "delivered"
    after = await world.bought(listing)
    rows = await world.rows("select p.order_id, g.is_live from payment p join gateway_connection g on g.id = p.connection_id")
    assert {row["order_id"]: row["is_live"] for row in rows} == {before.id: False, after.id: True}
    form = {"stated_minor": "1990", "reason": "wrong one"}
    assert (await staff.post(f"/orders/{before.order_no}/refunds", form)).status_code == 303
    await world.work()
    assert await world.value("select state from refund") == "succeeded"
    actions = [
        row["action"] for row in await world.rows("select action from audit_entry where action like 'gateway.%' order by seq")
    ]
    assert actions == ["gateway.connected", "gateway.connected", "gateway.replaced"]


async def test_what_the_gateway_keeps_is_taken_of_each_later_payment_and_of_none_before(world: World) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, 3)
    await world.bought(sku.listing.id)
    owner = await desk(world)
    connection = await world.value("select id from gateway_connection")
    address = f"/settings/payments/{connection}/fee"
    for wrong in ("six", "-1", "20.01", "0.125", "٣", "1e1"):
        answer = await owner.post(address, {"fee": wrong})
        assert answer.status_code == 422, wrong
        assert f'value="{wrong}"' in answer.text
    for _ in range(2):
        assert "0.55% of each payment, ¥0.00 so far" in words_of(await owner.look(await owner.post(address, {"fee": "0.55"})))
    await world.bought(sku.listing.id, contact="13800132047")
    fees = await world.rows("select fee_minor from capture order by captured_at")
    assert [row["fee_minor"] for row in fees] == [0, 11], "0.55 % of ¥19.90 is 10.945 fen, rounded half up"
    balances = {
        row["name"]: row["minor"]
        for row in await world.rows("select name, debits_minor - credits_minor as minor from ledger_account")
    }
    assert (balances["gateway_fees"], balances["gateway"]) == (11, 2 * 1990 - 11)
    assert "0.55% of each payment, ¥0.11 so far" in words_of((await owner.get("/settings/payments")).text)
    told = await world.rows("select facts from audit_entry where action = 'gateway.fee_set'")
    assert len(told) == 1
    assert (await owner.post(f"/settings/payments/{new_id()}/fee", {"fee": "1"})).status_code == 404
    assert (await (await desk(world, MemberRole.FINANCE_MAKER)).post(address, {"fee": "1"})).status_code == 403


async def test_roles(world: World) -> None:
    expected = {MemberRole.OWNER: (200, 303), MemberRole.FINANCE_MAKER: (200, 403), MemberRole.FINANCE_CHECKER: (200, 403), MemberRole.OPERATOR: (403, 403),
                MemberRole.SUPPORT: (403, 403), MemberRole.READ_ONLY: (403, 403)}  # fmt: skip
    for role, (reads, connects) in expected.items():
        staff = await desk(world, role)
        assert (await staff.get("/settings/payments")).status_code == reads, role
        assert (await staff.post("/settings/payments/sandbox")).status_code == connects, role
    stranger = await desk(world, tenant=await world.new_tenant())
    assert (await stranger.client.get(f"/m/{world.tenant.slug}/settings/payments")).status_code == 404
    assert "Connect a fresh account" not in (await (await desk(world, MemberRole.FINANCE_MAKER)).get("/settings/payments")).text
