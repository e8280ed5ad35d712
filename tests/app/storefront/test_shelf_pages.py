"""Home, categories, search, product, sheets and pictures."""

from __future__ import annotations

import re

import pytest

from app.catalog import queries as catalog
from app.catalog import service as catalog_service
from app.catalog.models import Picture
from app.catalog.service import SkuTerms
from app.kernel.ids import new_id
from app.storefront.files import sheet_of
from app.storefront.shelf import forget_shelf
from tenants import operating
from tenants.directory import PLATFORM, TenantState
from tenants.session import tenant_session, tenant_tx
from tests.app.storefront.buyer import Buyer, harmful, words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio]
EVIL = "<img src=x onerror=alert(1)>\"'{{7*7}}"


async def _category(world: World, name: str) -> str:
    async with tenant_session(world.tenant) as session:
        return str((await catalog_service.category_named(session, name)).id)


async def test_home_shows_what_is_on_sale_and_nothing_else(world: World) -> None:
    shown = await world.product(name="Skylark")
    hidden = await world.product(name="Draft", on_sale=False)
    home = await Buyer(world.client()).get("/")
    assert "Skylark" in home.text
    assert str(hidden.id) not in home.text
    assert "Sold out" in home.text, "no key was imported"
    await world.stock(shown.skus[0].id, 3)
    assert "Sold out" not in (await Buyer(world.client()).get("/")).text


async def test_an_empty_shop_says_so(world: World) -> None:
    assert "Nothing is on sale yet" in (await Buyer(world.client()).get("/")).text


async def test_categories_and_one_of_them(world: World) -> None:
    from uuid import UUID

    category = await _category(world, "Video")
    await world.product(name="Skylark", category_id=UUID(category))
    await world.product(name="Elsewhere")
    buyer = Buyer(world.client())
    assert "Video" in (await buyer.get("/categories")).text
    one = words((await buyer.get(f"/categories/{category}")).text)
    assert "Skylark" in one
    assert "Elsewhere" not in one
    assert (await buyer.get(f"/categories/{new_id()}")).status_code == 404


@pytest.mark.parametrize(
    ("query", "is_found"), [("sky", True), ("MONTH sky", True), ("sky year", False), ("", False), ("%", False), (EVIL, False)]
)
async def test_search(world: World, query: str, is_found: bool) -> None:
    product = await world.product(name="Skylark Video")
    answer = await Buyer(world.client()).get("/search", params={"q": query})
    assert answer.status_code == 200
    assert (f"/products/{product.id}" in answer.text) is is_found
    assert "<img src=x" not in answer.text


async def test_a_nul_in_a_search_is_refused_with_a_sentence(world: World) -> None:
    answer = await Buyer(world.client()).get("/search?q=a%00b")
    assert answer.status_code == 400
    assert "cannot be stored" in answer.text


async def test_product_page_shows_stock_limit_contact_and_a_form_of_its_own(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990, 2990), SkuTerms("Year", 17800), buyer_limit=2)
    await world.stock(product.skus[0].id, 3)
    first = await Buyer(world.client()).get(f"/products/{product.id}")
    second = await Buyer(world.client()).get(f"/products/{product.id}")
    text = words(first.text)
    for wanted in ("¥19.90", "3 left", "At most 2 per buyer", "Mobile number or e-mail", "Sold out"):
        assert wanted in text, wanted
    keys = [re.findall(r'name="request_id" value="([^"]+)"', page.text) for page in (first, second)]
    assert len(keys[0]) == 1
    assert keys[0] != keys[1]
    assert 'name="product_price' not in first.text


async def test_stock_is_read_anew_for_each_page(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 2)
    buyer = Buyer(world.client())
    assert "2 left" in (await buyer.get(f"/products/{product.id}")).text
    await world.order(product.skus[0].listing.id, 2)
    assert "Every key is sold" in (await buyer.get(f"/products/{product.id}")).text


