"""Seen before it fails: a brown-out raises one alert that names supplier and SKU, a balance that runs out is told while purchases still succeed."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from app.catalog.service import SkuTerms
from app.kernel import clock
from app.kernel.actor import SYSTEM
from app.kernel.tasks import Lane
from app.suppliers import health, overview, rules, service
from app.suppliers.health import Called
from app.suppliers.rules import Calls
from app.suppliers.service import RouteTerms
from app.suppliers.watching import Pace, watch, watch_balance
from tenants.session import tenant_session, tenant_tx
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.app.suppliers.linked import item, keep, linked, on
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

pytestmark = pytest.mark.anyio
READERS = [("ops@mail.test", "en")]


class Clock:
    """The application's time, moved by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.at: datetime = clock.now().replace(second=30)
        monkeypatch.setattr(clock, "now", lambda: self.at)

    def pass_(self, **how: int) -> None:
        self.at += timedelta(**how)


async def routed(world: World, company: SupplierSimulator) -> tuple[UUID, UUID]:
    """A connection that serves a SKU on sale: its id and the offer's."""
    link = await linked(world, company)
    await on(world, link.id)
    product = await world.product(SkuTerms("Month", 1990))
    [offer_id] = await keep(world, link.id, item("W1"))
    async with tenant_session(world.tenant) as session:
        await service.route(session, product.skus[0].id, RouteTerms([(offer_id, 1)]), actor=STAFF)
    return link.id, offer_id


async def minute(world: World, connection_id: UUID, offer_id: UUID, *, well: int, badly: int, took_ms: int = 200) -> None:
    calls = [Called(connection_id, offer_id, took_ms, went_well=True)] * well + [
        Called(connection_id, offer_id, 9_000, went_well=False)
    ] * badly
    async with tenant_tx(world.tenant) as tx:
        await health.note_calls(tx, calls)


async def look(world: World, connection_id: UUID) -> list[str]:
    """Watch, and say which alerts there are."""
    async with tenant_tx(world.tenant) as tx:
        await watch(tx, connection_id, READERS)
    return [row["template"] for row in await world.rows("select template from alert order by created_at")]


