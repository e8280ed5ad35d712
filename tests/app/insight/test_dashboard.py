"""The dashboard: real figures, each equal to the list it leads to; a set-up list that ticks itself."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from app.access.models import MemberRole
from app.catalog.service import SkuTerms
from app.insight import queries, rules
from app.kernel import clock, i18n
from app.ordering.filters import Period
from app.ordering.placing import Placed
from tenants.session import tenant_tx
from tests.staff import Desk, desk, words_of
from tests.world import World

pytestmark = [pytest.mark.anyio]


def stats(html: str) -> list[tuple[str, str, str]]:
    """Label, value and address of each figure."""
    found = re.findall(r'<a class="stat" href="([^"]+)"[^>]*><span class="k">([^<]+)</span><span class="v">([^<]+)', html)
    return [(label, value, href.replace("&amp;", "&")) for href, label, value in found]


async def listed(staff: Desk, href: str) -> tuple[int, str]:
    """How many orders a list holds, and what it says they come to."""
    page = await staff.client.get(href)
    assert page.status_code == 200
    text = words_of(page.text)
    counted = re.search(r"\d+ to \d+ of ([\d,]+) ", text)
    together = re.search(r"Together (¥[\d,.]+)", text)
    return (int(counted[1].replace(",", "")), together[1]) if counted and together else (0, "¥0.00")


async def moved(world: World, order: Placed, back: timedelta) -> None:
    """Let an order have happened earlier."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(
            "update shop_order set placed_at = placed_at - $2::interval, paid_at = paid_at - $2, ended_at = ended_at - $2 where id = $1",
            order.id,
            back,
        )


async def busy_days(world: World) -> None:
    product = await world.product(SkuTerms("Month", 1990, warn_below=50), SkuTerms("Year", 19900))
    month, year = product.skus
    await world.stock(month.id, 8)
    await world.stock(year.id, 3)
    await world.bought(month.listing.id)
    await world.bought(month.listing.id, 2, contact="lin@mail.example")
    await world.bought(year.listing.id)
    await world.order(month.listing.id)
    await moved(world, await world.bought(year.listing.id), timedelta(days=1, minutes=1))
    await moved(world, await world.bought(month.listing.id), timedelta(days=3))
    await moved(world, await world.bought(month.listing.id), timedelta(days=20))


async def test_a_new_shop_sees_what_is_left_to_do_and_no_invented_figures(world: World) -> None:
    text = words_of((await (await desk(world)).get()).text)
    assert "Getting ready, 4 steps left" in text
    assert "Done: Confirm your e-mail, Connect a gateway" in text
    assert "¥0.00" in text
    assert "Nothing waits for you" in text
    assert "Nothing sold in this time yet" in text


async def test_steps_tick_themselves(world: World) -> None:
    staff = await desk(world)
    assert "1 / 6" in words_of((await (await desk(world, tenant=await world.new_tenant(with_gateway=False))).get()).text)
    product = await world.product(on_sale=False)
    assert "3 / 6" in words_of((await staff.get()).text)
    await world.stock(product.skus[0].id, 1)
    assert "4 / 6" in words_of((await staff.get()).text)
    second = await world.product(name="Other")
    assert "5 / 6" in words_of((await staff.get()).text)
    await world.stock(second.skus[0].id, 1)
    await world.bought(second.skus[0].listing.id)
    text = words_of((await staff.get()).text)
    assert "6 / 6" in text
    assert "Everything is set up" in text


async def test_the_list_is_put_away_and_brought_back(world: World) -> None:
    staff = await desk(world)
    for _ in range(2):
        away = await staff.look(await staff.post("/setup-list", {"shown": "no"}))
        assert "Getting ready" not in away
        assert "Show the set-up list again" in away
    assert "Getting ready" in await staff.look(await staff.post("/setup-list", {"shown": "yes"}))
    reader = await desk(world, MemberRole.READ_ONLY)
    assert (await reader.post("/setup-list", {"shown": "no"})).status_code == 403
    assert "Put the set-up list away" not in (await reader.get()).text


@pytest.mark.parametrize("period", list(Period))
async def test_every_figure_equals_the_list_it_leads_to(world: World, period: Period) -> None:
    await busy_days(world)
    staff = await desk(world)
    html = (await staff.get(f"?range={period}")).text
    figures = {label: (value, href) for label, value, href in stats(html)}
    assert set(figures) == {"Sales", "Orders paid", "Delivered whole", "Paid to delivered"}
    number, total = await listed(staff, figures["Sales"][1])
    assert (total, str(number)) == (figures["Sales"][0], figures["Orders paid"][0])
    assert number == {Period.TODAY: 3, Period.YESTERDAY: 1, Period.WEEK: 5, Period.MONTH: 6}[period]
    delivered, _ = await listed(staff, figures["Delivered whole"][1])
    assert f"{delivered} of {number}" in words_of(html)
    rows = re.findall(r'<a class="row keep" href="([^"]+)".*?</a></td><td class="end" data-at="x">([\d,]+)</td>', html, re.S)
    assert rows
    for href, orders in rows:
        assert (await listed(staff, href.replace("&amp;", "&")))[0] == int(orders)


