"""The route of a SKU, the board, and the attempts on an order's page."""

from __future__ import annotations

import html
import json
import re
from uuid import UUID, uuid4

import pytest

from app.access.models import MemberRole
from app.catalog.service import SkuTerms
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.suppliers.pages import board
from tenants.session import tenant_tx
from tests.app.staff import staff
from tests.app.suppliers.linked import Linked, item, keep, linked, on, reader, stranger
from tests.simulators import SupplierSimulator
from tests.world import World

pytestmark = [pytest.mark.anyio]
ROUTE = {"policy": "fixed_order", "floor": "5", "deadline_minutes": "30"}


async def two(world: World, company: SupplierSimulator) -> tuple[Linked, Linked, list[UUID]]:
    """Two connections, switched on, each with an offer: the first at ¥10, the second at ¥12."""
    first = await linked(world, company, goods=0)
    second = Linked(first.owner, first.supplier_id, new_id(), first.credentials)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(_COPY, second.id, first.id)
    offers = await keep(world, first.id, item("one", "10", name="Month at first", stock=5))
    offers += await keep(world, second.id, item("two", "12", name="Month at second"))
    for link in (first, second):
        await on(world, link.id)
    return first, second, offers


async def sku_of(world: World) -> UUID:
    found: UUID = (await world.product(SkuTerms("Month", 1990))).skus[0].id
    return found


async def test_route_is_made_of_offers_of_several_connections(world: World, company: SupplierSimulator) -> None:
    first, _, (one, other) = await two(world, company)
    sku_id = await sku_of(world)
    path, owner = f"/skus/{sku_id}/route", first.owner
    empty = (await owner.get(path)).text
    assert "No offer yet" in empty
    assert "Month at second" in empty
    sent = {**ROUTE, "add": [str(other), str(one)]}
    for _ in range(2):
        assert (await owner.post(path, sent)).status_code == 303
    placed = await world.rows("select offer_id from route_offer order by position")
    assert [row["offer_id"] for row in placed] == [other, one]
    assert await world.value("select floor_bp from sku where floor_bp is not null") == 500
    await world.work(Lane.ORDERS)
    page = html.unescape((await owner.get(path)).text)
    assert "Chosen as the first of the fixed order that can serve." in page
    assert f"/skus/{sku_id}/route" in (await owner.get(f"/products/{await world.value('select product_id from sku')}")).text


async def test_order_weights_and_offers_are_changed_and_taken_off(world: World, company: SupplierSimulator) -> None:
    first, _, (one, other) = await two(world, company)
    path, owner = f"/skus/{await sku_of(world)}/route", first.owner
    await owner.post(path, {**ROUTE, "add": [str(one), str(other)]})
    both = {
        "offer": [str(one), str(other)],
        f"place-{one}": "2",
        f"place-{other}": "1",
        f"weight-{one}": "3",
        f"weight-{other}": "7",
    }
    await owner.post(path, {**ROUTE, "policy": "weighted", **both})
    rows = await world.rows("select offer_id, weight from route_offer order by position")
    assert [(row["offer_id"], row["weight"]) for row in rows] == [(other, 7), (one, 3)]
    await owner.post(path, {**ROUTE, **both, f"off-{other}": "yes"})
    assert [row["offer_id"] for row in await world.rows("select offer_id from route_offer")] == [one]


async def test_page_says_who_cannot_serve_and_why_the_sku_is_off_the_shelf(world: World, company: SupplierSimulator) -> None:
    first, second, (one, other) = await two(world, company)
    sku_id = await sku_of(world)
    path, owner = f"/skus/{sku_id}/route", first.owner
    await owner.post(path, {**ROUTE, "add": [str(one), str(other)]})
    await owner.post(f"{first.path}/breaker", {"do": "trip"})
    await world.work(Lane.ORDERS)
    page = html.unescape((await owner.get(path)).text)
    assert "Cannot serve: its supplier is failing" in page
    assert "Passed over" in page
    await owner.post(f"{second.path}/breaker", {"do": "trip"})
    await world.work(Lane.ORDERS)
    page = html.unescape((await owner.get(path)).text)
    assert "Off the shelf: nobody can deliver it now" in page
    assert "Because its supplier is failing." in page
    shown = html.unescape((await owner.get("/suppliers/board")).text)
    assert "Off the shelf" in shown
    await owner.post(f"{first.path}/breaker", {"do": "restore"})
    await world.work(Lane.ORDERS)
    assert "Off the shelf" not in (await owner.get(path)).text


