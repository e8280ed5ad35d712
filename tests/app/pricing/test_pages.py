"""The merchant's pages of prices, and what buyers see of them."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

import pytest

from app.access.models import MemberRole
from app.catalog.service import SkuTerms
from app.kernel import clock
from app.pricing.rules import Effect
from app.pricing.service import RuleTerms
from tests.app.pricing.test_sales import ruled
from tests.app.staff import staff
from tests.app.storefront.buyer import Buyer, fields, words
from tests.world import World

pytestmark = [pytest.mark.anyio]
RULE = {"kind": "share_more", "value": "20", "stock_below": "5"}


def at(sku_id: object, n: int) -> str:
    return f"step-{str(sku_id).replace('-', '')}-{n}"


async def test_the_grid_saves_steps_and_says_what_each_leaves(world: World) -> None:
    product = await world.product()
    sku, owner = product.skus[0], await staff(world)
    path, one, two = f"/products/{product.id}/prices", at(sku.id, 0), at(sku.id, 1)
    assert "What one costs us is not known" in words((await owner.get(path)).text)
    await world.stock(sku.id, 30)
    assert "One costs us ¥14.70" in words((await owner.get(path)).text)
    typed = {f"{one}-least": "10", f"{one}-price": "18.00", f"{two}-least": "50", f"{two}-price": "14"}
    looked = await owner.post(path, typed | {"act": "look"}, part=True)
    assert "<html" not in looked.text
    assert "Below cost" in words(looked.text)
    assert "¥3.3018.33%" in words(looked.text)
    assert await world.value("select count(*) from price_rule") == 0
    for _ in range(2):  # saved twice, it is what it was
        assert (await owner.post(path, typed)).status_code == 303
    steps = "select least_quantity as least, value, version, is_on from price_rule order by 1"
    assert await world.rows(steps) == [
        {"least": 10, "value": 1800, "version": 1, "is_on": True},
        {"least": 50, "value": 1400, "version": 1, "is_on": True},
    ]
    assert (await owner.post(path, {f"{two}-least": "50", f"{two}-price": "15"})).status_code == 303
    assert [(row["value"], row["version"], row["is_on"]) for row in await world.rows(steps)] == [
        (1800, 2, False),
        (1500, 2, True),
    ]
    shown = fields((await owner.get(path)).text, f"{owner.base}{path}")
    assert (shown[f"{one}-least"], shown[f"{one}-price"]) == ("50", "15.00")


async def test_every_fault_of_the_grid_stands_beside_its_field(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 19800))
    owner, path = await staff(world), f"/products/{product.id}/prices"
    first, other = product.skus[0].id, product.skus[1].id
    wrong = {
        f"{at(first, 0)}-least": "10",
        f"{at(first, 0)}-price": "0",
        f"{at(first, 1)}-least": "1",
        f"{at(first, 1)}-price": "5",
    }
    twice = {f"{at(other, n)}-{name}": text for n in (0, 1) for name, text in (("least", "10"), ("price", "90"))}
    answer = await owner.post(path, wrong | twice)
    assert answer.status_code == 422
    for name in (f"{at(first, 0)}-price", f"{at(first, 1)}-least", f"{at(other, 1)}-least"):
        assert f'id="e-{name}"' in answer.text, name
    assert await world.value("select count(*) from price_rule") == 0


async def test_a_rule_is_written_changed_and_switched(world: World) -> None:
    product = await world.product()
    owner, here = await staff(world), f"/products/{product.id}"
    assert "No rules yet" in (await owner.get(f"{here}/prices")).text
    assert (await owner.get(f"{here}/price-rules/new")).status_code == 200
    window = {"starts_at": "2027-05-31T18:00", "ends_at": "2027-06-01T00:00"}
    assert (await owner.post(f"{here}/price-rules", RULE | window)).status_code == 303
    (rule,) = await world.rows("select * from price_rule")
    assert (rule["effect"], rule["value"], rule["stock_below"], rule["starts_at"].isoformat()) == (
        "share", 2000, 5, "2027-05-31T10:00:00+00:00",
    )  # fmt: skip
    told = words((await owner.get(f"{here}/prices")).text)
    assert "fewer than 5 left" in told
    assert "+20%" in told
    page = (await owner.get(f"{here}/price-rules/{rule['id']}")).text
    assert 'value="2027-05-31T18:00"' in page
    assert 'value="20.00"' in page
    changed = {"kind": "amount_less", "value": "2.50", "audience": "registered", "priority": "3"}
    assert (await owner.post(f"{here}/price-rules/{rule['id']}", changed)).status_code == 303
    assert (await owner.post(f"{here}/price-rules/{rule['id']}/switch", {"is_on": ""})).status_code == 303
    assert (await owner.post(f"{here}/price-rules/{rule['id']}/switch", {"is_on": ""})).status_code == 303
    (rule,) = await world.rows("select * from price_rule")
    assert (rule["effect"], rule["value"], rule["audience"], rule["stock_below"], rule["is_on"], rule["version"]) == (
        "amount", -250, "registered", None, False, 3,
    )  # fmt: skip
    assert "Switch on" in (await owner.get(f"{here}/prices")).text


async def test_every_fault_of_a_rule_is_said_and_kept(world: World) -> None:
    product = await world.product()
    owner, here = await staff(world), f"/products/{product.id}/price-rules"
    late = {"starts_at": "2027-06-02T00:00", "ends_at": "2027-06-01T00:00"}
    for typed, faults in [
        (RULE | {"value": "nothing", "audience": str(uuid4())} | late, ("value", "audience", "ends_at")),
        (RULE | {"kind": "free", "stock_below": "0", "starts_at": "soon"}, ("kind", "stock_below", "starts_at")),
        (RULE | {"kind": "share_less", "value": "100"}, ("value",)),
        (RULE | {"sku": str(uuid4())}, ("sku",)),
        (RULE | {"least_quantity": "101"}, ("least_quantity",)),
    ]:
        answer = await owner.post(here, typed)
        assert answer.status_code == 422, typed
        for name in faults:
            assert f'id="f-{name}-error"' in answer.text, (typed, name)
    assert await world.value("select count(*) from price_rule") == 0


async def test_who_may_only_look_and_strangers_change_nothing(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    rule = await ruled(world, product, RuleTerms(Effect.SHARE, -1000, sku.id))
    here, viewer = f"/products/{product.id}", await staff(world, MemberRole.READ_ONLY)
    assert "Save the steps" not in (await viewer.get(f"{here}/prices")).text
    other = await staff(world, tenant=await world.new_tenant("Bluebird"))
    for who, status in ((viewer, 403), (other, 404)):
        for path in (
            f"{here}/prices",
            f"{here}/price-rules",
            f"{here}/price-rules/{rule.id}",
            f"{here}/price-rules/{rule.id}/switch",
        ):
            assert (await who.post(path, RULE)).status_code == status, path
    assert (await other.get(f"{here}/prices")).status_code == 404
    foreign = await world.product(name="Another")
    owner = await staff(world)
    assert (await owner.post(f"/products/{foreign.id}/price-rules/{rule.id}/switch", {})).status_code == 404
    assert await world.value("select version from price_rule") == 1


async def test_buyers_see_the_steps_and_the_price_of_the_number_they_chose(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 30)
    await ruled(world, product, RuleTerms(Effect.UNIT_PRICE, 1800, sku.id, least_quantity=3))
    buyer, page = Buyer(world.client()), f"/products/{product.id}"
    told = words((await buyer.get(page)).text)
    assert "From 1 piece ¥19.90 each From 3 pieces ¥18.00 each" in told
    again = await buyer.send(page, "/checkout", act="change", quantity="4", contact="13800132046")
    assert again.status_code == 200
    assert "¥72.00 for 4" in words(again.text)
    assert fields(again.text, "/checkout")["contact"] == "13800132046"
    assert "¥54.00 for 3" in words((await buyer.get(f"{page}?quantity=3&listing={sku.listing.id}")).text)
    assert (await buyer.buy(product.id, quantity="4")).status_code == 303
    assert await world.value("select total_minor from shop_order") == 7200
    await buyer.send(page, "/cart/lines", quantity="2")
    await buyer.send(page, "/cart/lines", quantity="2")
    assert "¥72.00" in words((await buyer.get("/cart")).text)
    assert (await buyer.send("/cart", "/cart/checkout", contact="13800132047")).status_code == 303
    assert await world.value("select array_agg(unit_price_minor) from order_line") == [1800, 1800]


async def test_a_price_that_changed_after_the_page_was_opened_is_looked_at_again(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, 30)
    buyer, page = Buyer(world.client()), f"/products/{product.id}"
    opened = fields((await buyer.get(page)).text, "/checkout") | {"contact": "13800132046"}
    await ruled(world, product, RuleTerms(Effect.SHARE, 1000, sku.id, ends_at=clock.now() + timedelta(hours=1)))
    answer = await buyer.client.post("/checkout", data=opened)
    assert answer.status_code == 409
    assert "Look at it again before you pay" in answer.text
    assert "¥21.89" in words(answer.text)
    assert re.search(r'name="mark" value="(\w+)"', answer.text)
    assert await world.value("select count(*) from shop_order") == 0
    home = words((await buyer.get("/")).text)
    assert "¥21.89" in home
