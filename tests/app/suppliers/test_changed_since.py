"""A catalog that tells what changed since an instant: only that is asked for and written down, and nothing is missed where two readings meet."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as some

from app.fulfillment import scarcity
from app.kernel.tasks import Lane
from app.storefront.shelf import forget_shelf, shelf_of
from app.suppliers import queries, rules, syncing
from app.suppliers import service as suppliers
from app.suppliers.connectors.declarative import values
from app.suppliers.models import ConnectionMode
from app.suppliers.rules import OVERLAP, WHOLE_EVERY_S, changes_since
from app.suppliers.service import ConnectionTerms, RouteTerms, SupplierTerms
from tenants.session import tenant_session, tenant_tx
from tests.app.suppliers.connectors.mainland.companies import completed
from tests.app.suppliers.linked import item, keep
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
COMPANY = "family_962699"
GOODS, PAGE = 25, 10
numbers = count()
"""The goods of each test stand before those of the tests before it."""
CATALOG: dict[str, Any] = {
    "path": "/api/product/list",
    "body": {
        "appId": "{settings.app_id}",
        "timestamp": "{time.milliseconds}",
        "page": "{page.number}",
        "size": "{page.size}",
        "updatedSince": "{since.milliseconds}",
    },
    "answer": {
        "code_at": "/code",
        "codes": {"200": "ok"},
        "items": "/data/list",
        "item": {
            "supplier_sku": "/productId",
            "name": "/productName",
            "unit_cost": "/price",
            "stock": "/stock",
            "on_sale": "/state",
            "on_sale_values": ["1"],
        },
    },
}


@dataclass
class Reader:
    """A connection whose recipe asks for changes, and the goods of its company."""

    world: World
    company: SupplierSimulator
    id: UUID
    settings: dict[str, str]
    skus: list[str]

    async def read(self) -> int:
        """Read the catalog; how many calls that took, by the company's book."""
        before = self.calls()
        await syncing.sync(self.world.tenant, self.id)
        return self.calls() - before

    def calls(self) -> int:
        return sum(row["step"] == "catalog" for row in self.company.book()["asked"])

    async def offers(self) -> dict[str, tuple[Decimal, bool]]:
        rows = await self.world.rows(
            "select supplier_sku, unit_cost, is_on_sale from supplier_offer where connection_id = $1", self.id
        )
        return {row["supplier_sku"]: (row["unit_cost"], row["is_on_sale"]) for row in rows}

    async def is_whole(self, calls: int) -> bool:
        """Whether so many calls read everything there is: the page that is not full is the last."""
        return calls == len((await self.offers()).keys() - {"LEFT"}) // PAGE + 1 > 1

    async def age(self) -> None:
        """The last reading, and what it wrote, are some minutes old."""
        async with tenant_tx(self.world.tenant) as tx:
            await tx.execute("update supplier_offer set seen_at = seen_at - interval '11 minutes'")
            await tx.execute(
                "update supplier_connection set catalog_at = catalog_at - interval '11 minutes', configured_at = configured_at - interval '1 hour'"
            )

    async def written(self) -> dict[str, datetime]:
        """When each offer was last written down."""
        rows = await self.world.rows("select supplier_sku, seen_at from supplier_offer where connection_id = $1", self.id)
        return {row["supplier_sku"]: row["seen_at"] for row in rows}


@pytest.fixture
def company(one_company: SupplierSimulator) -> SupplierSimulator:
    one_company.clear_script()
    return one_company


@pytest.fixture
def one_long_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    """No whole reading comes between because an hour begins."""
    monkeypatch.setattr(rules, "WHOLE_EVERY_S", 10**12)


@pytest.fixture
async def reader(world: World, company: SupplierSimulator, one_long_hour: None) -> Reader:
    prefix = f"{9_999 - next(numbers)}-"
    skus = [f"{prefix}{number:03d}" for number in range(GOODS)]
    company.goods(*({"sku": sku, "name": f"Month {sku}", "cost": "10", "stock": 50} for sku in skus))
    for sku in skus:
        company.change_goods(sku, cost="10", changed_at=(datetime.now(UTC) - timedelta(hours=1)).timestamp())
    recipe = completed(COMPANY) | {"page_size": PAGE}
    recipe["calls"]["catalog"] = CATALOG
    written = "\n".join(f"{name} = {value}" for name, value in company.client().items())
    settings = {"recipe": json.dumps(recipe), "credentials": written, "base_url": company.url}
    async with tenant_session(world.tenant) as session:
        supplier = await suppliers.add_supplier(session, SupplierTerms(f"Platform {prefix}"), actor=STAFF)
        terms = ConnectionTerms("declarative", f"Platform {prefix}", settings, ConnectionMode.LIVE, Decimal(50), 10)
        connection = await suppliers.connect(session, supplier.id, terms, actor=STAFF)
    return Reader(world, company, connection.id, settings, skus)


