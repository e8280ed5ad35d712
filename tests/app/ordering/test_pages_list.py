"""The order list: what its address narrows it to, what it finds, and what it refuses."""

import re

import pytest

from app.access.models import MemberRole
from app.catalog.service import SkuTerms
from app.ordering import filters
from app.ordering.filters import OrderFilter
from tenants.session import tenant_tx
from tests.staff import desk, words_of
from tests.world import World

pytestmark = [pytest.mark.anyio]

FUZZ = [
    "' or 1=1 --", '" or ""="', "'; drop table shop_order; --", "1) union select null--", "%", "_", "%%", "\\", "$1", "{{7*7}}", "../../etc",
    "<script>alert(1)</script>", "\u202e", "０", "-1", "0", "1e9", "99999999999999999999", "null", "[]", "{}", "a" * 101, "\x00", "é\u0301",
]  # fmt: skip
PARAMETERS = [
    "q",
    "state",
    "payment",
    "problem",
    "by",
    "range",
    "from",
    "to",
    "channel",
    "product",
    "sku",
    "buyer",
    "sort",
    "size",
    "page",
    "x",
]


def numbers(html: str) -> list[str]:
    return re.findall(r'class="num" href="[^"]*/orders/(N\d{6}-[0-9A-Z]{7})"', html)


async def test_it_shows_orders_newest_first_with_their_state(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    bought = await world.bought(product.skus[0].listing.id)
    waiting = await world.order(product.skus[0].listing.id, contact="lin@mail.example")
    page = await (await desk(world)).get("/orders")
    assert page.status_code == 200
    assert numbers(page.text) == [waiting.order_no, bought.order_no]
    text = words_of(page.text)
    assert "Skylark Video Month" in text
    assert "138****2046" in text
    assert "13800132046" not in page.text
    assert "Together ¥39.80" in text


@pytest.mark.parametrize("role", list(MemberRole))
async def test_every_role_may_read_it(world: World, role: MemberRole) -> None:
    assert (await (await desk(world, role)).get("/orders")).status_code == 200


async def test_a_stranger_finds_nothing_here(world: World) -> None:
    stranger = await desk(world, tenant=await world.new_tenant())
    assert (await stranger.client.get(f"/m/{world.tenant.slug}/orders")).status_code == 404


async def test_empty_and_filtered_empty_are_two_things(world: World) -> None:
    staff = await desk(world)
    assert "No orders yet" in (await staff.get("/orders")).text
    product = await world.product()
    await world.stock(product.skus[0].id, 1)
    await world.order(product.skus[0].listing.id)
    narrowed = words_of((await staff.get("/orders?state=refunded")).text)
    assert "Nothing matches" in narrowed
    assert "None of 1 order fits these filters." in narrowed
    assert "Clear filters" in narrowed


async def test_each_filter_narrows_and_its_chip_takes_it_away(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990), SkuTerms("Year", 19900))
    month, year = product.skus
    await world.stock(month.id, 2)
    await world.stock(year.id, 2)
    paid = await world.bought(month.listing.id)
    unpaid = await world.order(year.listing.id, contact="lin@mail.example")
    staff = await desk(world)
    for query, found in {
        "state=delivered": [paid], "state=awaiting_payment&state=paid": [unpaid], "payment=unpaid": [unpaid], "payment=paid": [paid],
        "range=today": [unpaid, paid], "range=yesterday": [], "range=today&by=paid": [paid], "from=2020-01-01&to=2020-12-31": [],
        "channel=storefront": [unpaid, paid], "product=year": [unpaid], f"sku={month.id}": [paid], "problem=any": [],
        f"buyer={paid.order_no}": [paid], "sort=oldest": [paid, unpaid], "sort=largest": [unpaid, paid], "sort=smallest": [paid, unpaid],
    }.items():  # fmt: skip
        page = await staff.get(f"/orders?{query}")
        assert page.status_code == 200, query
        assert numbers(page.text) == [order.order_no for order in found], query
    chip = re.search(r'class="chip" href="([^"]+)"', (await staff.get("/orders?state=delivered&payment=paid")).text)
    assert chip is not None
    assert chip[1].endswith("/orders?payment=paid")


async def test_search_finds_by_number_contact_and_tails(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, ["QWER-TYUI-OPAS-7M2P", "QWER-TYUI-OPAS-R4XD"])
    first = await world.bought(product.skus[0].listing.id, contact="13800132046")
    second = await world.bought(product.skus[0].listing.id, contact="lin@mail.example")
    key_of_first = await world.value(
        "select masked from card_key k join delivery_unit u on u.card_key_id = k.id where u.order_id = $1", first.id
    )
    staff = await desk(world)
    for words, found in {
        first.order_no: [first], first.order_no.lower(): [first], first.order_no[:7]: [second, first], "2046": [first],
        "138 0013 2046": [first], "+8613800132046": [first], "LIN@mail.example": [second], key_of_first[-4:].lower(): [first],
        f"QWER-TYUI-OPAS-{key_of_first[-4:]}": [first], "Skylark": [second, first], "9999": [], "13900000000": [], "N261121-0000000": [],
    }.items():  # fmt: skip
        assert numbers((await staff.get("/orders", q=words)).text) == [order.order_no for order in found], words


