"""The page where a merchant says what a subscription delivers and when."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.access.models import MemberRole
from app.catalog.models import DeliveryKind
from app.catalog.service import SkuTerms
from tests.app.ordering.bundles import bundle, keys
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def unplanned(world: World, price_minor: int = 5000) -> tuple[str, UUID]:
    """A subscription without a plan: its page, and its SKU."""
    product = await world.product(
        SkuTerms("Plan", price_minor), name="Skylark Club", delivery_kind=DeliveryKind.SUBSCRIPTION, on_sale=False
    )
    return f"/products/{product.id}/plan", product.skus[0].id


def plan(sku_id: object, **changes: str) -> dict[str, str]:
    terms = {"quantity": "1", "cycle_length": "1", "cycle_unit": "month", "cycles": "3", "grace_days": "7"}
    return {"delivers": str(sku_id), **terms, **changes}


async def test_a_plan_is_saved_shown_with_days_and_shares_and_then_it_goes_on_sale(world: World) -> None:
    (path, sku_id), owner = await unplanned(world), await staff(world)
    month = await keys(world, "Skylark Video", 2000, 5)
    assert "Save the plan" in words((await owner.get(path)).text)
    for _ in range(2):
        assert (await owner.post(f"{path}/{sku_id}", plan(month.id, quantity="2"))).status_code == 303
    shown = words((await owner.get(path)).text)
    assert "¥16.68" in shown
    assert "¥16.66" in shown
    assert "5 can be sold; subscriptions that run take 0 within 30 days" in shown
    assert "Nothing is charged by itself" in shown
    product = path.removesuffix("/plan")
    assert "Skylark Video One × 2" in words((await owner.get(product)).text)
    assert (await owner.post(f"{product}/publication")).status_code == 303
    assert await world.value("select state from product where id = $1", UUID(product.rpartition("/")[2])) == "on_sale"


async def test_what_cannot_be_a_plan_is_said_all_at_once_and_nothing_is_saved(world: World) -> None:
    (path, sku_id), owner = await unplanned(world, price_minor=10), await staff(world)
    month, tea = await keys(world, "Skylark Video", 2000, 5), await keys(world, "Tea", 1000, 5)
    inner = (await bundle(world, [(month.id, 1), (tea.id, 1)], name="Inner")).skus[0]
    for sent, name, sentence in (
        (plan(inner.id), "delivers", "cannot be delivered by cycles"),
        (plan(sku_id), "delivers", "cannot be delivered by cycles"),
        (plan(UUID(int=5)), "delivers", "cannot be delivered by cycles"),
        (plan(month.id, cycle_length="25"), "cycle_length", "at most 24 months"),
        (plan(month.id, cycles="11"), "cycles", "less than one minor unit"),
    ):
        answer = await owner.post(f"{path}/{sku_id}", sent)
        assert answer.status_code == 422, sent
        assert f'id="f-{name}-error"' in answer.text
        assert sentence in words(answer.text)
    wrong = {"delivers": "", "quantity": "21", "cycle_length": "0", "cycle_unit": "year", "cycles": "37", "grace_days": "61"}
    answer = await owner.post(f"{path}/{sku_id}", wrong)
    assert answer.status_code == 422
    for name in wrong:
        assert f'id="f-{name}-error"' in answer.text, name
    assert await world.value("select count(*) from subscription_plan") == 0


async def test_who_may_and_what_is_not_found(world: World) -> None:
    (path, sku_id), support = await unplanned(world), await staff(world, MemberRole.SUPPORT)
    page = await support.get(path)
    assert (page.status_code, 'type="submit"' in page.text.partition("<main")[2].partition("</main")[0]) == (200, False)
    assert (await support.post(f"{path}/{sku_id}", plan(sku_id))).status_code == 403
    other = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await other.get(path)).status_code == 404
    owner, month = await staff(world), await keys(world, "Skylark Video", 2000, 1)
    assert (await owner.get(f"/products/{month.product_id}/plan")).status_code == 404
    assert (await owner.post(f"{path}/{month.id}", plan(month.id))).status_code == 404
