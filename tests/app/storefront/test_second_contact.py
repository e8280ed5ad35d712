"""The e-mail address beside a phone: asked for where it makes sense, checked like every field, kept sealed."""

from __future__ import annotations

import pytest

from app.catalog import queries as catalog
from app.catalog.service import SkuTerms
from app.ordering import second_contacts
from app.storefront.shelf import forget_shelf
from tenants.session import tenant_session, tenant_tx
from tests.app.ordering.bundles import keys
from tests.app.ordering.subscriptions import pass_and_work, subscription
from tests.app.staff import staff
from tests.app.storefront.buyer import Answer, Buyer, fields, words
from tests.app.storefront.test_bundle_pages import paid
from tests.app.storefront.test_subscription_pages import actions
from tests.world import World

pytestmark = [pytest.mark.anyio]
PHONE, SPARE = "13800132046", "spare-me@mail.example"
FIELD = 'name="second_contact"'


async def kept(world: World) -> list[str | None]:
    """The second contact of each order, opened, the oldest first."""
    orders = await world.rows("select id from shop_order order by placed_at, id")
    async with tenant_tx(world.tenant) as tx:
        found = [await second_contacts.of_order(tx, order["id"]) for order in orders]
    return [contact.value if contact else None for contact in found]


async def rule(world: World, chosen: str) -> None:
    async with tenant_session(world.tenant) as session:
        shop = await catalog.storefront(session)
        assert shop is not None
        shop.contact_rule = chosen
    forget_shelf(world.tenant)


@pytest.mark.parametrize(
    ("shop", "contact", "second", "is_asked", "is_kept"),
    [
        ("either", PHONE, f" {SPARE.upper()} ", True, True),
        ("phone", PHONE, SPARE, True, True),
        ("either", PHONE, "", True, False),
        ("either", "a@mail.example", SPARE, True, False),
        ("either", "a@mail.example", "not an address", True, False),
        ("email", "a@mail.example", "not an address", False, False),
    ],
)
async def test_who_is_asked_and_what_is_kept(
    world: World, shop: str, contact: str, second: str, is_asked: bool, is_kept: bool
) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    await rule(world, shop)
    buyer = Buyer(world.client())
    assert (FIELD in (await buyer.get(f"/products/{product.id}")).text) is is_asked
    answer = await buyer.buy(product.id, contact=contact, second_contact=second)
    assert answer.status_code == 303, words(answer.text)
    assert await kept(world) == [SPARE if is_kept else None]
    assert SPARE not in str(await world.rows("select * from second_contact"))


@pytest.mark.parametrize("second", ["no address", "a@b", "x" * 300 + "@mail.example", "138 0013 2046", "a..b@mail.example"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_a_wrong_one_is_said_with_all_other_faults_and_kept(world: World, second: str, language: str) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    answer = await Buyer(world.client()).buy(
        product.id, quantity="0", contact="12", second_contact=second, headers={"accept-language": language}
    )
    assert answer.status_code == 422
    for name in ("quantity", "contact", "second_contact"):
        assert f'id="f-{name}-error"' in answer.text, name
    assert f'value="{second}"' in answer.text
    assert "<details" in answer.text.split(FIELD)[0].rsplit("</div>", 1)[1]
    assert " open>" in answer.text.split(FIELD)[0].rsplit("<details", 1)[1], "the fault can be seen"
    assert ("备用邮箱" in words(answer.text)) is (language == "zh-CN")
    assert await world.value("select count(*) from shop_order") == 0


async def test_the_cart_asks_and_checks_the_same(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1000), SkuTerms("Year", 5000))
    buyer = Buyer(world.client())
    for sku in product.skus:
        await world.stock(sku.id, 5)
        await buyer.post("/cart", "/cart/lines", listing=str(sku.listing.id), quantity="1")

    async def buy(**typed: str) -> Answer:
        return await buyer.client.post(
            "/cart/checkout", data={**fields((await buyer.get("/cart")).text, "/cart/checkout"), **typed}
        )

    wrong = await buy(contact="12", second_contact="no address")
    assert wrong.status_code == 422
    assert all(f'id="f-{name}-error"' in wrong.text for name in ("contact", "second_contact"))
    assert (await buy(contact=PHONE, second_contact=SPARE)).status_code == 303
    assert await kept(world) == [SPARE]


async def test_an_order_asked_for_again_keeps_its_first_answer(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    buyer = Buyer(world.client())
    form = {**fields((await buyer.get(f"/products/{product.id}")).text, "/checkout"), "contact": PHONE, "second_contact": SPARE}
    same = [await buyer.client.post("/checkout", data=form) for _ in range(2)]
    assert len({answer.headers["location"] for answer in same}) == 1
    other = await buyer.client.post("/checkout", data={**form, "second_contact": "another@mail.example"})
    assert other.status_code == 422
    assert "sent before with other content" in words(other.text)
    assert await kept(world) == [SPARE]


async def test_staff_see_it_masked_and_only_where_there_is_one(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    for second in (SPARE, ""):
        assert (await Buyer(world.client()).buy(product.id, contact=PHONE, second_contact=second)).status_code == 303
    owner = await staff(world)
    pages = [
        (await owner.get(f"/orders/{row['order_no']}")).text
        for row in await world.rows("select order_no from shop_order order by placed_at, id")
    ]
    assert ["Spare e-mail" in page for page in pages] == [True, False]
    assert "spa***@mail.example" in pages[0]
    assert SPARE not in pages[0]


async def test_a_renewal_goes_to_the_same_contacts(world: World) -> None:
    month = await keys(world, "Skylark Video", 2000, 5)
    product = await subscription(world, month.id, cycles=1, price_minor=3000)
    buyer = Buyer(world.client())
    assert (await buyer.buy(product.id, second_contact=SPARE)).status_code == 303
    placed = await paid(world)
    path, renew, _ = await actions(world, placed)
    await pass_and_work(world, 31)
    assert (await buyer.send(path, renew)).status_code == 303
    assert await kept(world) == [SPARE, SPARE]
