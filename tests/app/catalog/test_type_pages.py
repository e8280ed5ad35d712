"""Types of goods a merchant builds without code, and the products he makes of them."""

from __future__ import annotations

from typing import Any

import pytest

from app.access.models import MemberRole
from app.catalog import service as catalog
from app.storefront.shelf import forget_shelf, shelf_of
from tenants.session import tenant_session
from tests.app.staff import Staff, staff
from tests.app.storefront.buyer import Buyer, fields, words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio]
COINS = {
    "name": "Game coins",
    "kind": "card_key",
    "icon": "gamepad-2",
    "row-0-label": "Region",
    "row-0-kind": "choice",
    "row-0-is_required": "yes",
    "row-0-choices": "East\nWest",
    "row-1-label": "Server",
    "row-1-kind": "choice",
    "row-1-is_required": "yes",
    "row-1-depends_on": "Region",
    "row-1-choices": "East: Lake, Hill\nWest: Dune",
    "row-2-label": "Role id",
    "row-2-name": "role",
    "row-2-kind": "text",
    "row-2-is_required": "yes",
    "row-2-shape": "own",
    "row-2-pattern": "[A-Z]{2}[0-9]{4}",
    "row-2-hint": "Two capitals and four digits.",
    "about-0-label": "Platform",
    "about-0-kind": "choice",
    "about-0-is_required": "yes",
    "about-0-choices": "Phone\nConsole",
    "about-1-label": "Good for",
    "about-1-kind": "text",
}
PRODUCT = {
    "name": "Jade coins",
    "cover_icon": "coins",
    "cover_hue": "2",
    "sku-0-name": "60 coins",
    "sku-0-price": "6",
    "about-Platform": "Phone",
    "about-Good_for": "30 days",
}
ROLE = {"account-Region": "East", "account-Server": "Hill", "account-role": "AB1234"}


async def made(owner: Staff, **changes: Any) -> str:
    """The path of a type built through its form."""
    answer = await owner.post("/product-types", COINS | changes)
    assert answer.status_code == 303, words(answer.text)
    return answer.headers["location"].removeprefix(owner.base)


async def product_of(owner: Staff, path: str, **changes: Any) -> str:
    """The path of a product of the type, made through the product form."""
    answer = await owner.post("/products", PRODUCT | {"kind": path.rpartition("/")[2]} | changes)
    assert answer.status_code == 303, words(answer.text)
    return answer.headers["location"].removeprefix(owner.base)


async def on_sale(world: World, owner: Staff, product: str) -> Buyer:
    """The product with stock and on sale; a buyer before it."""
    await world.stock(await world.value("select id from sku"), 5)
    assert (await owner.post(f"{product}/publication")).status_code == 303
    return Buyer(world.client())


async def test_a_type_is_built_chosen_from_the_cards_and_its_product_says_what_it_asks(world: World) -> None:
    owner = await staff(world)
    path = await made(owner)
    kept = await world.rows(
        "select name, delivery_kind, buyer_fields #>> '{1,depends_on}' as on_region, buyer_fields #>> '{2,name}' as role from product_type"
    )
    assert kept == [{"name": "Game coins", "delivery_kind": "card_key", "on_region": "Region", "role": "role"}]
    assert "Game coins" in words((await owner.get("/products/new")).text)
    product = await product_of(owner, path)
    shown = words((await owner.get(product)).text)
    assert "Of the type Game coins, delivered as: Card-key." in shown
    assert "Buyers fill in 3 fields." in shown
    buyer = await on_sale(world, owner, product)
    page = words((await buyer.get(product)).text)
    assert "Platform Phone" in page
    assert "Good for 30 days" in page
    assert "What we need from you" in page
    assert "Two capitals and four digits." in page


async def test_what_buyers_type_is_checked_shown_again_sealed_and_masked(world: World) -> None:
    owner = await staff(world)
    product = await product_of(owner, await made(owner))
    buyer = await on_sale(world, owner, product)
    product_id = product.rpartition("/")[2]
    wrong = await buyer.buy(product_id, **ROLE | {"account-role": "nobody", "account-Server": "Dune"})
    assert wrong.status_code == 422
    assert "This does not have the right form. Two capitals and four digits." in words(wrong.text)
    assert 'id="f-account-Server-error"' in wrong.text
    again = await buyer.buy(product_id, **ROLE)
    assert "Is this right?" in words(again.text)
    assert "AB1234" in again.text
    placed = await buyer.client.post("/checkout", data=fields(again.text, "/checkout"))
    assert placed.status_code == 303
    assert await world.value("select masked from recharge_account") == "East Hill AB***34"
    assert b"AB1234" not in await world.value("select account from recharge_account")
    order_no = await world.value("select order_no from shop_order")
    staff_page = (await owner.get(f"/orders/{order_no}")).text
    assert "AB***34" in staff_page
    assert "AB1234" not in staff_page


async def test_a_changed_type_counts_for_new_orders_only(world: World) -> None:
    owner = await staff(world)
    path = await made(owner)
    product = await product_of(owner, path)
    buyer = await on_sale(world, owner, product)
    product_id = product.rpartition("/")[2]
    placed = await buyer.client.post("/checkout", data=fields((await buyer.buy(product_id, **ROLE)).text, "/checkout"))
    renamed = {
        "row-0-label": "Realm",
        "row-0-name": "Region",
        "about-0-label": "System",
        "about-0-name": "Platform",
        "row-2-label": "",
        "row-2-name": "",
    }
    assert (await owner.post(path, COINS | renamed)).status_code == 303
    bought = words((await buyer.get(placed.headers["location"])).text)
    assert await world.value("select shown #>> '{0,label}' from recharge_account") == "Region"
    assert await world.value("select attributes #>> '{0,label}' from order_line") == "Platform"
    assert bought
    shelved = next(iter((await shelf_of(world.tenant)).products.values()))
    assert [field.label for asked in shelved.asked.values() for field in asked.fields] == ["Realm", "Server"]
    assert shelved.attributes == (("System", "Phone"), ("Good for", "30 days"))
    forget_shelf(world.tenant)