@pytest.mark.parametrize(
    ("field", "typed"),
    [("policy", "luck"), ("floor", "100"), ("floor", "-1"), ("deadline_minutes", "0"), ("deadline_minutes", "2881"), ("deadline_minutes", "")],
)  # fmt: skip
async def test_bad_route_is_refused_beside_its_field(world: World, company: SupplierSimulator, field: str, typed: str) -> None:
    first, _, (one, _other) = await two(world, company)
    answer = await first.owner.post(f"/skus/{await sku_of(world)}/route", {**ROUTE, "add": str(one), field: typed})
    assert answer.status_code == 422, (field, typed)
    assert f'id="f-{field}-error"' in answer.text
    assert await world.value("select count(*) from supply_route") == 0


async def test_bad_places_and_weights_are_all_named(world: World, company: SupplierSimulator) -> None:
    first, _, (one, other) = await two(world, company)
    path = f"/skus/{await sku_of(world)}/route"
    await first.owner.post(path, {**ROUTE, "add": [str(one), str(other)]})
    wrong = {
        "offer": [str(one), str(other)],
        f"place-{one}": "x",
        f"place-{other}": "1",
        f"weight-{one}": "1",
        f"weight-{other}": "0",
    }
    answer = await first.owner.post(path, {**ROUTE, **wrong})
    assert answer.status_code == 422
    assert set(re.findall(r'name="([^"]+)"[^>]*aria-invalid="true"', answer.text)) == {f"place-{one}", f"weight-{other}"}


async def test_mapping_to_what_is_not_there_is_refused(world: World, company: SupplierSimulator) -> None:
    first, _, (one, _) = await two(world, company)
    assert (await first.owner.post(f"/skus/{uuid4()}/route", {**ROUTE, "add": str(one)})).status_code == 404
    refused = await first.owner.post(f"/skus/{await sku_of(world)}/route", {**ROUTE, "add": str(uuid4())})
    assert refused.status_code == 422
    assert "does not exist any more" in refused.text
    assert await world.value("select count(*) from supply_route") == 0


async def test_route_is_read_by_readers_and_hidden_from_strangers(world: World, company: SupplierSimulator) -> None:
    first, _, (one, _) = await two(world, company)
    path = f"/skus/{await sku_of(world)}/route"
    assert first
    looker = await reader(world)
    assert (await looker.get(path)).status_code == 200
    assert (await looker.post(path, {**ROUTE, "add": str(one)})).status_code == 403
    other = await stranger(world)
    assert (await other.get(path)).status_code == 404
    assert (await other.post(path, {**ROUTE, "add": str(one)})).status_code == 404


async def test_empty_board_leads_on(world: World) -> None:
    looker = await reader(world)
    assert "Nothing is connected yet" in (await looker.get("/suppliers/board")).text


async def test_board_shows_figures_of_real_calls_and_how_long_balances_last(world: World, company: SupplierSimulator) -> None:
    first, _, (one, _) = await two(world, company)
    await first.owner.post(f"/skus/{await sku_of(world)}/route", {**ROUTE, "add": str(one)})
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(_CALLS, one, first.id)
        await tx.execute(
            "update supplier_connection set balance = 100, warn_below = 500, balance_at = now() where id = $1", first.id
        )
    page = html.unescape((await first.owner.get("/suppliers/board")).text)
    for words in ("97.5%", "40 calls", "≤ 1 s", "¥100.00", "Low", "Skylark Video Month"):
        assert words in page, words


