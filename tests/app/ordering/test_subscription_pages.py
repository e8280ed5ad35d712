"""The merchant's pages of subscriptions: the list with its filters, one with its cycles, and its two ends."""

from __future__ import annotations

import pytest

from app.access.models import MemberRole
from tests.app.fulfillment.supply import refund, settle
from tests.app.ordering.bundles import keys
from tests.app.ordering.subscriptions import bought, pass_and_work, state_of, subscription
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def test_the_list_is_narrowed_by_its_address(world: World) -> None:
    owner = await staff(world)
    assert "No subscriptions yet" in words((await owner.get("/subscriptions")).text)
    month = await keys(world, "Skylark Video", 2000, 5)
    placed = await bought(world, await subscription(world, month.id))
    page = words((await owner.get("/subscriptions")).text)
    assert "Skylark Club Season" in page
    assert "every 30 days" in page
    assert "1 of 3" in page
    for query in ("state=active", f"q={placed.order_no[:6].lower()}", "q=skylark+club"):
        assert placed.order_no in words((await owner.get(f"/subscriptions?{query}")).text), query
    for query in ("state=ended", "q=tea", "state=active&q=tea"):
        page = words((await owner.get(f"/subscriptions?{query}")).text)
        assert "No subscription is like that." in page, query
        assert placed.order_no not in page
    for query in ("state=other", "page=0", "page=x"):
        assert (await owner.get(f"/subscriptions?{query}")).status_code == 400, query


async def test_one_shows_its_cycles_and_is_cancelled_once(world: World) -> None:
    owner, month = await staff(world), await keys(world, "Skylark Video", 2000, 5)
    placed = await bought(world, await subscription(world, month.id))
    path = f"/subscriptions/{await world.value('select id from subscription')}"
    page = words((await owner.get(path)).text)
    for wanted in ("¥16.67", "¥16.66", "¥33.33", "Delivered", "To come", placed.order_no, "138****2046", "no revenue yet"):
        assert wanted in page, wanted
    for _ in range(2):
        assert (await owner.post(f"{path}/cancellation")).status_code == 303
    page = words((await owner.get(path)).text)
    assert "Cancelled; what is paid for still comes" in page
    assert "Cancel the subscription" not in page
    await pass_and_work(world, 90)
    assert await state_of(world) == "ended"
    assert (await owner.post(f"{path}/cancellation")).status_code == 409


async def test_ended_with_a_reason_the_rest_goes_back(world: World) -> None:
    owner, month = await staff(world), await keys(world, "Skylark Video", 2000, 5)
    placed = await bought(world, await subscription(world, month.id))
    path = f"/subscriptions/{await world.value('select id from subscription')}"
    refused = await owner.post(f"{path}/end", {"reason": ""})
    assert refused.status_code == 422
    assert 'id="f-reason-error"' in refused.text
    assert (await owner.post(f"{path}/end", {"reason": "Moved away"})).status_code == 303
    await settle(world)
    await refund(world)
    page = words((await owner.get(path)).text)
    assert "Given back" in page
    assert "Moved away" in page
    assert "End it now" not in page
    assert await world.value("select sum(amount_minor) from refund") == 3333
    assert (await owner.post(f"{path}/end", {"reason": "Twice"})).status_code == 409
    assert "Partly delivered" in words((await owner.get(f"/orders/{placed.order_no}")).text)


async def test_who_may_and_what_is_not_found(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    await bought(world, await subscription(world, month.id))
    path = f"/subscriptions/{await world.value('select id from subscription')}"
    support = await staff(world, MemberRole.SUPPORT)
    page = words((await support.get(path)).text)
    assert "Skylark Club Season" in page
    assert "End it now" not in page
    assert (await support.post(f"{path}/end", {"reason": "Because"})).status_code == 403
    assert (await support.post(f"{path}/cancellation")).status_code == 403
    other = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await other.get(path)).status_code == 404
    assert (await other.post(f"{path}/end", {"reason": "Because"})).status_code == 404
    assert await state_of(world) == "active"