async def test_every_fault_of_a_type_is_said_at_once(world: World) -> None:
    owner = await staff(world)
    wrong = {
        "name": "",
        "row-1-choices": "North: Pole",
        "row-2-pattern": "([A-Z]{60}){60}",
        "about-0-choices": "",
        "about-1-kind": "phone",
    }
    answer = await owner.post("/product-types", COINS | wrong)
    assert answer.status_code == 422
    for name in ("name", "row-1-choices", "row-2-pattern", "about-0-choices", "about-1-kind"):
        assert f'id="f-{name}-error"' in answer.text, name
    assert "North" in answer.text
    for pattern in ("(?=a)b", "a)|(b", "[a-"):
        refused = await owner.post("/product-types", COINS | {"row-2-pattern": pattern})
        assert "This pattern cannot be read." in words(refused.text), pattern
    top_up = {name: value for name, value in COINS.items() if not name.startswith("row-")} | {"kind": "direct_top_up"}
    assert "Say first which account its buyers state" in words((await owner.post("/product-types", top_up)).text)
    assert (await owner.post("/product-types", COINS | {"kind": "bundle"})).status_code == 422
    assert await world.value("select count(*) from product_type") == 0


async def test_rows_come_and_go_without_saving(world: World) -> None:
    owner = await staff(world)
    grown = await owner.post("/product-types", COINS | {"act": "add_row:row"}, part=True)
    assert "<html" not in grown.text
    assert 'name="row-3-label"' in grown.text
    whole = await owner.post("/product-types", COINS | {"act": "remove_row:about:0"})
    assert "<html" in whole.text
    assert 'name="about-0-label"' not in whole.text
    assert 'name="about-1-label"' in whole.text
    assert await world.value("select count(*) from product_type") == 0


async def test_a_type_in_use_is_retired_and_not_deleted(world: World) -> None:
    owner = await staff(world)
    path = await made(owner)
    await product_of(owner, path)
    refused = await owner.post(f"{path}/deletion")
    assert refused.status_code == 409
    assert "Retire it" in words(refused.text)
    for _ in range(2):
        assert (await owner.post(f"{path}/retirement")).status_code == 303
    assert await world.value("select count(*) from audit_entry where action = 'product_type.retired'") == 1
    assert (await owner.post("/products", PRODUCT | {"kind": path.rpartition("/")[2]})).status_code == 422
    assert (await owner.post(f"{path}/retirement", {"act": "undo"})).status_code == 303
    unused = await made(owner, name="Unused")
    assert (await owner.post(f"{unused}/deletion")).status_code == 303
    assert await world.value("select array_agg(name) from product_type") == ["Game coins"]


async def test_a_product_lacks_nothing_its_type_asks_for_when_it_is_put_on_sale(world: World) -> None:
    owner = await staff(world)
    path = await made(owner)
    assert (await owner.post("/products", PRODUCT | {"kind": path.rpartition("/")[2], "about-Platform": ""})).status_code == 422
    product = await product_of(owner, path)
    later = COINS | {"about-2-label": "Publisher", "about-2-kind": "text", "about-2-is_required": "yes"}
    assert (await owner.post(path, later)).status_code == 303
    async with tenant_session(world.tenant) as session:
        with pytest.raises(catalog.AttributeMissing):
            await catalog.publish(session, await world.value("select id from product"), actor=STAFF)
    assert (
        await owner.post(product, PRODUCT | {"kind": "card_key", "sku-0-id": str(await world.value("select id from sku"))})
    ).status_code == 422


async def test_a_name_is_taken_once_and_the_same_form_twice_makes_one_type(world: World) -> None:
    owner = await staff(world)
    await made(owner)
    answer = await owner.post("/product-types", COINS)
    assert answer.status_code == 422
    assert "There is already a type called Game coins." in words(answer.text)
    assert await world.value("select count(*) from product_type") == 1


async def test_who_only_looks_changes_nothing_and_another_tenant_sees_nothing(world: World) -> None:
    owner = await staff(world)
    path = await made(owner)
    viewer = await staff(world, MemberRole.READ_ONLY)
    assert (await viewer.get(path)).status_code == 200
    assert (await viewer.get("/product-types", part=True)).status_code == 200
    assert (await viewer.post(path, COINS)).status_code == 403
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    for answer in (await stranger.get(path), await stranger.post(path, COINS), await stranger.post(f"{path}/deletion")):
        assert answer.status_code == 404
    assert (await stranger.post("/products", PRODUCT | {"kind": path.rpartition("/")[2]})).status_code == 422


async def test_a_products_own_fields_become_a_type(world: World) -> None:
    owner = await staff(world)
    product = await world.product()
    fields = {"row-0-label": "Size", "row-0-kind": "text", "row-0-shape": "[0-9A-Z]+"}
    assert (await owner.post(f"/products/{product.id}/account", fields)).status_code == 303
    page = (await owner.get(f"/product-types/new?product={product.id}")).text
    assert 'value="Size"' in page
    typed = await product_of(owner, await made(owner))
    assert "Its type says what is asked" in words((await owner.get(f"{typed}/account")).text)
    assert (await owner.post(f"{typed}/account", fields)).status_code == 409