@pytest.mark.case("H01")
async def test_wildcards_are_plain_signs(world: World) -> None:
    product = await world.product(name="50% Coffee_Voucher")
    await world.stock(product.skus[0].id, 1)
    order = await world.order(product.skus[0].listing.id)
    staff = await desk(world)
    for words, found in {"50%": [order], "e_v": [order], "5_%": [], "%%": [], "c%r": [], "\\": []}.items():
        assert numbers((await staff.get("/orders", product=words)).text) == [o.order_no for o in found], words
        assert numbers((await staff.get("/orders", q=words + "x" * 9)).text) == []


@pytest.mark.case("H01")
@pytest.mark.parametrize("name", PARAMETERS)
async def test_no_parameter_takes_what_is_not_its_own(world: World, name: str) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 1)
    await world.order(product.skus[0].listing.id)
    staff = await desk(world)
    for value in FUZZ:
        answer = await staff.get("/orders", **{name: value})
        free_text = name in ("q", "product") and value != "\x00" and len(value) <= 100
        free_text = free_text or (name == "channel" and value in ("1e9", "9" * 20, "null"))  # codes that a channel may have
        assert answer.status_code == (200 if free_text else 400), (name, value)
        if not free_text:
            assert "clear the filters" in words_of(answer.text), (name, value)
        assert "<script>alert" not in answer.text
    assert await world.value("select count(*) from shop_order") == 1


@pytest.mark.case("H02")
@pytest.mark.parametrize(
    "query",
    ["sort=password_hash", "sort=unit_cost", "sort=contact", "sort=total_minor%20desc", "orderBy=newest", "order_by=id", "size=101", "page=1001",
     "page=1&page=2",  "from=2026-02-02&to=2026-02-01", "from=2026-02-30", "state=paid&state=nothing"],
)  # fmt: skip
async def test_unknown_orders_and_sizes_are_refused_in_a_sentence(world: World, query: str) -> None:
    answer = await (await desk(world)).get(f"/orders?{query}")
    assert answer.status_code == 400
    assert "This list cannot be narrowed by" in words_of(answer.text)


async def test_a_page_of_a_long_list_is_bounded(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 12)
    placed = [await world.order(product.skus[0].listing.id) for _ in range(12)]
    staff = await desk(world)
    first, second = await staff.get("/orders?size=10"), await staff.get("/orders?size=10&page=2")
    assert numbers(first.text) + numbers(second.text) == [order.order_no for order in reversed(placed)]
    assert "page=2" in first.text
    assert "11 to 12 of 12" in words_of(second.text)
    assert "This page of the list is empty" in (await staff.get("/orders?size=10&page=9")).text


async def test_tabs_count_what_their_lists_hold(world: World) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    await world.bought(product.skus[0].listing.id)
    await world.order(product.skus[0].listing.id)
    staff = await desk(world)
    html = (await staff.get("/orders")).text
    tabs = re.findall(r'<a href="([^"]+)"[^>]*>([^<]+)<span class="count"[^>]*>([\d,]+)</span>', html)
    assert len(tabs) == 6
    for href, label, number in tabs:
        page = await staff.client.get(href.replace("&amp;", "&"))
        assert len(numbers(page.text)) == int(number), label
    assert {label: number for _, label, number in tabs}["Awaiting payment"] == "1"


async def test_the_tab_of_problems_counts_what_its_list_finds(world: World) -> None:
    """Each kind of problem, as a broken gateway or worker leaves it."""
    product = await world.product()
    await world.stock(product.skus[0].id, 5)
    listing, staff = product.skus[0].listing.id, await desk(world)
    declined, unknown = await world.bought(listing), await world.bought(listing)
    late, failed, mismatched = [await world.order(listing) for _ in range(3)]
    numbers_there = {row["order_id"]: row["payment_no"] for row in await world.rows("select order_id, payment_no from payment")}
    world.gateway.script({"decline": "closed"}, on="refund", out_no=numbers_there[declined.id])
    world.gateway.script({"before": "drop"}, on="refund", out_no=numbers_there[unknown.id])
    for order in (declined, unknown):
        await staff.post(f"/orders/{order.order_no}/refunds", {"stated_minor": "1990", "reason": "asked"})
        await world.work()
    for order in (late, failed):
        await world.pay(order)
        await world.ask_gateway(order)
    world.gateway.script({"misstate": "amount"}, on="notice")
    await world.pay(mismatched)
    await world.until("select true from history where event = 'payment.mismatch'")
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update shop_order set paid_at = now() - interval '1 hour' where id = $1", late.id)
        await tx.execute("update task set state = 'failed' where kind = 'fulfillment.deliver' and subject_id = $1", failed.id)
        # a worker that gives up leaves a case too; here only its mark is made
        world.may_break.add("INV-10")
    for problem, order in {
        "late": late, "refund_declined": declined, "refund_unknown": unknown, "work_failed": failed, "mismatch": mismatched,
    }.items():  # fmt: skip
        assert numbers((await staff.get(f"/orders?problem={problem}")).text) == [order.order_no], problem
    page = (await staff.get("/orders?problem=any")).text
    assert len(numbers(page)) == 5
    assert re.search(r'problem=any" aria-current="page">With problems<span class="count" data-tone="bad">5</span>', page)
    dashboard = words_of((await staff.get()).text)
    for line in (
        "1 order is paid and not delivered",
        "Work on 1 order failed",
        "declined a refund of 1 order",
        "1 order has a notice",
    ):
        assert line in dashboard


