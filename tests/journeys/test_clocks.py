"""The web server's and the worker's clocks are wrong by minutes: the database's decides, and what signatures refuse is taken once the clock is right."""

import asyncio
from datetime import timedelta

import pytest
import time_machine

from app.kernel import clock
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from app.ordering import service as ordering
from app.payments import service as payments
from app.payments.service import GatewayBusy
from tenants.session import tenant_tx
from tests.app.payments.test_capturing import notice_for, unpaid
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.case("J04")]
SKEWS = pytest.mark.parametrize("minutes", [-20, -10, 10, 20])


def off(minutes: int) -> time_machine.travel:
    """This process's clock is wrong by so many minutes, and goes on."""
    return time_machine.travel(clock.now() + timedelta(minutes=minutes), tick=True)


@SKEWS
async def test_an_order_has_its_time_whatever_the_clock_says(world: World, minutes: int) -> None:
    with off(minutes):
        placed = await unpaid(world)
        async with tenant_tx(world.tenant) as tx:
            assert await ordering.expire_unpaid(tx) == 0
            path = f"/orders/{placed.order_no}/{(await keyring(tx)).link_signature('order', placed.id)}"
        page = (await world.client().get(path)).text
        assert "Cancel" in page
        assert "Not paid in time" not in page
    assert await world.value("select expires_at - placed_at = interval '15 minutes' from shop_order")
    assert await world.value("select abs(extract(epoch from now() - placed_at)) < 60 from shop_order")


@SKEWS
async def test_work_is_due_when_the_database_says_so(world: World, minutes: int) -> None:
    with off(minutes):
        async with tenant_tx(world.tenant) as tx:
            await add_task(tx, "ordering.expire", lane=Lane.ORDERS, subject_id=None)
        assert await world.value("select run_at <= now() from task where kind = 'ordering.expire'")
        assert await world.work(Lane.ORDERS) == 1


@pytest.mark.parametrize("minutes", [-4, 4])
async def test_within_the_tolerance_of_signatures_everything_goes_on(world: World, minutes: int) -> None:
    with off(minutes):
        placed = await unpaid(world)
        await world.pay(placed)
        await world.until("select true from capture")
        await world.work()
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_beyond_it_nothing_is_charged_or_lost(world: World, minutes: int) -> None:
    placed = await unpaid(world)
    notice = await notice_for(world, placed)
    with off(minutes), pytest.raises(GatewayBusy):
        await payments.open_payment(world.tenant, (await unpaid(world)).id)
    world.gateway.script({"drop": True}, on="notice")
    await asyncio.to_thread(world.gateway.pay, notice.fields["out_no"])
    with off(minutes):
        await world.ask_gateway(placed)
    assert await world.value("select state from shop_order where id = $1", placed.id) == "awaiting_payment"
    await world.ask_gateway(placed)
    await world.work()
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"
