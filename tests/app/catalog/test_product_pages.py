"""The pages of products: what a merchant sees, what is refused and how."""

import html
import re
from typing import Any
from uuid import uuid4

import pytest

from app.access.models import MemberRole
from app.catalog.service import SkuTerms
from app.storefront.shelf import shelf_of
from tests.app.staff import staff
from tests.world import World

pytestmark = [pytest.mark.anyio]

ROW = {"sku-0-name": "Month", "sku-0-price": "19.90", "sku-0-warn_below": "5"}
FORM = {"name": "Skylark Video", "kind": "card_key", "cover_icon": "film", "cover_hue": "3", **ROW}


async def saved(world: World, **changes: Any) -> str:
    """The id of a product made through the form."""
    answer = await (await staff(world)).post("/products", FORM | changes)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].rpartition("/")[2]


async def test_list_shows_price_stock_and_state(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990, warn_below=5), SkuTerms("Year", 19800))
    await world.stock(product.skus[0].id, 3)
    answer = await (await staff(world)).get("/products")
    assert answer.status_code == 200
    assert "Skylark Video" in answer.text
    assert "¥19.90" in answer.text
    assert "¥198.00" in answer.text
    assert "On sale" in answer.text
    assert "Low" in answer.text


async def test_list_is_a_fragment_for_htmx(world: World) -> None:
    await world.product()
    answer = await (await staff(world)).get("/products", part=True)
    assert "<html" not in answer.text
    assert answer.text.lstrip().startswith('<div id="product-list"')


async def test_empty_and_filtered_empty_say_different_things(world: World) -> None:
    owner = await staff(world)
    assert "No products yet" in (await owner.get("/products")).text
    await world.product()
    filtered = (await owner.get("/products?q=nothing")).text
    assert "No product fits these filters. Without them there is 1." in filtered
    assert "Clear filters" in filtered


async def test_views_and_search_count_what_they_list(world: World) -> None:
    await world.product(name="Skylark 100%")
    await world.product(name="Bamboo Reader", on_sale=False)
    owner = await staff(world)
    drafts = (await owner.get("/products?state=draft")).text
    assert "Bamboo Reader" in drafts
    assert "Skylark" not in drafts
    assert "Skylark 100%" in (await owner.get("/products?q=100%25")).text
    for odd in ("state=nonsense", "page=0", "page=abc", "page=99999999", "page=１"):
        assert (await owner.get(f"/products?{odd}")).status_code == 200
    assert (await owner.get("/products?category=1")).status_code == 404


async def test_reader_sees_products_and_cannot_change_them(world: World) -> None:
    product = await world.product()
    reader = await staff(world, MemberRole.READ_ONLY)
    listed = await reader.get("/products")
    assert listed.status_code == 200
    assert "New product" not in listed.text
    for path in ("/products", f"/products/{product.id}", f"/products/{product.id}/withdrawal"):
        assert (await reader.post(path, FORM)).status_code == 403
    assert (await reader.get("/products/new")).status_code == 403
    assert await world.value("select state from product") == "on_sale"


@pytest.mark.case("G02")
async def test_another_merchants_product_is_not_there(world: World) -> None:
    product = await world.product()
    stranger = await staff(world, tenant=await world.new_tenant("Other"))
    assert (await stranger.get(f"/products/{product.id}")).status_code == 404
    assert (await stranger.post(f"/products/{product.id}", FORM)).status_code == 404
    stranger.base = f"/m/{world.tenant.slug}"
    assert (await stranger.get("/products")).status_code == 404


async def test_new_product_is_a_draft_until_it_is_put_on_sale(world: World) -> None:
    owner = await staff(world)
    product_id = await saved(world, new_category="Video", usage="Open the app.\nType the key.")
    assert await world.value("select state from product") == "draft"
    assert (await shelf_of(world.tenant)).products == {}
    assert (await owner.post(f"/products/{product_id}/publication")).status_code == 303
    shelved = next(iter((await shelf_of(world.tenant)).products.values()))
    assert shelved.usage_html == "<p>Open the app.</p><p>Type the key.</p>"
    assert (await owner.post(f"/products/{product_id}/publication")).status_code == 303
    assert (await owner.post(f"/products/{product_id}/withdrawal")).status_code == 303
    assert (await shelf_of(world.tenant)).products == {}