async def test_only_what_changed_is_asked_for_and_written(reader: Reader) -> None:
    assert await reader.is_whole(await reader.read())
    assert (await reader.offers()).keys() >= set(reader.skus)
    before = await reader.written()
    dearer, gone, *others = reader.skus
    new = f"{dearer}-new"
    reader.company.change_goods(dearer, cost="12.5")
    reader.company.change_goods(gone, is_on_sale=False)
    reader.company.goods({"sku": new, "name": "New", "cost": "7", "stock": 1})
    assert await reader.read() == 1, "three of the goods fit on one page"
    after = await reader.written()
    assert {sku for sku, at in after.items() if before.get(sku) != at} == {dearer, gone, new}
    found = await reader.offers()
    assert (found[dearer], found[gone], found[new]) == ((Decimal("12.5"), True), (Decimal(10), False), (Decimal(7), True))
    assert {found[sku] for sku in others} == {(Decimal(10), True)}
    assert [row["after"] for row in await reader.world.rows("select after from offer_change")] == [Decimal("12.5")]
    assert await reader.read() == 1
    assert len(await reader.world.rows("select 1 from offer_change")) == 1, "what is told twice is one change"


async def test_what_changed_while_a_reading_went_on_is_in_the_next(reader: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the overlap: the next reading asks from where the last began, and not from where it ended."""
    monkeypatch.setattr(rules, "OVERLAP", timedelta(0))
    await reader.read()
    first = min(reader.skus)
    await reader.age()
    async with tenant_tx(reader.world.tenant) as tx:
        await tx.execute("update supplier_connection set catalog_at = null")
    reader.company.script({}, on="catalog", times=1)
    reader.company.script({"delay_ms": 400}, on="catalog", times=1)
    reading = asyncio.create_task(reader.read())
    await reader.world.until("select seen_at > now() - interval '5 minutes' from supplier_offer where supplier_sku = $1", first)
    reader.company.change_goods(first, cost="13")
    await reading
    assert (await reader.offers())[first][0] == Decimal(10), "its page had been read before it changed"
    await reader.read()
    assert (await reader.offers())[first][0] == Decimal(13)


@pytest.mark.parametrize(("late_s", "is_found"), [(0, True), (119, True), (120, True), (121, False)])
async def test_a_clock_that_is_slow_by_the_overlap_hides_nothing(reader: Reader, late_s: int, is_found: bool) -> None:
    """A change that its company dates before our last reading, by so many seconds; what is beyond that is found by the next whole reading."""
    await reader.read()
    sku = reader.skus[0]
    began = await reader.world.value("select catalog_at from supplier_connection")
    reader.company.change_goods(sku, cost="14", changed_at=(began - timedelta(seconds=late_s)).timestamp())
    await reader.read()
    assert ((await reader.offers())[sku][0] == Decimal(14)) is is_found
    await reader.age()
    async with tenant_tx(reader.world.tenant) as tx:
        await tx.execute("update supplier_connection set catalog_at = null")
    await reader.read()
    assert (await reader.offers())[sku][0] == Decimal(14)


async def test_what_left_the_catalog_is_off_sale_with_the_next_whole_reading(
    reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    await reader.read()
    await keep(reader.world, reader.id, item("LEFT"))
    await reader.age()
    assert not await reader.is_whole(await reader.read())
    assert (await reader.offers())["LEFT"][1], "what did not change is not named, and stays"
    monkeypatch.setattr(rules, "WHOLE_EVERY_S", 60)
    await reader.age()
    assert await reader.is_whole(await reader.read())
    found = await reader.offers()
    assert {sku for sku in (*reader.skus, "LEFT") if not found[sku][1]} == {"LEFT"}


async def test_changed_settings_and_changes_without_sense_have_everything_read(reader: Reader) -> None:
    await reader.read()
    async with tenant_session(reader.world.tenant) as session:
        connection = await queries.connection_or_404(session, reader.id)
        await suppliers.reconfigure(session, connection, reader.settings, actor=STAFF)
    assert await reader.is_whole(await reader.read())
    reader.company.change_goods(reader.skus[0], cost="15")
    reader.company.script({"misstate": "negative_cost"}, on="catalog", times=1)
    assert await reader.is_whole(await reader.read() - 1)
    assert (await reader.offers())[reader.skus[0]] == (Decimal(15), True)


async def test_a_reading_that_was_cut_off_is_asked_for_again_from_the_same_instant(reader: Reader) -> None:
    await reader.read()
    sku = reader.skus[0]
    reader.company.change_goods(sku, cost="16")
    reader.company.script({"body": "html"}, on="catalog", times=1)
    with pytest.raises(syncing.NotRead):
        await reader.read()
    assert await reader.read() == 1
    assert (await reader.offers())[sku][0] == Decimal(16)


async def test_what_a_reading_of_changes_did_not_name_is_as_fresh_as_that_reading(reader: Reader) -> None:
    """Its supplier is not asked again before every order."""
    await reader.read()
    product = await reader.world.product()
    sku_id = product.skus[0].id
    offer_id = await reader.world.value("select id from supplier_offer where supplier_sku = $1", reader.skus[0])
    async with tenant_tx(reader.world.tenant) as tx:
        await tx.execute("update supplier_connection set is_on = true, tested_at = now()")
    async with tenant_session(reader.world.tenant) as session:
        await suppliers.route(session, sku_id, RouteTerms([(offer_id, 1)]), actor=STAFF)
    await reader.world.work(Lane.ORDERS)

    async def is_in_doubt() -> bool:
        forget_shelf(reader.world.tenant)
        return sku_id in (await shelf_of(reader.world.tenant)).scarce

    await reader.age()
    assert await is_in_doubt()
    assert not await reader.is_whole(await reader.read())
    assert not await is_in_doubt()
    before = asked(reader.company)
    await scarcity.look_again(reader.world.tenant, [sku_id])
    assert asked(reader.company) == before, "it was read a moment ago"
    await reader.age()
    await scarcity.look_again(reader.world.tenant, [sku_id])
    assert asked(reader.company) == before + 1


def asked(company: SupplierSimulator) -> int:
    return sum(row["step"] == "goods" for row in company.book()["asked"])


NOON = datetime(2026, 11, 29, 12, 0, tzinfo=UTC)
LONG_AGO = NOON - timedelta(days=30)


@pytest.mark.parametrize(
    ("last", "configured", "started", "since"),
    [
        (None, LONG_AGO, NOON, None),
        (NOON, LONG_AGO, NOON + timedelta(minutes=15), NOON - OVERLAP),
        (NOON, LONG_AGO, NOON + timedelta(minutes=59, seconds=59), NOON - OVERLAP),
        (NOON, LONG_AGO, NOON + timedelta(hours=1), None),
        (NOON - timedelta(seconds=1), LONG_AGO, NOON, None),
        (NOON, NOON, NOON + timedelta(minutes=1), None),
        (NOON, NOON + timedelta(seconds=1), NOON + timedelta(minutes=1), None),
    ],
)
def test_from_when_on_changes_are_asked_for(
    last: datetime | None, configured: datetime, started: datetime, since: datetime | None
) -> None:
    assert changes_since(last, configured_at=configured, started=started) == since


@given(some.lists(some.integers(1, 2 * WHOLE_EVERY_S), min_size=1, max_size=30))
def test_readings_leave_no_instant_out(pauses_s: list[int]) -> None:
    """Whatever the pace: what is asked for now begins no later than the last reading did, and an hour has a whole one."""
    last, whole_at = NOON, NOON
    for pause_s in pauses_s:
        started = last + timedelta(seconds=pause_s)
        since = changes_since(last, configured_at=LONG_AGO, started=started)
        whole_at = started if since is None else whole_at
        assert since is None or since < last
        assert started - whole_at < timedelta(seconds=WHOLE_EVERY_S)
        last = started


@given(some.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9_000)))
def test_an_instant_is_told_no_later_than_it_is(ago: timedelta) -> None:
    at = NOON - ago
    for zone in ("Asia/Shanghai", "UTC"):
        told = values.instant("since", at, zone)
        seconds, milliseconds = (int(told[f"since.{form}"]) for form in ("seconds", "milliseconds"))
        assert timedelta(0) <= at - datetime.fromtimestamp(seconds, UTC) < timedelta(seconds=1)
        assert seconds == milliseconds // 1000
        read = datetime.strptime(told["since.text"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=ZoneInfo(zone))
        assert timedelta(0) <= at - read < timedelta(seconds=1)
        assert read.strftime("%Y%m%d%H%M%S") == told["since.compact"]
        assert told["since.text"].startswith(told["since.date"])
