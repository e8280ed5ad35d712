"""The page where a merchant says what a bundle holds."""

from __future__ import annotations

from uuid import UUID

import pytest

from app.access.models import MemberRole
from app.catalog.models import DeliveryKind, Sku
from app.catalog.service import SkuTerms
from tests.app.ordering.bundles import bundle, keys
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.world import World

pytestmark = [pytest.mark.anyio]


async def empty_bundle(world: World, price_minor: int = 3000) -> tuple[str, UUID]:
    """A bundle that holds nothing yet: its page, and its SKU."""
    product = await world.product(
        SkuTerms("Single", price_minor), name="Tea Time", delivery_kind=DeliveryKind.BUNDLE, on_sale=False
    )
    return f"/products/{product.id}/parts", product.skus[0].id


def filled(*parts: tuple[Sku, int], policy: str = "partial") -> dict[str, str]:
    rows = [(f"row-{n}-part", str(sku.id)) for n, (sku, _) in enumerate(parts)]
    return {**dict(rows), **{f"row-{n}-quantity": str(number) for n, (_, number) in enumerate(parts)}, "policy": policy}


async def test_parts_are_chosen_shown_with_their_shares_and_changed_again(world: World) -> None:
    (path, sku_id), owner = await empty_bundle(world), await staff(world)
    coffee, tea = await keys(world, "Coffee", 2000, 5), await keys(world, "Tea", 1000, 3)
    assert "Choose its parts and save" in words((await owner.get(path)).text)
    answer = await owner.post(f"{path}/{sku_id}", filled((coffee, 1), (tea, 2), policy="whole"))
    assert answer.status_code == 303
    shown = words((await owner.get(path)).text)
    assert "Coffee One × 1 ¥15.00" in shown
    assert "Tea One × 2 ¥15.00" in shown
    assert "Enough for one bundle" in shown
    for _ in range(2):
        assert (await owner.post(f"{path}/{sku_id}", filled((tea, 1), (coffee, 3)))).status_code == 303
    rows = await world.rows(
        "select b.quantity, w.policy from bundle_part b join bundle w on w.sku_id = b.bundle_sku_id order by position"
    )
    assert rows == [{"quantity": 1, "policy": "partial"}, {"quantity": 3, "policy": "partial"}]
    assert await world.value("select count(*) from audit_entry where action = 'product.contents_changed'") == 3


async def test_what_cannot_be_a_bundle_is_said_and_nothing_is_saved(world: World) -> None:
    (path, sku_id), owner = await empty_bundle(world), await staff(world)
    coffee, tea = await keys(world, "Coffee", 2000, 5), await keys(world, "Tea", 1000, 3)
    inner = (await bundle(world, [(coffee.id, 1), (tea.id, 1)], name="Inner")).skus[0]
    for sent, sentence in (
        (filled(), "at least 2 different things"),
        (filled((coffee, 1)), "at least 2 different things"),
        (filled((coffee, 1), (coffee, 2)), "Coffee One stands in it twice"),
        (filled((coffee, 1), (inner, 1)), "cannot be a part of a bundle"),
        (filled((coffee, 1), (tea, 1)) | {"row-0-part": str(UUID(int=5))}, "cannot be a part of a bundle"),
    ):
        answer = await owner.post(f"{path}/{sku_id}", sent)
        assert answer.status_code == 422, sent
        assert sentence in words(answer.text)
    wrong = filled((coffee, 0), (tea, 21)) | {"row-2-part": "nonsense", "policy": "other"}
    answer = await owner.post(f"{path}/{sku_id}", wrong)
    assert answer.status_code == 422
    for name in ("row-0-quantity", "row-1-quantity", "row-2-part"):
        assert f'id="f-{name}-error"' in answer.text, name
    assert await world.value("select count(*) from bundle_part where bundle_sku_id = $1", sku_id) == 0


async def test_a_price_too_small_for_its_units_is_refused(world: World) -> None:
    (path, sku_id), owner = await empty_bundle(world, price_minor=3), await staff(world)
    coffee, tea = await keys(world, "Coffee", 2000, 5), await keys(world, "Tea", 1000, 3)
    answer = await owner.post(f"{path}/{sku_id}", filled((coffee, 2), (tea, 2)))
    assert answer.status_code == 422
    assert "Raise the price of the bundle first" in words(answer.text)


async def test_a_bundle_goes_on_sale_only_when_it_holds_something(world: World) -> None:
    (path, sku_id), owner = await empty_bundle(world), await staff(world)
    coffee, tea = await keys(world, "Coffee", 2000, 5), await keys(world, "Tea", 1000, 3)
    product = path.removesuffix("/parts")
    answer = await owner.post(f"{product}/publication")
    assert answer.status_code == 422
    assert "Say first what is in Single" in words(answer.text)
    await owner.post(f"{path}/{sku_id}", filled((coffee, 1), (tea, 1)))
    assert (await owner.post(f"{product}/publication")).status_code == 303
    assert "2 parts" in words((await owner.get(product)).text)


async def test_roles_other_tenants_other_kinds_and_fragments(world: World) -> None:
    path, sku_id = await empty_bundle(world)
    coffee, tea = await keys(world, "Coffee", 2000, 5), await keys(world, "Tea", 1000, 3)
    sent = filled((coffee, 1), (tea, 1))
    viewer = await staff(world, MemberRole.READ_ONLY)
    assert (await viewer.get(path)).status_code == 200
    assert (await viewer.post(f"{path}/{sku_id}", sent)).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.post(f"{path}/{sku_id}", sent)).status_code == 404
    owner = await staff(world)
    assert "<html" in (await owner.get(path)).text
    assert (await owner.get(f"/products/{coffee.product_id}/parts")).status_code == 404
    assert (await owner.post(f"{path}/{coffee.id}", sent)).status_code == 404
