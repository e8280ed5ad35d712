"""What was paid and nobody could deliver goes back, and the merchant's people are told of it: once a day for each SKU."""

from __future__ import annotations

import html
from collections.abc import Iterator
from typing import Any

import pytest

from app.access.models import MemberRole
from app.fulfillment import buying
from app.inventory import service as inventory
from tenants.directory import PLATFORM
from tenants.session import tenant_session
from tests.app.fulfillment.supply import order_state, refund, routed, settle, source
from tests.app.staff import staff
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("refuses"), "tango") as company:
        yield company


@pytest.fixture
def company(started: SupplierSimulator) -> Iterator[SupplierSimulator]:
    started.clear_script()
    yield started
    buying._pumps.clear()


async def told(world: World) -> list[dict[str, Any]]:
    return await world.rows(
        "select params ->> 'order_no' as order_no, params ->> 'reason' as reason, params ->> 'said' as said from alert where template = 'unit_undelivered'"
    )


async def owners_mail(world: World) -> str:
    query = "select u.email from app_user u join membership m on m.user_id = u.id where m.tenant_id = $1 and m.role = 'owner'"
    mail: str = await world.value(query, world.tenant.id, tenant=PLATFORM)
    return mail


@pytest.mark.case("A13")
async def test_units_without_a_key_are_told_once_by_mail_and_in_the_app_however_many(world: World) -> None:
    owner = await staff(world)
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    orders = [await world.order(product.skus[0].listing.id, 2, contact=f"1390013900{n}") for n in range(2)]
    for row in await world.rows("select id from card_key"):
        async with tenant_session(world.tenant) as session:
            await inventory.void_key(session, card_key_id=row["id"], reason="leaked", actor=STAFF)
    for placed in orders:
        await world.pay(placed)
        await world.ask_gateway(placed)
        await settle(world)
    await refund(world)
    assert [await order_state(world, placed.id) for placed in orders] == ["refunded", "refunded"]
    [alert] = await told(world)
    assert alert["order_no"] in [placed.order_no for placed in orders]
    assert alert["reason"].startswith("nothing of it was left")
    shown = html.unescape((await owner.get("/notices")).text)
    assert f"Skylark Video Month could not be delivered: order {alert['order_no']}" in shown
    assert f"{owner.base}/orders/{alert['order_no']}" in shown
    mails = [mail for mail in world.outbox.messages(await owners_mail(world)) if alert["order_no"] in mail["subject"]]
    assert len(mails) == 1
    assert f"/orders/{alert['order_no']}" in mails[0]["text"]


async def test_what_all_suppliers_refuse_is_told_with_what_the_last_one_said(world: World, company: SupplierSimulator) -> None:
    one = await source(world, company, name="Northbank")
    product = await routed(world, one)
    company.script({"refuse": "out_of_stock"}, on="place")
    placed = await world.paid(product.skus[0].listing.id, 3)
    await settle(world)
    await refund(world)
    assert await order_state(world, placed.id) == "refunded"
    [alert] = await told(world)
    assert alert["reason"] == "none of its suppliers delivered it"
    assert "Northbank" in alert["said"]


async def test_what_the_merchant_gives_back_himself_and_a_buyers_wrong_account_are_not_told(
    world: World, company: SupplierSimulator
) -> None:
    owner = await staff(world, MemberRole.OWNER)
    one = await source(world, company)
    product = await routed(world, one)
    company.script({"refuse": "bad_account"}, on="place")
    mistyped = await world.paid(product.skus[0].listing.id)
    await settle(world)
    own = await world.product(name="Bluebird")
    await world.stock(own.skus[0].id, 1)
    given_back = await world.paid(own.skus[0].listing.id)
    answer = await owner.post(f"/orders/{given_back.order_no}/refunds", {"stated_minor": "1990", "reason": "the buyer asked"})
    assert answer.status_code == 303
    await settle(world)
    await refund(world)
    assert [await order_state(world, placed.id) for placed in (mistyped, given_back)] == ["refunded", "refunded"]
    assert await told(world) == []
