"""What a supplier says of his goods by himself: applied once, in order, and only where it is clear; whatever is not changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.suppliers import service as suppliers
from app.suppliers.connectors.port import CatalogItem
from app.suppliers.models import ConnectionMode, RoutePolicy
from app.suppliers.service import ConnectionTerms, RouteTerms, SupplierTerms
from app.suppliers.syncing import _keep
from tenants.session import tenant_session, tenant_tx
from tests.app.fulfillment.noticing import FORM, GOODS_NOTICE, signed
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.app.suppliers.connectors.mainland.companies import completed
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("platform"), "family_962699") as started:
        yield started


@dataclass(frozen=True)
class Told:
    """A connection whose recipe reads notices of goods, and its one offer."""

    world: World
    id: UUID
    offer_id: UUID
    sku: str
    key: str

    async def say(self, *, key: str = "", at: datetime | None = None, **fields: str) -> tuple[int, str]:
        """Send a signed notice; status and words of our answer. Without `at` it is of this moment."""
        told = {"productId": self.sku, "time": ms(at or datetime.now(UTC)), **fields}
        return await self.send(signed(told, key or self.key))

    async def send(self, body: bytes, *, headers: dict[str, str] = FORM, to: UUID | None = None) -> tuple[int, str]:
        async with self.world.client("app") as browser:
            path = f"/hooks/{self.world.tenant.slug}/supply/{to or self.id}/goods"
            answer = await browser.post(path, content=body, headers=headers)
        return answer.status_code, answer.text

    async def offer(self) -> tuple[Decimal, int | None, bool]:
        row = (await self.world.rows("select unit_cost, stock, is_on_sale from supplier_offer where id = $1", self.offer_id))[0]
        return row["unit_cost"], row["stock"], row["is_on_sale"]

    async def counts(self) -> list[tuple[int, int, int, int]]:
        """Of each notice that was written down, the oldest first: applied, stale, unknown, unread."""
        rows = await self.world.rows("select * from goods_notice where connection_id = $1 order by created_at, id", self.id)
        return [(row["applied"], row["stale"], row["unknown"], row["unread"]) for row in rows]

    async def is_to_be_read(self) -> bool:
        """Whether the catalog is to be read now."""
        sql = "select exists (select 1 from task where kind = 'suppliers.sync' and subject_id = $1 and run_at <= now())"
        return bool(await self.world.value(sql, self.id))

    async def read_nothing(self) -> None:
        async with tenant_tx(self.world.tenant) as tx:
            await tx.execute("delete from task where kind = 'suppliers.sync'")


@pytest.fixture
async def told(world: World, company: SupplierSimulator) -> Told:
    return await connected(world, company)


async def connected(world: World, company: SupplierSimulator, **changes: Any) -> Told:
    credentials, sku = company.client(), f"G{new_id().hex[-8:]}"
    company.goods({"sku": sku, "name": "Month", "cost": "10", "stock": 50})
    recipe = completed("family_962699") | {"goods_notice": {**GOODS_NOTICE, **changes}}
    written = "\n".join(f"{name} = {value}" for name, value in credentials.items())
    settings = {"recipe": json.dumps(recipe), "credentials": written, "base_url": company.url}
    async with tenant_session(world.tenant) as session:
        supplier = await suppliers.add_supplier(session, SupplierTerms(f"Platform {sku}"), actor=STAFF)
        terms = ConnectionTerms("declarative", f"Platform {sku}", settings, ConnectionMode.LIVE, Decimal(50), 10)
        connection = await suppliers.connect(session, supplier.id, terms, actor=STAFF)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set is_on = true, tested_at = now() where id = $1", connection.id)
        await _keep(tx, connection.id, [CatalogItem(sku, "Month", "card_key", Decimal(10), "CNY", stock=50)])
        offer_id = await tx.fetchval("select id from supplier_offer where connection_id = $1", connection.id)
    found = Told(world, connection.id, offer_id, sku, credentials["app_key"])
    await found.read_nothing()
    return found


def ms(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


async def test_a_notice_counts_like_a_reading_and_once(told: Told) -> None:
    at = datetime.now(UTC)
    for _ in range(3):
        assert await told.say(at=at, price="12.5", stock="7") == (200, "success")
    assert await told.offer() == (Decimal("12.5"), 7, True)
    changes = await told.world.rows("select before, after from offer_change where offer_id = $1", told.offer_id)
    assert [(row["before"], row["after"]) for row in changes] == [(Decimal(10), Decimal("12.5"))]
    assert await told.counts() == [(1, 0, 0, 0)]
    assert not await told.is_to_be_read()
    assert await told.say(state="0") == (200, "success")
    assert await told.offer() == (Decimal("12.5"), 7, False)


async def test_a_forged_notice_leaves_no_row(told: Told, company: SupplierSimulator) -> None:
    other = await connected(told.world, company)
    true = signed({"productId": told.sku, "time": ms(datetime.now(UTC)), "price": "1"}, told.key)
    assert (await told.say(key="x" * 32, price="1"))[0] == 401
    assert (await told.send(true.replace(b"price=1", b"price=2")))[0] == 401
    assert (await told.send(true.rpartition(b"&")[0]))[0] == 401
    assert (await told.send(b"\xff\x00", headers={"Content-Type": "text/plain"}))[0] == 401
    assert (await told.send(true, to=other.id))[0] == 401
    assert (await told.send(true, to=UUID(int=1)))[0] == 404
    assert await told.offer() == await other.offer() == (Decimal(10), 50, True)
    assert await told.counts() == await other.counts() == []


async def test_who_has_no_such_notice_is_told_nothing(world: World, company: SupplierSimulator) -> None:
    told = await connected(world, company)
    async with tenant_session(world.tenant) as session:
        connection = await suppliers.queries.connection_or_404(session, told.id)
        await suppliers.reconfigure(session, connection, {"recipe": json.dumps(completed("family_962699"))}, actor=STAFF)
    assert (await told.say(price="1"))[0] == 401
    assert await told.counts() == []


async def test_an_older_notice_changes_nothing(told: Told) -> None:
    now = datetime.now(UTC)
    await told.say(at=now + timedelta(seconds=2), price="12")
    await told.say(at=now + timedelta(seconds=1), price="9")
    await told.say(at=now + timedelta(seconds=2), price="8", stock="1")
    assert await told.offer() == (Decimal(12), 50, True)
    assert await told.counts() == [(1, 0, 0, 0), (0, 1, 0, 0), (0, 1, 0, 0)]
    await told.say(at=now + timedelta(seconds=3), price="11")
    assert (await told.offer())[0] == Decimal(11)


async def test_a_notice_older_than_the_last_reading_has_the_catalog_read_instead(told: Told) -> None:
    await told.say(at=datetime.now(UTC) - timedelta(minutes=5), price="9")
    assert await told.offer() == (Decimal(10), 50, True)
    assert await told.counts() == [(0, 1, 0, 0)]
    assert await told.is_to_be_read()


async def test_a_reading_that_began_before_a_notice_does_not_undo_it(told: Told) -> None:
    async with tenant_tx(told.world.tenant) as tx:
        began = await tx.fetchval("select now()")
    await told.say(price="13")
    async with tenant_tx(told.world.tenant) as tx:
        await _keep(tx, told.id, [CatalogItem(told.sku, "Month", "card_key", Decimal(10), "CNY")], read_from=began)
    assert (await told.offer())[0] == Decimal(13)
    async with tenant_tx(told.world.tenant) as tx:
        later = await tx.fetchval("select now()")
        await _keep(tx, told.id, [CatalogItem(told.sku, "Month", "card_key", Decimal(10), "CNY")], read_from=later)
    assert (await told.offer())[0] == Decimal(10)


@pytest.mark.parametrize(
    ("fields", "counted"),
    [
        ({"price": "-1"}, (0, 0, 0, 1)),
        ({"price": "NaN"}, (0, 0, 0, 1)),
        ({"price": "1e3"}, (0, 0, 0, 1)),
        ({"price": "9", "stock": "-1"}, (0, 0, 0, 1)),
        ({"price": "9", "stock": "1.5"}, (0, 0, 0, 1)),
        ({"price": "9", "time": ms(datetime.now(UTC) + timedelta(days=1))}, (0, 0, 0, 1)),
        ({"price": "9", "time": "soon"}, (0, 0, 0, 1)),
        ({"price": "9", "time": ""}, (0, 0, 0, 1)),
        ({}, (0, 0, 0, 1)),
        ({"price": "9", "productId": "NOBODYS"}, (0, 0, 1, 0)),
    ],
)
async def test_what_is_unclear_is_not_guessed(told: Told, fields: dict[str, str], counted: tuple[int, int, int, int]) -> None:
    assert await told.say(**fields) == (200, "success")
    assert await told.offer() == (Decimal(10), 50, True)
    assert await told.counts() == [counted]
    assert await told.is_to_be_read()
    assert await told.world.value("select count(*) from supplier_offer where supplier_sku = 'NOBODYS'") == 0


async def test_the_connections_page_shows_the_address_and_what_became_of_the_newest(told: Told) -> None:
    owner = await staff(told.world)
    path = f"/suppliers/connections/{told.id}"
    assert "None has come yet." in words((await owner.get(path)).text)
    await told.say(price="12")
    await told.say(price="-1")
    shown = words((await owner.get(path)).text)
    assert f"/hooks/{told.world.tenant.slug}/supply/{told.id}/goods" in shown
    assert "1 applied, 0 out of date, 0 unclear" in shown
    assert "0 applied, 0 out of date, 1 unclear" in shown


async def test_a_list_is_read_entry_by_entry_and_one_named_twice_not_at_all(world: World, company: SupplierSimulator) -> None:
    whole = {"over": "body", "template": "{body}{settings.app_key}", "hash": "md5", "put": {"where": "header", "name": "Sign"}}
    told = await connected(world, company, encoding="json", items="/goods", signing=whole, told_at=None)

    async def say(*goods: dict[str, object]) -> None:
        body = json.dumps({"goods": goods}).encode()
        sign = hashlib.md5(body + told.key.encode(), usedforsecurity=False).hexdigest()
        assert await told.send(body, headers={"Content-Type": "application/json", "Sign": sign}) == (200, "success")

    await say(
        {"productId": told.sku, "price": "11"}, {"productId": "ELSE", "price": 3}, {"productId": "X", "price": -1}, {"price": "4"}
    )
    assert await told.offer() == (Decimal(11), 50, True)
    await say({"productId": told.sku, "price": "14"}, {"productId": told.sku, "price": "15"})
    await say({"productId": told.sku, "price": "14"}, {"productId": told.sku, "price": "-1"})
    assert await told.offer() == (Decimal(11), 50, True)
    assert await told.counts() == [(1, 0, 1, 2), (0, 0, 0, 2), (0, 0, 0, 2)]


async def test_a_cost_over_the_least_margin_takes_it_off_the_shelf_and_back(told: Told) -> None:
    world = told.world
    product = await world.product()
    sku = product.skus[0]
    async with tenant_session(world.tenant) as session:
        route = RouteTerms([(told.offer_id, 1)], RoutePolicy.CHEAPEST, floor_bp=1_000)
        await suppliers.route(session, sku.id, route, actor=STAFF)
    await world.work(Lane.ORDERS)

    async def shelf() -> tuple[int, str]:
        row = (
            await world.rows(
                "select s.available, r.shelf_reason from stock s join supply_route r on r.sku_id = s.sku_id where s.sku_id = $1",
                sku.id,
            )
        )[0]
        return row["available"], row["shelf_reason"]

    price = Decimal(sku.listing.price_minor) / 100
    assert await shelf() == (50, "")
    await told.say(price=str(price - Decimal("0.01")))
    await world.work(Lane.ORDERS)
    assert await shelf() == (0, "it would leave less than the least margin")
    await told.say(price="10", stock="20")
    await world.work(Lane.ORDERS)
    assert await shelf() == (20, "")
    await told.say(state="0")
    await world.work(Lane.ORDERS)
    assert await shelf() == (0, "its supplier does not sell it")


@pytest.fixture
async def relayed(told: Told, company: SupplierSimulator) -> AsyncIterator[str]:
    """The simulator tells us of its goods: whatever reaches this address is handed to our own."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[1:-2]
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            status, said = await told.send(body)
            head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n"
            writer.write((head + said).encode())
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client_id = company.book()["clients"][-1]["id"]
    company.change_client(client_id, goods_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/goods")
    yield told.sku
    company.change_client(client_id, goods_url="")
    company.clear_script()
    server.close()


async def until(told: Told, wanted: tuple[Decimal, int | None, bool]) -> None:
    async with asyncio.timeout(30):
        while True:
            if await told.offer() == wanted:
                return
            await asyncio.sleep(0.02)


async def test_the_company_tells_of_each_change_and_its_lies_change_nothing(
    told: Told, company: SupplierSimulator, relayed: str
) -> None:
    await asyncio.to_thread(company.change_goods, relayed, cost="11", stock=40)
    await until(told, (Decimal(11), 40, True))
    company.script({"forge": "signature"}, on="notice", sku=relayed, times=1)
    await asyncio.to_thread(company.change_goods, relayed, cost="12")
    await until(told, (Decimal(12), 40, True))
    company.script({"repeat": 3, "reorder": True}, on="notice", sku=relayed, times=1)
    await asyncio.to_thread(company.change_goods, relayed, cost="13")
    await until(told, (Decimal(13), 40, True))
    company.script({"misstate": "negative_cost"}, on="notice", sku=relayed, times=1)
    company.script({"misstate": "nan_cost"}, on="notice", sku=relayed, times=1)
    for stock in (30, 20):
        await asyncio.to_thread(company.change_goods, relayed, stock=stock)
    async with asyncio.timeout(30):
        while True:
            if len([one for one in await told.counts() if one[3]]) == 2:
                break
            await asyncio.sleep(0.02)
    assert await told.offer() == (Decimal(13), 40, True)
    async with asyncio.timeout(30):
        while True:
            sent = (await asyncio.to_thread(company.book))["goods_notices"]
            if {row["altered"] for row in sent} >= {"", "signature", "older", "negative_cost", "nan_cost"}:
                break
            await asyncio.sleep(0.02)
    assert await told.offer() == (Decimal(13), 40, True)
    assert {row["status"] for row in sent if row["altered"] == "signature"} == {401}
