"""The page where a merchant says which account a top-up's buyers state."""

from __future__ import annotations

import pytest

from app.access.models import MemberRole
from app.catalog.models import DeliveryKind
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.world import World

pytestmark = [pytest.mark.anyio]
PHONE = {"row-0-label": "Number", "row-0-name": "phone", "row-0-kind": "phone", "row-0-is_required": "yes"}
REGION = {"row-0-label": "Region", "row-0-name": "region", "row-0-kind": "choice", "row-0-choices": "East\nWest"}
SERVER = {"row-1-label": "Server", "row-1-name": "server", "row-1-kind": "choice", "row-1-depends_on": "region"}
SERVERS = {"row-1-choices": "East: Lake, Hill\nWest: Dune"}


async def account_path(world: World) -> str:
    product = await world.product(delivery_kind=DeliveryKind.DIRECT_TOP_UP, on_sale=False)
    return f"/products/{product.id}/account"


async def test_fields_are_written_and_shown_again(world: World) -> None:
    path, owner = await account_path(world), await staff(world)
    assert "Field 1" in words((await owner.get(path)).text)
    answer = await owner.post(path, PHONE | {"refuses_virtual": "yes"})
    assert answer.status_code == 303
    assert await world.rows("select account_fields #>> '{0,name}' as name, refuses_virtual_numbers as refuses from product") == [
        {"name": "phone", "refuses": True}
    ]
    assert 'value="phone"' in (await owner.get(path)).text
    assert await world.value("select count(*) from audit_entry where action = 'product.account_changed'") == 1


async def test_a_list_may_depend_on_one_above(world: World) -> None:
    path, owner = await account_path(world), await staff(world)
    assert (await owner.post(path, REGION | SERVER | SERVERS)).status_code == 303
    assert "East: Lake, Hill" in (await owner.get(path)).text


async def test_every_fault_is_said_beside_its_field_and_nothing_is_saved(world: World) -> None:
    path, owner = await account_path(world), await staff(world)
    wrong = {"row-0-label": "", "row-0-name": "two words", "row-0-kind": "choice", "row-1-depends_on": "nothing"}
    answer = await owner.post(path, REGION | SERVER | {**wrong, "row-1-kind": "choice", "row-1-choices": ""})
    assert answer.status_code == 422
    for name in ("row-0-label", "row-0-name", "row-1-choices", "row-1-depends_on"):
        assert f'id="f-{name}-error"' in answer.text, name
    assert "two words" in answer.text
    assert await world.value("select account_fields::text from product") == "[]"


async def test_it_is_whole_for_htmx_too(world: World) -> None:
    assert "<html" in (await (await staff(world)).get(await account_path(world))).text


async def test_who_may_only_look_may_not_change_it(world: World) -> None:
    path, viewer = await account_path(world), await staff(world, MemberRole.READ_ONLY)
    assert (await viewer.get(path)).status_code == 200
    assert (await viewer.post(path, PHONE)).status_code == 403


async def test_another_tenants_product_is_not_there(world: World) -> None:
    path = await account_path(world)
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.get(path)).status_code == 404
    assert (await stranger.post(path, PHONE)).status_code == 404


async def test_what_is_made_of_other_products_has_no_such_page(world: World) -> None:
    product = await world.product(delivery_kind=DeliveryKind.BUNDLE, on_sale=False)
    assert (await (await staff(world)).get(f"/products/{product.id}/account")).status_code == 404


async def test_repeated_it_is_saved_once_more_without_harm(world: World) -> None:
    path, owner = await account_path(world), await staff(world)
    assert [(await owner.post(path, PHONE)).status_code for _ in range(2)] == [303, 303]
    assert await world.value("select jsonb_array_length(account_fields) from product") == 1


async def test_a_top_up_is_put_on_sale_only_with_its_account_and_a_supplier(world: World) -> None:
    path, owner = await account_path(world), await staff(world)
    product = path.removesuffix("/account")
    without_supplier = await owner.post(f"{product}/publication")
    assert without_supplier.status_code == 422
    assert "Give each SKU a supplier first" in words(without_supplier.text)
    assert await world.value("select state from product") == "draft"
