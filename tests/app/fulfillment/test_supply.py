"""Buying from suppliers: one unit, one purchase, whatever answers, stalls or dies; counted at the companies' own books."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.fulfillment import asking, attempts, buying, outcomes
from app.fulfillment.revealing import reveal
from app.kernel import http
from app.kernel.actor import Actor, ActorKind
from app.kernel.tasks import Lane
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import (
    GOODS,
    attempt_states,
    make_due,
    order_state,
    out_numbers,
    refund,
    routed,
    settle,
    source,
)
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
BUYER = Actor(ActorKind.BUYER, None, "138****2046")


@pytest.fixture(scope="module")
def two_companies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[SupplierSimulator, SupplierSimulator]]:
    with ExitStack() as stack:
        folders: list[Path] = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
        first, second = [stack.enter_context(supplier_simulator(folder, "tango")) for folder in folders]
        yield first, second


@pytest.fixture
def companies(two_companies: tuple[SupplierSimulator, SupplierSimulator]) -> tuple[SupplierSimulator, SupplierSimulator]:
    for company in two_companies:
        company.clear_script()
        company.conduct(state="up", latency_ms=0, decide_ms=0)
    return two_companies


async def test_a_paid_order_is_bought_and_its_card_is_the_buyers(world: World, companies: tuple[SupplierSimulator, ...]) -> None:
    company = companies[0]
    company.goods({"sku": GOODS, "kind": "card", "cost": "10", "currency": "CNY"})
    company.cards(GOODS, {"number": "TANGO-0001-ABCD", "password": "4711"})
    first = await source(world, company)
    product = await routed(world, first)
    before = first.totals()
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"
    assert first.totals()["effects"] == before["effects"] + 1
    line = (await world.rows("select id from order_line where order_id = $1", placed.id))[0]
    async with tenant_tx(world.tenant) as tx:
        shown = await reveal(tx, order_id=placed.id, order_line_id=line["id"], unit_no=1, actor=BUYER)
    assert shown.number == "TANGO-0001-ABCD"
    evidence = await world.value("select evidence from attempt where order_id = $1", placed.id)
    assert "status=COMPLETE" in evidence, "what it answered is kept"
    assert "TANGO-0001" not in evidence
    assert "4711" not in evidence


@pytest.mark.case("B01", "B02", "B04")
@pytest.mark.parametrize("fault", [{"drop": True}, {"http_500_after_effect": True}, {"body": "html"}])
async def test_an_answer_that_is_lost_is_asked_about_and_never_bought_again(
    world: World, companies: tuple[SupplierSimulator, ...], fault: dict[str, object]
) -> None:
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    before = [one.totals() for one in (first, second)]
    first.company.script(fault, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    assert await attempt_states(world, placed.id) == ["unknown"]
    assert await order_state(world, placed.id) == "paid"
    await make_due(world)
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"
    assert first.totals()["effects"] == before[0]["effects"] + 1
    assert second.totals() == before[1]


@pytest.mark.case("B04")
async def test_red_without_the_unknown_state_the_backup_sells_it_a_second_time(
    world: World, companies: tuple[SupplierSimulator, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guard: what was sent and not answered is unknown. Taken for refused, the unit is bought twice."""
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    before = [one.totals()["effects"] for one in (first, second)]
    sort_unknown = outcomes._sort_unknown
    monkeypatch.setattr(
        outcomes,
        "_sort_unknown",
        lambda into, row, says, evidence, *, is_sent: sort_unknown(into, row, says, evidence, is_sent=False),
    )
    first.company.script({"drop": True}, on="place", times=1)
    await world.paid(product.skus[0].listing.id)
    await settle(world)
    after = [one.totals()["effects"] for one in (first, second)]
    assert sum(after) == sum(before) + 2


@pytest.mark.case("B14")
async def test_a_definite_refusal_goes_to_the_next_supplier_at_once(
    world: World, companies: tuple[SupplierSimulator, ...]
) -> None:
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    before = [one.totals()["effects"] for one in (first, second)]
    first.company.script({"refuse": "out_of_stock"}, on="place")
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    assert await attempt_states(world, placed.id) == ["failed", "succeeded"]
    assert [one.totals()["effects"] for one in (first, second)] == [before[0], before[1] + 1]


@pytest.mark.case("B14")
async def test_a_code_nobody_listed_is_unknown_and_fails_over_to_nobody(
    world: World, companies: tuple[SupplierSimulator, ...]
) -> None:
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    before = second.totals()
    first.company.script({"refuse": "undocumented"}, on="place")
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    assert await attempt_states(world, placed.id) == ["unknown"]
    assert second.totals() == before


async def test_what_all_suppliers_refuse_is_refunded(world: World, companies: tuple[SupplierSimulator, ...]) -> None:
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    for one in (first, second):
        one.company.script({"refuse": "out_of_stock"}, on="place")
    placed = await world.paid(product.skus[0].listing.id, 2)
    await settle(world)
    await refund(world)
    assert await order_state(world, placed.id) == "refunded"
    payment_no = await world.value("select payment_no from payment where order_id = $1", placed.id)
    assert [refund["amount_minor"] for refund in world.gateway.book(payment_no)["refunds"]] == [3980]


async def test_a_supplier_that_cannot_be_reached_is_passed_over(world: World, companies: tuple[SupplierSimulator, ...]) -> None:
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set configured_at = now() where id = $1", first.connection_id)
    before = second.totals()["effects"]
    _point_nowhere = {"base_url": "http://127.0.0.1:9"}
    from app.suppliers import queries, service
    from tenants.session import tenant_session
    from tests.world import STAFF

    async with tenant_session(world.tenant) as session:
        connection = await queries.connection_or_404(session, first.connection_id)
        await service.reconfigure(session, connection, _point_nowhere, actor=STAFF)
        connection.is_on = True
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    assert await attempt_states(world, placed.id) == ["failed", "succeeded"]
    assert second.totals()["effects"] == before + 1