async def test_each_line_that_needs_somebody_equals_its_list(world: World) -> None:
    await busy_days(world)
    listing = await world.value("select id from listing where price_minor = 1990")
    waiting = [await world.order(listing) for _ in range(2)]
    for order in waiting:
        await world.pay(order)
        await world.ask_gateway(order)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update shop_order set paid_at = now() - interval '1 hour' where state = 'paid'")
    staff = await desk(world)
    html = (await staff.get()).text
    text = words_of(html)
    assert "2 orders are paid and not delivered" in text
    assert "Skylark Video Month is sold out" in text
    lines = re.findall(r'<li data-tone="[a-z]+"><a class="grow row keep[^"]*" href="([^"]+)">.*?<b>([^<]+)</b>', html)
    assert lines
    for href, label in lines:
        if "/orders?" in href:
            assert (await listed(staff, href))[0] == int(re.search(r"\d+", label)[0])  # type: ignore[index]


async def test_the_comparison_is_with_the_same_time_of_the_stretch_before(world: World) -> None:
    await busy_days(world)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(
            "update shop_order set paid_at = now() - interval '1 day' - interval '1 second' "
            "where paid_at < now() - interval '1 day' and paid_at > now() - interval '2 days'"
        )
        span = queries.span_of(Period.TODAY, clock.now())
        before = await queries.figures(tx, span.before_first, span.before_until)
    assert before.sales_minor in (0, 19900), "an order of yesterday counts only if it was paid by this time of day"
    assert "by now" in words_of((await (await desk(world)).get()).text)


async def test_the_chart_has_its_numbers_for_those_who_do_not_see_it(world: World) -> None:
    await busy_days(world)
    html = (await (await desk(world)).get()).text
    assert '<svg class="plot"' in html
    label = re.search(r'role="img" aria-label="([^"]+)"', html)
    assert label is not None
    assert "¥258.70 so far" in label[1].replace(",", "")
    table = html[html.index('<div class="sr-only"><table>') :]
    assert table[: table.index("</table>")].count("<tr>") == 25
    assert "¥258.70" in table
    assert "style=" not in html


@pytest.mark.parametrize(
    "query", ["range=year", "range=today&range=7d", "range=", "state=paid", "range=%00", "range='--", "x=1", "range=7d&page=2"]
)
async def test_any_other_period_is_refused(world: World, query: str) -> None:
    answer = await (await desk(world)).get(f"?{query}")
    assert answer.status_code == (200 if query == "range=" else 400)


@pytest.mark.parametrize("role", list(MemberRole))
async def test_every_role_may_see_it(world: World, role: MemberRole) -> None:
    assert (await (await desk(world, role)).get()).status_code == 200


async def test_a_stranger_and_a_guest_do_not(world: World) -> None:
    stranger = await desk(world, tenant=await world.new_tenant())
    assert (await stranger.client.get(f"/m/{world.tenant.slug}")).status_code == 404
    assert (await world.client("app").get(f"/m/{world.tenant.slug}")).status_code in (303, 401)


async def test_jobs_that_failed_for_good_are_listed_with_their_reason(world: World) -> None:
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(
            "insert into task (id, kind, lane, dedupe, state, run_at, attempts, last_error) "
            "values (gen_random_uuid(), 'integrations.send', 'messages', 'x', 'failed', now(), 12, 'NotHandedOver: <b>')"
        )
    text = words_of((await (await desk(world)).get()).text)
    assert "1 job failed for good" in text
    assert "A message could not be handed over" in text
    assert "NotHandedOver: &lt;b&gt;" in text


@pytest.mark.parametrize(
    ("now", "before", "text", "tone"),
    [(150, 100, "50% more than yesterday by now", "up"), (80, 100, "20% less than yesterday by now", "down"), (5, 5, "As much as yesterday by now", "dim"),
     (5, 0, "Nothing yesterday by now", "dim"), (0, 0, "As much as yesterday by now", "dim"), (1236, 1000, "23.6% more than yesterday by now", "up")],
)  # fmt: skip
def test_comparisons_are_in_words(now: int, before: int, text: str, tone: str) -> None:
    with i18n.speaking("en"):
        assert rules.compared(now, before, Period.TODAY) == rules.Change(text, tone)


@pytest.mark.parametrize(
    ("values", "top"), [([], 4), ([0, 0], 4), ([3], 4), ([5], 8), ([9], 20), ([817_000], 2_000_000), ([4], 4)]
)
def test_axes_hold_every_value_at_round_numbers(values: list[int], top: int) -> None:
    found = rules.scale(values)
    assert (found.top, len(found.lines)) == (top, 4)
    assert found.lines[0] == top


def test_days_before_are_cut_at_the_same_time() -> None:
    now = datetime(2026, 11, 21, 6, 30, tzinfo=UTC)  # 14:30 in Shanghai
    span = queries.span_of(Period.TODAY, now)
    assert span.first == datetime(2026, 11, 20, 16, tzinfo=UTC)
    assert span.before_until == now - timedelta(days=1)
    week = queries.span_of(Period.WEEK, now)
    assert (week.until - week.first) == (week.before_until - week.before_first)
    assert week.before_until <= week.first
