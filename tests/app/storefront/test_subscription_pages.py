"""Subscribing through the shop's pages: told plainly before, its cycles on the order's page, cancelled, renewed by one click and a payment."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.catalog import service as catalog
from app.ordering.placing import Placed
from app.storefront.checkout import path_of
from app.storefront.shelf import forget_shelf
from tenants.session import tenant_session
from tests.app.fulfillment.supply import refund
from tests.app.fulfillment.top_up import top_up
from tests.app.ordering.bundles import keys, void
from tests.app.ordering.subscriptions import bought, pass_and_work, state_of, subscription, units
from tests.app.storefront.buyer import Buyer, fields, words
from tests.app.storefront.test_bundle_pages import NUMBER, paid
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("airtime"), "dingconnect") as one:
        yield one


@pytest.fixture
def buyer(world: World) -> Buyer:
    return Buyer(world.client())


async def actions(world: World, placed: Placed) -> tuple[str, str, str]:
    """An order's page, and where its subscription is renewed and cancelled."""
    path = await path_of(world.tenant, placed)
    own = f"{path}/subscriptions/{await world.value('select id from subscription order by created_at limit 1')}"
    return path, f"{own}/renewal", f"{own}/cancellation"


async def test_the_plan_is_told_before_buying_and_each_cycle_stands_on_the_page(world: World, buyer: Buyer) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    product = await subscription(world, month.id, cycles=3, price_minor=5000)
    page = words((await buyer.get(f"/products/{product.id}")).text)
    for wanted in ("What this price pays for", "Skylark Video One, every 30 days", "3 cycles", "Nothing is charged by itself"):
        assert wanted in page, wanted
    answer = await buyer.buy(product.id)
    assert answer.status_code == 303
    await paid(world)
    page = words((await buyer.get(answer.headers["location"])).text)
    for wanted in (
        "Here is what you bought",
        "Skylark Video One, cycle 1",
        "1 of 3 cycles delivered, the next on",
        "Paid for until",
        "Renew for ¥50.00",
    ):
        assert wanted in page, wanted
    assert "Skylark Video One × 1" not in page
    await pass_and_work(world, 30)
    page = words((await buyer.get(answer.headers["location"])).text)
    assert page.index("cycle 2") < page.index("cycle 1")


async def test_cancelled_twice_it_says_so_and_still_comes(world: World, buyer: Buyer) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    placed = await bought(world, await subscription(world, month.id))
    path, _, cancel = await actions(world, placed)
    answer = await buyer.send(path, cancel)
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert (await buyer.post(path, cancel)).status_code == 303
    page = words((await buyer.get(path)).text)
    assert "Cancelled" in page
    assert "Cancel the subscription" not in page
    await pass_and_work(world, 30)
    assert [state for _, state, _ in await units(world)] == ["delivered", "delivered", "scheduled"]
    elsewhere = cancel.replace(path, await path_of(world.tenant, await world.order(month.listing.id)))
    assert (await buyer.post(path, elsewhere)).status_code == 404


async def test_renewed_by_one_click_and_a_payment_it_goes_on_without_a_gap(world: World, buyer: Buyer) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    placed = await bought(world, await subscription(world, month.id, cycles=1, price_minor=3000))
    path, renew, _ = await actions(world, placed)
    await pass_and_work(world, 33)
    page = await buyer.get(path)
    assert "What you paid for is over" in words(page.text)
    form = fields(page.text, renew)
    answers = [await buyer.client.post(renew, data=form) for _ in range(2)]
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert "Waiting for your payment" in words((await buyer.get(answers[0].headers["location"])).text)
    await paid(world)
    assert (await state_of(world), await world.value("select count(*) from subscription")) == ("active", 1)
    assert await units(world) == [(1, "delivered", 3000), (2, "delivered", 3000)]
    page = words((await buyer.get(answers[0].headers["location"])).text)
    assert "Skylark Video One, cycle 2" in page


async def test_a_renewal_credits_the_account_of_before(world: World, company: SupplierSimulator, buyer: Buyer) -> None:
    airtime = await top_up(world, company)
    product = await subscription(world, airtime.product.skus[0].id, cycles=1, price_minor=1000)
    before = airtime.effects()
    shown = await buyer.buy(product.id, **{f"account-{airtime.product.skus[0].id.hex}-phone": NUMBER})
    answer = await buyer.client.post("/checkout", data=fields(shown.text, "/checkout"))
    placed = await paid(world)
    assert airtime.effects() == before + 1
    path, renew, _ = await actions(world, placed)
    assert path == answer.headers["location"]
    await pass_and_work(world, 31)
    assert (await buyer.send(path, renew)).status_code == 303
    await paid(world)
    assert airtime.effects() == before + 2
    assert await world.value("select count(distinct masked) from recharge_account") == 1


async def test_what_cannot_be_renewed_is_refused_with_a_sentence(world: World, buyer: Buyer) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    product = await subscription(world, month.id, cycles=1, price_minor=3000)
    placed = await bought(world, product)
    path, renew, _ = await actions(world, placed)
    form = fields((await buyer.get(path)).text, renew)
    for wrong, status in (({"stated_minor": "2999"}, 409), ({"stated_minor": "x"}, 422), ({"request_id": "short"}, 422)):
        assert (await buyer.client.post(renew, data=form | wrong)).status_code == status, wrong
    async with tenant_session(world.tenant) as session:
        await catalog.withdraw(session, product.id, actor=STAFF)
    forget_shelf(world.tenant)
    answer = await buyer.client.post(renew, data=form)
    assert answer.status_code == 409
    assert "cannot be renewed any more" in words(answer.text)
    assert "so it cannot be renewed" in words((await buyer.get(path)).text)
    assert await world.value("select count(*) from shop_order") == 1
    await pass_and_work(world, 29)
    assert await world.value("select count(*) from outgoing_message where template = 'subscription_ending'") == 0


async def test_a_cycle_that_could_not_come_says_that_its_share_goes_back(world: World, buyer: Buyer) -> None:
    month = await keys(world, "Skylark Video", 2000, 2)
    placed = await bought(world, await subscription(world, month.id, cycles=3, price_minor=5000))
    await void(world, month.id)
    await pass_and_work(world, 30)
    await refund(world)
    path, _, _ = await actions(world, placed)
    page = words((await buyer.get(path)).text)
    assert "Given back" in page
    assert "¥16.67" in page