@pytest.mark.parametrize(
    ("rule", "label"), [("phone", "Mobile number"), ("email", "E-mail"), ("either", "Mobile number or e-mail")]
)
async def test_the_contact_rule_names_the_field(world: World, rule: str, label: str) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 1)
    async with tenant_session(world.tenant) as session:
        (await catalog.storefront(session)).contact_rule = rule  # type: ignore[union-attr]
    forget_shelf(world.tenant)
    page = await Buyer(world.client()).get(f"/products/{product.id}")
    assert re.search(r'<label for="f-contact">([^<]+)</label>', page.text)[1] == label  # type: ignore[index]


async def test_another_tenants_product_is_not_there(world: World) -> None:
    other = await world.new_tenant("Other", with_gateway=False)
    product = await world.product(tenant=other)
    mine = await Buyer(world.client()).get(f"/products/{product.id}")
    none = await Buyer(world.client()).get(f"/products/{new_id()}")
    assert mine.status_code == none.status_code == 404
    assert 'class="shop"' in none.text, "in the shop's own shell"


@pytest.mark.parametrize(
    "path", ["/products/1", "/products/zzz", "/nowhere", "/products/%00", "/categories/x", "/s/products", "/pictures/1"]
)
async def test_addresses_that_lead_nowhere(world: World, path: str) -> None:
    assert (await Buyer(world.client()).get(path)).status_code == 404


@pytest.mark.case("H03")
async def test_what_a_merchant_writes_never_becomes_markup(world: World) -> None:
    async with tenant_session(world.tenant) as session:
        shop = await catalog.storefront(session)
        assert shop is not None
        shop.name = shop.tagline = shop.support_contact = EVIL
    product = await world.product(
        SkuTerms(EVIL[:40], 1990),
        name=EVIL,
        summary=EVIL,
        description_html='<p onclick="x()" hx-get="/x" style="a">ok</p><script>alert(1)</script><a href="javascript:x()">y</a>'
        + EVIL,
        usage_html='<svg onload="x()"></svg><iframe src="//evil"></iframe>' + EVIL,
    )
    await world.stock(product.skus[0].id, 1)
    buyer = Buyer(world.client())
    for path in ("/", f"/products/{product.id}", "/categories", "/help", "/terms", "/search?q=img"):
        html = (await buyer.get(path)).text
        assert harmful(html) == [], path
        assert "{{7*7}}" in html or path == "/categories", "shown as it was typed, and not worked out"


@pytest.mark.case("H03")
async def test_rich_text_stored_before_a_rule_is_cleaned_when_shown(world: World) -> None:
    product = await world.product()
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update product set description_html = '<b>ok</b><script>alert(1)</script>' where id = $1", product.id)
    forget_shelf(world.tenant)
    html = (await Buyer(world.client()).get(f"/products/{product.id}")).text
    assert "<b>ok</b>" in html
    assert "alert(1)" not in html


async def test_the_brand_sheet_changes_its_address_with_its_colour(world: World) -> None:
    buyer = Buyer(world.client())
    address = re.search(r'href="(/brand\.css\?v=\w+)"', (await buyer.get("/")).text)[1]  # type: ignore[index]
    sheet = await buyer.get(address)
    assert sheet.headers["content-type"].startswith("text/css")
    assert "immutable" in sheet.headers["cache-control"]
    async with tenant_session(world.tenant) as session:
        (await catalog.storefront(session)).brand_color = "#14507a"  # type: ignore[union-attr]
    forget_shelf(world.tenant)
    assert (await buyer.get("/brand.css")).text == sheet_of("#14507a")
    assert "immutable" not in (await buyer.get(address)).headers["cache-control"], "an old address is not kept for ever"
    assert address not in (await buyer.get("/")).text