async def test_shop_shows_a_new_price_at_once_and_the_page_its_history(world: World) -> None:
    product = await world.product()
    listing = product.skus[0].listing.id
    assert (await shelf_of(world.tenant)).offers[listing].price_minor == 1990
    owner = await staff(world)
    sent = FORM | {"sku-0-id": str(product.skus[0].id), "sku-0-price": "18.90", "sku-0-was": "19.90"}
    assert (await owner.post(f"/products/{product.id}", sent)).status_code == 303
    assert (await shelf_of(world.tenant)).offers[listing].price_minor == 1890
    shown = (await owner.get(f"/products/{product.id}")).text
    assert "¥19.90 → ¥18.90" in shown
    assert "Lin" in shown


async def test_all_faults_are_named_at_once_and_the_input_is_kept(world: World) -> None:
    owner = await staff(world)
    wrong = FORM | {"name": "", "buyer_limit": "0", "sku-0-price": "-1", "sku-0-was": "1.999", "sku-0-warn_below": "1.5"}
    wrong |= {"sku-1-name": "Month", "sku-1-price": "10", "sku-1-was": "9", "description": "Kept words"}
    answer = await owner.post("/products", wrong)
    assert answer.status_code == 422
    invalid = set(re.findall(r'name="([^"]+)"[^>]*aria-invalid="true"', answer.text))
    assert invalid == {"name", "buyer_limit", "sku-0-price", "sku-0-was", "sku-0-warn_below", "sku-1-was"}
    assert "Kept words" in answer.text
    assert 'value="1.999"' in answer.text
    assert await world.value("select count(*) from product") == 0


@pytest.mark.parametrize(
    ("field", "typed"),
    [
        ("sku-0-price", "0"), ("sku-0-price", "0.00"), ("sku-0-price", "-1"), ("sku-0-price", "1e3"), ("sku-0-price", "99999999999"),
        ("sku-0-price", "NaN"), ("sku-0-price", "1.234"), ("sku-0-price", ""), ("buyer_limit", "0"), ("buyer_limit", "-1"),
        ("buyer_limit", "1.5"), ("buyer_limit", "2147483648"), ("buyer_limit", "１０"), ("sku-0-warn_below", "2147483648"),
        ("sku-0-name", ""), ("sku-0-name", "x" * 61), ("name", "x" * 121), ("name", "two\nlines"), ("kind", "nonsense"),
        ("kind", ""), ("cover_hue", "7"), ("cover_icon", "../../etc"), ("category", "not-an-id"), ("description", "x" * 20_001),
        ("sku-0-id", "not-an-id"),
    ],
)  # fmt: skip
async def test_bad_input_is_refused_beside_its_field(world: World, field: str, typed: str) -> None:
    answer = await (await staff(world)).post("/products", FORM | {field: typed})
    assert answer.status_code == 422, (field, typed)
    assert f'id="f-{field}-error"' in answer.text or f'href="#f-{field}"' in answer.text
    assert await world.value("select count(*) from product") == 0


@pytest.mark.parametrize("typed", ["a\x00b", "x" * 100_001])
async def test_what_no_form_holds_is_refused_as_a_whole(world: World, typed: str) -> None:
    answer = await (await staff(world)).post("/products", FORM | {"name": typed})
    assert answer.status_code == 400
    assert await world.value("select count(*) from product") == 0


async def test_full_width_amounts_are_read_as_people_mean_them(world: World) -> None:
    await saved(world, **{"sku-0-price": "１９．９０"})
    assert await world.value("select price_minor from listing") == 1990


@pytest.mark.case("G02")
async def test_foreign_and_unknown_ids_change_nothing(world: World) -> None:
    mine, other = await world.product(name="Mine"), await world.product(name="Other")
    owner = await staff(world)
    foreign_sku = await owner.post(f"/products/{mine.id}", FORM | {"sku-0-id": str(other.skus[0].id)})
    assert foreign_sku.status_code == 422
    assert (await owner.post("/products", FORM | {"category": str(uuid4())})).status_code == 422
    assert (await owner.post(f"/products/{uuid4()}", FORM)).status_code == 404
    assert {row["name"] for row in await world.rows("select name from product")} == {"Mine", "Other"}


@pytest.mark.case("H18")
async def test_unknown_fields_change_nothing_else(world: World) -> None:
    await saved(
        world, state="on_sale", position="-5", tenant_id=str(uuid4()), description_html="<script>", picture_id=str(uuid4())
    )
    row = (await world.rows("select state, position, picture_id, description_html from product"))[0]
    assert row == {"state": "draft", "position": 0, "picture_id": None, "description_html": ""}