async def test_board_is_told_by_a_stream_that_ends(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, _ = await two(world, company)
    monkeypatch.setattr(board, "LIVES_S", 0.5)
    monkeypatch.setattr(board, "EVERY_S", 0.2)
    answer = await first.owner.browser.get(
        f"{first.owner.base}/suppliers/board/events",
        headers={"accept": "text/html, text/event-stream", "hx-request-type": "partial"},
    )
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.count('id="board-now"') == 1, "what did not change is not told again"
    assert ": still there" in answer.text
    assert board._streams == 0


async def test_beyond_its_streams_the_board_is_asked_for(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _, _ = await two(world, company)
    monkeypatch.setattr(board, "MOST_STREAMS", 0)
    answer = await first.owner.browser.get(
        f"{first.owner.base}/suppliers/board/events",
        headers={"accept": "text/html, text/event-stream", "hx-request-type": "partial"},
    )
    assert answer.headers["content-type"].startswith("text/html")
    assert 'id="board-now"' in answer.text
    other = await stranger(world)
    assert (await other.browser.get(f"{first.owner.base}/suppliers/board/events")).status_code == 404


async def attempted(world: World, company: SupplierSimulator, state: str = "unknown") -> tuple[Linked, str, UUID]:
    """A paid order with one attempt in a state; the owner's link, the order's number, the attempt's id."""
    first, second, (one, other) = await two(world, company)
    product = await world.product(SkuTerms("Month", 1990))
    await world.stock(product.skus[0].id, 1)
    placed = await world.paid(product.skus[0].listing.id)
    line = await world.value("select id from order_line")
    passed = json.dumps([[str(other), "it would leave less than the least margin"]])
    async with tenant_tx(world.tenant) as tx:
        attempt_id = new_id()
        await tx.execute(_ATTEMPT, attempt_id, placed.id, line, product.skus[0].id, one, first.id, attempt_id.hex, state, passed)
    assert second
    return first, placed.order_no, attempt_id


async def test_order_page_says_who_was_chosen_why_and_who_was_passed_over(world: World, company: SupplierSimulator) -> None:
    link, order_no, attempt_id = await attempted(world, company)
    page = html.unescape((await link.owner.get(f"/orders/{order_no}")).text)
    for words in (
        attempt_id.hex, "Chosen as the cheapest that is healthy.", "Passed over: Second, it would leave less than the least margin",
        "Outcome unknown", "REF-1", "0.40 s", "¥10.00", "Ask now",
    ):  # fmt: skip
        assert words in page, words
    await cleared(world)


async def test_what_a_supplier_answered_is_shown_as_text_to_those_who_answer_buyers(
    world: World, company: SupplierSimulator
) -> None:
    link, order_no, _ = await attempted(world, company)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update attempt set evidence = 'HTTP 409 code=<b onclick=x>&'")
    for role in (MemberRole.SUPPORT, MemberRole.OPERATOR):
        page = (await (await staff(world, role)).get(f"/orders/{order_no}")).text
        assert "HTTP 409 code=&lt;b onclick=x&gt;&amp;" in page, role
        assert '<summary class="link sm">What it answered</summary>' in page, role
    for role in (MemberRole.READ_ONLY, MemberRole.FINANCE_CHECKER):
        assert "HTTP 409" not in (await (await staff(world, role)).get(f"/orders/{order_no}")).text, role
    assert link
    await cleared(world)


async def test_question_is_asked_once_and_nothing_is_sent(world: World, company: SupplierSimulator) -> None:
    link, order_no, attempt_id = await attempted(world, company)
    path = f"/orders/{order_no}/attempts/{attempt_id}/question"
    for _ in range(2):
        assert (await link.owner.post(path)).status_code == 303
    rows = await world.rows("select kind from task where subject_id = $1", attempt_id)
    assert [row["kind"] for row in rows] == ["fulfillment.ask"]
    assert "Supplier asked for its answer" in (await link.owner.get(f"/orders/{order_no}")).text
    assert (await (await reader(world)).post(path)).status_code == 403
    assert (await (await stranger(world)).post(path)).status_code == 404
    assert (await link.owner.post(f"/orders/{order_no}/attempts/{uuid4()}/question")).status_code == 404
    await cleared(world)


async def test_decided_attempt_has_nothing_to_ask(world: World, company: SupplierSimulator) -> None:
    link, order_no, attempt_id = await attempted(world, company, "failed")
    refused = await link.owner.post(f"/orders/{order_no}/attempts/{attempt_id}/question")
    assert refused.status_code == 409
    assert "nothing to ask" in refused.text
    await cleared(world)


async def cleared(world: World) -> None:
    """Take a made-up attempt away before the books are looked at."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("delete from attempt")
        await tx.execute("delete from task where kind = 'fulfillment.ask'")


_COPY = """
insert into supplier_connection (id, supplier_id, connector, name, config, calls_per_second, calls_at_once)
select $1, supplier_id, connector, 'Second', config, calls_per_second, calls_at_once from supplier_connection where id = $2
"""
_CALLS = """
insert into supply_minute (offer_id, connection_id, minute, calls, well, delivered, within_300_ms, within_1_s)
values ($1, $2, date_trunc('minute', now()), 40, 39, 20, 30, 9)
"""
_ATTEMPT = """
insert into attempt
  (id, order_id, order_line_id, unit_no, sku_id, seq, offer_id, connection_id, supplier_sku, out_no, state, expected_cost, currency, why, passed_over,
   sent_at, took_ms, supplier_ref)
values ($1, $2, $3, 1, $4, 1, $5, $6, 'one', $7, $8, 10, 'CNY', 'the cheapest that is healthy', $9::jsonb, now(), 400, 'REF-1')
"""