async def test_a_filter_is_saved_renamed_shared_and_deleted(world: World) -> None:
    staff, colleague = await desk(world), await desk(world, MemberRole.SUPPORT)
    page = await staff.get("/order-views?state=paid&sort=largest")
    assert "Save this list" in page.text
    saved = await staff.post("/order-views", {"name": "Big ones", "query": "state=paid&sort=largest"})
    assert saved.headers["location"].endswith("/orders?state=paid&sort=largest")
    assert "Big ones" in await staff.look(saved)
    assert "Big ones" not in (await colleague.get("/orders")).text
    view_id = await world.value("select id from order_view")
    assert (await colleague.post(f"/order-views/{view_id}", {"name": "Stolen"})).status_code == 404
    await staff.post(f"/order-views/{view_id}", {"name": "Largest", "is_shared": "on"})
    assert "Largest" in (await colleague.get("/orders")).text
    await colleague.post(f"/order-views/{view_id}/removal")
    assert await world.value("select count(*) from order_view") == 1
    for _ in range(2):
        assert (await staff.post(f"/order-views/{view_id}/removal")).status_code == 303
    assert await world.value("select count(*) from order_view") == 0


async def test_the_list_opens_with_the_view_a_person_chose_until_he_chooses_all_again(world: World) -> None:
    staff, colleague = await desk(world), await desk(world, MemberRole.SUPPORT)
    await staff.post("/order-views", {"name": "Big ones", "query": "state=paid&sort=largest", "is_shared": "on"})
    await staff.post("/order-views", {"name": "Mine", "query": "state=refunding"})
    ids = {row["name"]: row["id"] for row in await world.rows("select name, id from order_view")}
    assert (await staff.get("/orders")).status_code == 200
    for _ in range(2):
        assert (await colleague.post(f"/order-views/{ids['Big ones']}/default")).status_code == 303
    assert (await colleague.post(f"/order-views/{ids['Mine']}/default")).status_code == 404, "it is not shared"
    assert (await staff.get("/orders")).status_code == 200, "each person has his own"
    opened = await colleague.get("/orders")
    assert opened.status_code == 303
    assert opened.headers["location"].endswith("/orders?state=paid&sort=largest")
    everything = await colleague.get("/orders?view=all")
    assert everything.status_code == 200
    assert '/orders?view=all" aria-current="page">All' in everything.text
    assert re.search(r'/orders\?view=all"[^>]*>Clear filters', (await colleague.get("/orders?state=paid")).text)
    assert (await colleague.get("/orders?q=")).status_code == 200
    assert (await colleague.get("/orders?view=none")).status_code == 400
    assert "Opens first" in (await colleague.get("/order-views")).text
    for _ in range(2):
        assert (await colleague.post("/order-views/default/removal")).status_code == 303
    assert (await colleague.get("/orders")).status_code == 200
    await staff.post(f"/order-views/{ids['Mine']}/default")
    assert (await staff.get("/orders")).status_code == 303
    await staff.post(f"/order-views/{ids['Mine']}/removal")
    assert (await staff.get("/orders")).status_code == 200, "a view that is gone opens nothing"


async def test_a_view_without_a_name_comes_back_with_what_was_typed(world: World) -> None:
    staff = await desk(world)
    answer = await staff.post("/order-views", {"name": " ", "query": "state=paid", "is_shared": "on"})
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert (await staff.post("/order-views", {"name": "x", "query": "sort=secret"})).status_code == 400
    assert await world.value("select count(*) from order_view") == 0


async def test_a_fragment_of_the_views_is_asked_for_by_htmx(world: World) -> None:
    answer = await (await desk(world)).get("/order-views?state=paid", partial=True)
    assert "<html" not in answer.text
    assert "Save this list" in answer.text


async def test_no_more_views_than_a_person_can_read(world: World) -> None:
    staff = await desk(world)
    answers = [await staff.post("/order-views", {"name": f"v{i}", "query": "state=paid"}) for i in range(13)]
    assert [a.status_code for a in answers] == [303] * 12 + [409]


def test_an_address_reads_back_as_it_was_written() -> None:
    from urllib.parse import parse_qsl

    text = "q=a+b&state=paid&state=refunding&payment=paid&by=paid&from=2026-01-01&to=2026-02-01&product=%25_&sort=oldest&size=100&page=3"
    assert filters.read(parse_qsl(text)).query() == text
    assert filters.read([("q", " "), ("state", "")]) == OrderFilter()