@pytest.mark.case("H03")
@pytest.mark.parametrize("stored", ["red", "", "}body{display:none", "#9a3b1b;}"])
async def test_what_is_no_colour_never_becomes_css(world: World, stored: str) -> None:
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update storefront set brand_color = $1", stored)
    forget_shelf(world.tenant)
    assert (await Buyer(world.client()).get("/brand.css")).text == sheet_of("#9a3b1b")


@pytest.mark.case("G09")
async def test_a_picture_is_this_shops_own_and_kept_for_ever(world: World) -> None:
    picture = new_id()
    async with tenant_session(world.tenant) as session:
        session.add(Picture(id=picture, media_type="image/png", body=b"\x89PNG", width=1, height=1))
    mine = await Buyer(world.client()).get(f"/pictures/{picture}")
    assert (mine.status_code, mine.content, mine.headers["content-type"]) == (200, b"\x89PNG", "image/png")
    assert "immutable" in mine.headers["cache-control"]
    other = await world.new_tenant("Other", with_gateway=False)
    from app.settings import settings

    stranger = Buyer(world.client(f"{other.slug}.{settings().shops_host}"))
    assert (await stranger.get(f"/pictures/{picture}")).status_code == 404


@pytest.mark.parametrize("path", ["/terms", "/privacy", "/help"])
@pytest.mark.parametrize("language", ["en", "zh-CN"])
async def test_small_print_in_both_languages(world: World, path: str, language: str) -> None:
    answer = await Buyer(world.client()).get(path, headers={"accept-language": language})
    assert answer.status_code == 200
    assert f'<html lang="{language}">' in answer.text
    assert "15" in answer.text or path == "/privacy"


async def test_a_suspended_shop_is_closed_at_once_but_what_was_bought_stays(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 2)
    buyer = Buyer(world.client())
    order_path = (await buyer.buy(product.id)).headers["location"]
    async with tenant_tx(PLATFORM) as tx:
        await operating.set_state(tx, world.tenant, TenantState.SUSPENDED, reason="test")
    for path in ("/", f"/products/{product.id}", "/cart", "/search", "/categories", "/nowhere"):
        closed = await buyer.get(path)
        assert closed.status_code == 503, path
        assert "is closed for now" in closed.text
    for path in (order_path, "/orders", "/me", "/brand.css", "/help", "/terms"):
        assert (await buyer.get(path)).status_code == 200, path
    refused = await buyer.post(
        "/orders", "/checkout", listing=str(product.skus[0].listing.id), quantity="1", contact="13800132046"
    )
    assert refused.status_code == 503
    unpayable = await buyer.post(order_path, f"{order_path}/payment")
    assert unpayable.status_code == 503
    assert await world.value("select count(*) from shop_order") == 1
    async with tenant_tx(PLATFORM) as tx:
        await operating.set_state(tx, world.tenant, TenantState.ACTIVE, reason="test")
    assert (await buyer.get("/")).status_code == 200


@pytest.mark.case("H20")
async def test_no_page_is_stored_framed_or_named_to_another_site(world: World) -> None:
    answer = await Buyer(world.client()).get("/")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


async def test_withdrawn_products_leave_the_shelf(world: World) -> None:
    product = await world.product()
    async with tenant_session(world.tenant) as session:
        await catalog_service.withdraw(session, product.id, actor=STAFF)
    forget_shelf(world.tenant)
    assert (await Buyer(world.client()).get(f"/products/{product.id}")).status_code == 404


async def test_the_first_load_of_a_product_page_is_light(world: World) -> None:
    import gzip

    from app.kernel import templating

    product = await world.product(usage_html="<p>Redeem it.</p>" * 20)
    await world.stock(product.skus[0].id, 2)
    html = (await Buyer(world.client()).get(f"/products/{product.id}")).text
    files = set(re.findall(r"/static/([\w./-]+)\?v=", html))
    weight = len(gzip.compress(html.encode(), 6)) + sum(
        len(gzip.compress((templating.STATIC / f).read_bytes(), 6)) for f in files
    )
    assert weight < 120 * 1024, f"{weight:,} bytes"