@pytest.mark.case("B03")
async def test_what_a_dead_process_was_sending_is_asked_about(
    world: World, companies: tuple[SupplierSimulator, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a process leaves it that dies between the supplier's answer and its own commit: sent, and nothing written."""
    first = await source(world, companies[0])
    product = await routed(world, first)
    before = first.totals()["effects"]

    async def never_written(tx, answers):  # type: ignore[no-untyped-def]
        raise OSError("the process died")

    with monkeypatch.context() as dying:
        dying.setattr(buying, "record", never_written)
        placed = await world.paid(product.skus[0].listing.id)
        await settle(world)
    assert await attempt_states(world, placed.id) == ["sending"]
    assert first.totals()["effects"] == before + 1
    monkeypatch.setattr(asking, "_has_died", lambda row: True)
    await make_due(world)
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"
    assert first.totals()["effects"] == before + 1


@pytest.mark.case("B05")
async def test_not_found_is_no_evidence_within_the_grace_nor_the_first_time(
    world: World, companies: tuple[SupplierSimulator, ...]
) -> None:
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    before = [one.totals()["effects"] for one in (first, second)]
    first.company.script({"drop": True}, on="place", times=1)
    first.company.script({"not_found": True}, on="query", times=3)
    placed = await world.paid(product.skus[0].listing.id)
    for _ in range(4):
        await settle(world)
        await make_due(world)
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"
    assert [one.totals()["effects"] for one in (first, second)] == [before[0] + 1, before[1]]


async def test_what_was_never_bought_is_sent_again_under_its_number_after_the_grace(
    world: World, companies: tuple[SupplierSimulator, ...]
) -> None:
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    before = [one.totals()["effects"] for one in (first, second)]
    first.company.script({"before": "drop"}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update attempt set sent_at = sent_at - interval '20 minutes' where order_id = $1", placed.id)
    for _ in range(3):
        await make_due(world)
        await settle(world)
    assert len(await out_numbers(world, placed.id)) == 1
    assert await order_state(world, placed.id) == "delivered"
    assert [one.totals()["effects"] for one in (first, second)] == [before[0] + 1, before[1]]


@pytest.mark.case("B07")
async def test_a_card_that_was_sold_before_is_delivered_to_nobody(world: World, companies: tuple[SupplierSimulator, ...]) -> None:
    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    twice = {"number": "TWICE-0001-ABCD", "password": "4711"}
    first.company.cards(GOODS, twice, twice)
    one = await world.paid(product.skus[0].listing.id)
    await settle(world)
    other = await world.paid(product.skus[0].listing.id, contact="13900139000")
    await settle(world)
    assert [await order_state(world, order.id) for order in (one, other)] == ["delivered", "delivered"]
    keys = await world.rows("select card_key_id from delivery_unit where state = 'delivered'")
    assert len({row["card_key_id"] for row in keys}) == 2
    assert await attempt_states(world, other.id) == ["failed", "succeeded"]
    assert await world.value("select count(*) from staff_case where kind = 'bad_goods' and state = 'open'") == 1


@pytest.mark.case("B12")
async def test_a_pump_that_is_gone_is_started_again_by_its_task(
    world: World, companies: tuple[SupplierSimulator, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await source(world, companies[0])
    product = await routed(world, first)

    async def dies(tenant, connection_id):  # type: ignore[no-untyped-def]
        return None

    with monkeypatch.context() as dying:
        dying.setattr(buying, "_run", dies)
        placed = await world.paid(product.skus[0].listing.id)
        await settle(world)
    assert await attempt_states(world, placed.id) == ["planned"]
    await make_due(world, "fulfillment.buy")
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"


async def test_the_database_refuses_a_second_live_attempt(world: World, companies: tuple[SupplierSimulator, ...]) -> None:
    import asyncpg

    first, second = [await source(world, company) for company in companies]
    product = await routed(world, first, second)
    first.company.script({"drop": True}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    async with tenant_tx(world.tenant) as tx:
        units = await tx.fetch(
            """
            select u.order_id, u.order_line_id, u.unit_no, u.sku_id, u.amount_minor as worth_minor, o.paid_at,
                   null::bigint as value_minor, null as value_currency, 0 as priority
            from delivery_unit u join shop_order o on o.id = u.order_id where u.order_id = $1
            """,
            placed.id,
        )
    with pytest.raises(asyncpg.UniqueViolationError):
        async with tenant_tx(world.tenant) as tx:
            await attempts.plan(tx, units)


@pytest.fixture(autouse=True)
async def calls(world: World) -> Iterator[None]:
    """The guarded client of this loop, which may call this machine here."""
    http.shared()
    yield
    buying._pumps.clear()


@pytest.mark.case("J06")
async def test_a_worker_that_stops_lets_short_calls_end_and_leaves_long_ones_to_be_asked_about(
    world: World, companies: tuple[SupplierSimulator, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await source(world, companies[0])
    product = await routed(world, first)
    before = first.totals()["effects"]
    first.company.script({"hang": True}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id, 2)
    await world.work(Lane.ORDERS)
    await world.work(Lane.SUPPLY)
    await world.until("select true from attempt where state = 'succeeded'")
    await buying.finish(within_s=1)
    assert sorted(await attempt_states(world, placed.id)) == ["sending", "succeeded"]
    monkeypatch.setattr(asking, "_has_died", lambda row: True)
    await make_due(world)
    await settle(world)
    assert await order_state(world, placed.id) == "delivered"
    assert first.totals()["effects"] == before + 2
