"""Placing an order from its form: what is taken, what is refused, and what is then still on the page."""

from __future__ import annotations

import asyncio
import re
from uuid import uuid4

import pytest

from app.catalog import queries as catalog
from app.catalog.service import SkuTerms
from app.storefront import checkout
from app.storefront.shelf import forget_shelf, shelf_of
from tenants.session import tenant_session, tenant_tx
from tests.app.storefront.buyer import Buyer, fields, words
from tests.world import World

pytestmark = [pytest.mark.anyio]


async def _nothing_happened(world: World) -> None:
    assert await world.value("select count(*) from shop_order") == 0
    assert await world.value("select coalesce(sum(reserved), 0) from stock") == 0


async def test_an_order_is_placed_and_its_address_cannot_be_guessed(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990))
    await world.stock(product.skus[0].id, 5)
    answer = await Buyer(world.client()).buy(product.id, quantity="2", contact="138 0013 2046")
    assert answer.status_code == 303
    order = (await world.rows("select * from shop_order"))[0]
    assert re.fullmatch(rf"/orders/{order['order_no']}/[\w-]{{22}}", answer.headers["location"])
    assert (order["total_minor"], order["contact_masked"], order["locale"], order["state"]) == (
        3980,
        "138****2046",
        "en",
        "awaiting_payment",
    )