async def test_a_brown_out_of_five_minutes_raises_one_alert_naming_supplier_and_sku(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Clock(monkeypatch)
    connection_id, offer_id = await routed(world, company)
    for _ in range(5):
        await minute(world, connection_id, offer_id, well=6, badly=3)
        found = await look(world, connection_id)
        moved.pass_(minutes=1)
    assert found == ["supply_brown_out"]
    [mail] = await world.rows("select params from alert")
    for word in ("Northbank Vouchers", "Skylark Video Month"):
        assert word in mail["params"]
    assert await world.value("select breaker from supplier_connection where id = $1", connection_id) == "closed"
    assert await world.value("select count(*) from outgoing_message where template = 'supply_brown_out'") == 1


async def test_it_closes_by_itself_and_may_be_told_again(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = Clock(monkeypatch)
    connection_id, offer_id = await routed(world, company)
    await minute(world, connection_id, offer_id, well=6, badly=3)
    await look(world, connection_id)
    moved.pass_(minutes=3)
    await minute(world, connection_id, offer_id, well=20, badly=0)
    await look(world, connection_id)
    assert await world.value("select count(*) from supply_alarm where closed_at is null") == 1, "between the lines it stays"
    moved.pass_(minutes=4)
    await minute(world, connection_id, offer_id, well=20, badly=0)
    await look(world, connection_id)
    assert await world.value("select count(*) from supply_alarm where closed_at is null") == 0
    moved.pass_(minutes=10)
    await minute(world, connection_id, offer_id, well=2, badly=0)
    await minute(world, connection_id, offer_id, well=4, badly=2)
    assert await look(world, connection_id) == ["supply_brown_out", "supply_brown_out"]


async def test_two_that_look_at_once_tell_once(world: World, company: SupplierSimulator) -> None:
    connection_id, offer_id = await routed(world, company)
    await minute(world, connection_id, offer_id, well=6, badly=3)
    await asyncio.gather(*(look(world, connection_id) for _ in range(6)))
    assert await world.value("select count(*) from alert") == 1
    assert await world.value("select count(*) from supply_alarm") == 1


async def test_what_fails_altogether_is_told_by_the_breaker_alone_with_its_goods(
    world: World, company: SupplierSimulator
) -> None:
    connection_id, offer_id = await routed(world, company)
    await minute(world, connection_id, offer_id, well=0, badly=9)
    await world.work(Lane.MESSAGES)
    [alert] = await world.rows("select template, params from alert where template <> 'sku_delisted'")
    assert alert["template"] == "supplier_failing"
    assert "Skylark Video Month" in alert["params"]
    async with tenant_tx(world.tenant) as tx:
        await health.restore(tx, connection_id, actor=SYSTEM)
    await world.work(Lane.ORDERS, Lane.MESSAGES)
    templates = [row["template"] for row in await world.rows("select template from alert order by created_at")]
    assert templates.count("supplier_failing") == templates.count("supplier_back") == 1


@pytest.mark.parametrize(
    ("recent", "is_one"),
    [
        (Calls(4, 0, None), False),
        (Calls(5, 3, 300), True),
        (Calls(10, 8, 300), False),
        (Calls(10, 10, 600_000), True),
        (Calls(10, 10, 10_000), False),
    ],
)
async def test_what_is_a_brown_out(recent: Calls, is_one: bool) -> None:
    assert rules.is_brown_out(recent) is is_one


@pytest.mark.parametrize(
    ("left", "day", "hour", "hours"),
    [("240", "240", "0", "24"), ("240", "240", "60", "4"), ("0", "24", "0", "0"), ("100", "0", "0", None)],
)
async def test_how_long_a_balance_lasts(left: str, day: str, hour: str, hours: str | None) -> None:
    found = rules.hours_left(Decimal(left), Decimal(day), Decimal(hour))
    assert found == (None if hours is None else Decimal(hours))


async def test_a_balance_that_runs_out_is_told_once_until_it_was_topped_up(world: World, company: SupplierSimulator) -> None:
    connection_id, _ = await routed(world, company)

    async def look_at(balance: int, *, an_hour: int) -> int:
        async with tenant_tx(world.tenant) as tx:
            await tx.execute(
                "update supplier_connection set balance = $2, balance_at = now() where id = $1", connection_id, balance
            )
            pace = Pace(Decimal(an_hour * 2), Decimal(an_hour), Decimal(0))
            await watch_balance(tx, connection_id, pace, READERS)
        told: int = await world.value("select count(*) from alert where template = 'supplier_balance_ending'")
        return told

    assert await look_at(1000, an_hour=10) == 0
    assert await look_at(200, an_hour=10) == 1
    assert await look_at(100, an_hour=10) == 1
    assert await look_at(300, an_hour=10) == 1, "between the lines it stays open"
    assert await look_at(100, an_hour=10) == 1
    assert await look_at(1000, an_hour=10) == 1
    assert await look_at(100, an_hour=10) == 2


async def test_the_board_tells_which_sku_of_which_supplier_fares_badly_and_what_is_unknown(
    world: World, company: SupplierSimulator
) -> None:
    connection_id, offer_id = await routed(world, company)
    [idle] = await keep(world, connection_id, item("W2", name="Never called"))
    await minute(world, connection_id, offer_id, well=6, badly=3)
    owner = await staff(world)
    async with tenant_tx(world.tenant) as tx:
        [line] = await overview.offer_lines(tx, {})
    assert (line.success_bp, line.row["calls"], line.p95_ms, line.is_troubled) == (6_666, 9, 600_000, True)
    for path in ("/suppliers/board", "/suppliers/board/events"):
        board = words((await owner.get(path)).text).partition("By supplier and SKU")[2]
        for said in ("Skylark Video Month", "Northbank Vouchers", "10 s"):
            assert said in board
        assert "Never called" not in board, idle