async def test_rows_are_added_and_removed_without_scripts(world: World) -> None:
    owner = await staff(world)
    more = await owner.post("/products", FORM | {"act": "add_row"})
    assert more.status_code == 200
    assert 'name="sku-1-name"' in more.text
    assert 'value="19.90"' in more.text
    fewer = await owner.post("/products", FORM | {"sku-1-name": "Year", "sku-1-price": "198", "act": "remove_row:0"})
    assert 'name="sku-0-name"' not in fewer.text
    assert 'value="Year"' in fewer.text
    assert await world.value("select count(*) from product") == 0


async def test_rows_are_swapped_in_place_by_htmx(world: World) -> None:
    part = await (await staff(world)).post("/products", FORM | {"act": "add_row"}, part=True)
    assert "<html" not in part.text
    assert part.text.lstrip().startswith('<div class="stack" id="skus">')
    assert 'name="sku-1-name"' in part.text


async def test_a_subscription_is_kept_as_a_draft_until_it_has_a_plan(world: World) -> None:
    owner = await staff(world)
    redrawn = await owner.post("/products", FORM | {"kind": "subscription", "act": "kind"}, part=True)
    assert "warn_below" not in redrawn.text
    product_id = await saved(world, kind="subscription")
    assert "Until then it cannot be put on sale" in (await owner.get(f"/products/{product_id}")).text
    refused = await owner.post(f"/products/{product_id}/publication")
    assert refused.status_code == 422
    assert "Say first what Month delivers each cycle" in refused.text
    assert await world.value("select state from product") == "draft"


async def test_removed_sku_leaves_the_shelf_and_comes_back_by_its_name(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 19800))
    month, year = product.skus
    owner = await staff(world)
    assert (await owner.post(f"/products/{product.id}", FORM | {"sku-0-id": str(month.id)})).status_code == 303
    assert list((await shelf_of(world.tenant)).offers) == [month.listing.id]
    back = FORM | {"sku-0-id": str(month.id), "sku-1-name": "Year", "sku-1-price": "188"}
    assert (await owner.post(f"/products/{product.id}", back)).status_code == 303
    assert set((await shelf_of(world.tenant)).offers) == {month.listing.id, year.listing.id}
    assert await world.value("select count(*) from sku") == 2


async def test_two_skus_may_exchange_their_names(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 19800))
    month, year = product.skus
    sent = FORM | {
        "sku-0-id": str(month.id),
        "sku-0-name": "Year",
        "sku-1-id": str(year.id),
        "sku-1-name": "Month",
        "sku-1-price": "1",
    }
    assert (await (await staff(world)).post(f"/products/{product.id}", sent)).status_code == 303
    names = {row["id"]: row["name"] for row in await world.rows("select id, name from sku")}
    assert names == {month.id: "Year", year.id: "Month"}


async def test_saving_twice_changes_nothing_more(world: World) -> None:
    product = await world.product()
    owner = await staff(world)
    sent = FORM | {"sku-0-id": str(product.skus[0].id), "sku-0-price": "21"}
    for _ in range(2):
        assert (await owner.post(f"/products/{product.id}", sent)).status_code == 303
    assert await world.value("select count(*) from sku") == 1
    assert await world.value("select count(*) from price_change where to_minor = 2100") == 1


@pytest.mark.case("H03")
async def test_words_of_a_product_cannot_run_or_be_read_by_htmx(world: World) -> None:
    hostile = (
        '<p hx-get="/x" onclick="a()">Hello</p><script>alert(1)</script><a href="javascript:a()">b</a><img src=x onerror=a()>'
    )
    product_id = await saved(world, name='<b onmouseover="a()">', summary='"><script>1</script>', description=hostile)
    stored = await world.value("select description_html from product")
    assert not re.search(r"script|hx-|on\w+=|javascript|<img", stored)
    shown = (await (await staff(world)).get(f"/products/{product_id}")).text
    assert "<script>1" not in shown
    assert "<b onmouseover" not in shown


async def test_plain_words_come_back_as_they_were_typed(world: World) -> None:
    typed = "1 < 2 & 3 > 1\nSecond line"
    product_id = await saved(world, description=typed)
    shown = (await (await staff(world)).get(f"/products/{product_id}")).text
    assert typed in html.unescape(shown)


async def test_form_without_its_token_is_refused(world: World) -> None:
    owner = await staff(world)
    await owner.get("/products")
    owner._token = "forged"
    assert (await owner.post("/products", FORM)).status_code == 403
    assert await world.value("select count(*) from product") == 0


async def test_on_sale_needs_a_session(world: World) -> None:
    product = await world.product()
    answer = await world.client("app").get(f"/m/{world.tenant.slug}/products/{product.id}")
    assert (answer.status_code, answer.headers["location"].partition("?")[0]) == (303, "/log-in")