async def test_sent_twice_it_is_one_order(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    buyer = Buyer(world.client())
    form = fields((await buyer.get(f"/products/{product.id}")).text, "/checkout")
    sent = {**form, "contact": "13800132046"}
    answers = await asyncio.gather(*(buyer.client.post("/checkout", data=sent) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert await world.value("select sum(reserved) from stock") == 1


async def test_a_form_sent_again_with_other_content_is_not_the_same_order(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    buyer = Buyer(world.client())
    form = fields((await buyer.get(f"/products/{product.id}")).text, "/checkout")
    await buyer.client.post("/checkout", data={**form, "contact": "13800132046"})
    again = await buyer.client.post("/checkout", data={**form, "contact": "13800132046", "quantity": "3"})
    assert again.status_code == 422
    assert "sent before with other content" in words(again.text)
    anew = {**fields(again.text, "/checkout"), "contact": "13800132046"}
    assert anew["request_id"] != form["request_id"]
    assert (await buyer.client.post("/checkout", data=anew)).status_code == 303


QUANTITIES = ["0", "-1", "1.5", "2147483648", "1e3", "１", "٣", "", " ", "101", "abc", "0x1", "1 000", "+1"]


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.case("A12")
async def test_quantities_that_are_none(world: World, quantity: str) -> None:
    product = await world.product(SkuTerms("Month", 1990))
    await world.stock(product.skus[0].id, 500)
    answer = await Buyer(world.client()).buy(product.id, quantity=quantity, contact="buyer@example.com")
    assert answer.status_code == 422
    assert 'id="f-quantity-error"' in answer.text
    assert "buyer@example.com" in answer.text, "what was typed is kept"
    await _nothing_happened(world)


@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_all_faults_are_said_at_once_and_the_input_is_kept(world: World, language: str) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 17800))
    for sku in product.skus:
        await world.stock(sku.id, 5)
    chosen = str(product.skus[1].listing.id)
    answer = await Buyer(world.client()).buy(
        product.id, listing=chosen, quantity="１２", contact="12<b>", headers={"accept-language": language}
    )
    assert answer.status_code == 422
    assert answer.text.count('role="alert"') >= 2
    assert 'id="f-quantity-error"' in answer.text
    assert 'id="f-contact-error"' in answer.text
    assert 'value="１２"' in answer.text
    assert "12&lt;b&gt;" in answer.text
    assert re.search(rf'value="{chosen}"[^>]* checked', answer.text)
    assert ("请填" in words(answer.text)) is (language == "zh-CN")


@pytest.mark.parametrize(
    ("rule", "contact", "is_taken"),
    [
        ("phone", "13800132046", True),
        ("phone", "+852 5123 4567", True),
        ("phone", "１３８００１３２０４６", True),
        ("phone", "a@b.co", False),
        ("phone", "138001320", False),
        ("email", "A@B.co", True),
        ("email", "13800132046", False),
        ("email", "a@b", False),
        ("either", "a..b@c.co", False),
        ("either", "", False),
    ],
)
async def test_contacts_by_the_shops_rule(world: World, rule: str, contact: str, is_taken: bool) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    async with tenant_session(world.tenant) as session:
        (await catalog.storefront(session)).contact_rule = rule  # type: ignore[union-attr]
    forget_shelf(world.tenant)
    answer = await Buyer(world.client()).buy(product.id, contact=contact)
    assert answer.status_code == (303 if is_taken else 422)
    if not is_taken:
        await _nothing_happened(world)


@pytest.mark.parametrize(
    ("typed", "status"),
    [
        ({"listing": "not-an-id"}, 422),
        ({"listing": "00000000-0000-7000-8000-000000000000"}, 404),
        ({"listing": "x" * 5000}, 422),
        ({"request_id": ""}, 422),
        ({"request_id": "short"}, 422),
        ({"request_id": "' or 1=1 --aaaaaaaaaaa"}, 422),
        ({"contact": "a\x00@example.com"}, 400),
        ({"contact": "x" * 300}, 422),
        ({"quantity": "1\x00"}, 400),
        ({"contact": "x" * 100_001}, 400),
        ({"_csrf": "0" * 64}, 403),
        ({"_csrf": ""}, 403),
    ],
)
async def test_bad_input_is_a_sentence_and_changes_nothing(world: World, typed: dict[str, str], status: int) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    answer = await Buyer(world.client()).buy(product.id, **{"contact": "13800132046", **typed})
    assert answer.status_code == status, words(answer.text)
    assert "Traceback" not in answer.text
    await _nothing_happened(world)


@pytest.mark.case("H18")
async def test_the_price_a_browser_names_is_not_listened_to(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990))
    await world.stock(product.skus[0].id, 5)
    await Buyer(world.client()).buy(product.id, price_minor="1", total_minor="1", unit_price_minor="1")
    assert await world.value("select total_minor from shop_order") == 1990


@pytest.mark.case("G02")
async def test_a_foreign_tenants_listing_is_refused_like_an_unknown_one(world: World) -> None:
    other = await world.new_tenant("Other", with_gateway=False)
    theirs, mine = await world.product(tenant=other), await world.product()
    await world.stock(mine.skus[0].id, 5)
    answers = [
        await Buyer(world.client()).buy(mine.id, listing=str(listing), product="")
        for listing in (theirs.skus[0].listing.id, uuid4())
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    told = [re.sub(r'mono">\w+|content="[0-9a-f]{64}"', "", answer.text) for answer in answers]
    assert told[0] == told[1]


@pytest.mark.parametrize("body", [b'{"listing": 1}', b"[" * 200_000, b"\xff\xfe\x00", b"%00=%00"])
async def test_bodies_that_are_no_form(world: World, body: bytes) -> None:
    buyer = Buyer(world.client())
    token = re.search(r'name="csrf-token" content="([^"]+)"', (await buyer.get("/")).text)
    assert token
    for kind in ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = await buyer.client.post("/checkout", content=body, headers={"content-type": kind, "x-csrf-token": token[1]})
        assert 400 <= answer.status_code < 500, (kind, answer.status_code)
    await _nothing_happened(world)


async def test_a_body_of_ten_megabytes_is_refused(world: World) -> None:
    buyer = Buyer(world.client())
    answer = await buyer.client.post(
        "/checkout", content=b"x" * 10_000_000, headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert answer.status_code in (403, 413)
    await _nothing_happened(world)


async def test_sold_out_is_said_beside_the_button(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 9900))
    for sku in product.skus:
        await world.stock(sku.id, 1)
    buyer = Buyer(world.client())
    form = fields((await buyer.get(f"/products/{product.id}")).text, "/checkout")
    await world.order(product.skus[0].listing.id)
    answer = await buyer.client.post("/checkout", data={**form, "contact": "a@example.com"})
    assert answer.status_code == 409
    assert "Month is sold out. Nothing was ordered" in words(answer.text)
    assert "a@example.com" in answer.text
    assert await world.value("select count(*) from shop_order") == 1


async def test_more_than_is_left_takes_nothing(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 2)
    answer = await Buyer(world.client()).buy(product.id, quantity="3")
    assert answer.status_code == 409
    await _nothing_happened(world)


async def test_the_limit_counts_earlier_orders_of_the_contact(world: World) -> None:
    product = await world.product(buyer_limit=2)
    await world.stock(product.skus[0].id, 9)
    buyer = Buyer(world.client())
    assert (await buyer.buy(product.id, quantity="2")).status_code == 303
    refused = await buyer.buy(product.id, quantity="1", contact="+86 138-0013-2046")
    assert refused.status_code == 409
    assert "limited to 2 per buyer" in words(refused.text)
    assert (await buyer.buy(product.id, quantity="1", contact="other@example.com")).status_code == 303


@pytest.mark.case("A13")
async def test_a_price_that_changed_since_the_page_was_opened_is_shown_before_anything_is_ordered(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990))
    await world.stock(product.skus[0].id, 5)
    buyer = Buyer(world.client())
    form = fields((await buyer.get(f"/products/{product.id}")).text, "/checkout")
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update listing set price_minor = 2490")
    answers = [await buyer.client.post("/checkout", data={**form, "contact": "keep@example.com"}) for _ in range(2)]
    for answer in answers:  # first by the order function, whose price is the truth; then by the mark of the page that was opened
        assert answer.status_code == 409
        assert "price or offer changed" in words(answer.text)
        assert "¥24.90" in words(answer.text)
        assert "keep@example.com" in answer.text
    await _nothing_happened(world)
    sent = {**fields(answers[1].text, "/checkout"), "contact": "keep@example.com"}
    assert (await buyer.client.post("/checkout", data=sent)).status_code == 303
    assert await world.value("select total_minor from shop_order") == 2490


@pytest.mark.case("A13")
async def test_a_product_withdrawn_meanwhile(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    buyer = Buyer(world.client())
    form = fields((await buyer.get(f"/products/{product.id}")).text, "/checkout")
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update product set state = 'off_sale'")
    answer = await buyer.client.post("/checkout", data={**form, "contact": "13800132046"})
    assert answer.status_code == 404
    assert "not on sale here any more" in words(answer.text)
    await _nothing_happened(world)


async def test_too_many_orders_from_one_address(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.kernel.rates import Limit, RateWindow

    window = RateWindow(Limit("checkout", 2, 60))
    monkeypatch.setattr(checkout, "_window", lambda: window)
    product = await world.product()
    await world.stock(product.skus[0].id, 9)
    buyer = Buyer(world.client())
    statuses = [(await buyer.buy(product.id)).status_code for _ in range(3)]
    assert statuses == [303, 303, 429]
    over = await buyer.buy(product.id)
    assert int(over.headers["retry-after"]) >= 1
    spoofed = await buyer.buy(product.id, headers={"x-forwarded-for": "203.0.113.9"})
    assert spoofed.status_code == 429
    assert await world.value("select count(*) from shop_order") == 2


async def test_ten_buyers_and_three_keys(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    buyers = [Buyer(world.client()) for _ in range(10)]
    forms = [fields((await buyer.get(f"/products/{product.id}")).text, "/checkout") for buyer in buyers]
    answers = await asyncio.gather(
        *(
            buyer.client.post("/checkout", data={**form, "contact": f"b{n}@example.com"})
            for n, (buyer, form) in enumerate(zip(buyers, forms, strict=True))
        )
    )
    assert sorted(answer.status_code for answer in answers) == [303] * 3 + [409] * 7
    assert await world.value("select available from stock") == 0


async def test_a_shelf_is_read_once_however_many_want_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.storefront import shelf

    forget_shelf(world.tenant)
    reads = 0
    real = shelf._read

    async def counting(tx: object) -> object:
        nonlocal reads
        reads += 1
        await asyncio.sleep(0.05)
        return await real(tx)  # type: ignore[arg-type]

    monkeypatch.setattr(shelf, "_read", counting)
    shelves = await asyncio.gather(*(shelf_of(world.tenant) for _ in range(20)))
    assert reads == 1
    assert len({id(one) for one in shelves}) == 1


async def test_a_shelf_read_before_it_was_to_be_forgotten_is_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.storefront import shelf

    forget_shelf(world.tenant)
    early = asyncio.create_task(shelf_of(world.tenant))
    await asyncio.sleep(0)
    forget_shelf(world.tenant)
    await early
    assert shelf.kept_shelf(world.tenant) is None
