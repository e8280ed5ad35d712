"""What suppliers tell of uses: written once, in any order, shown with its order, and acted on only where it is clear; what is not changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from app.aftersales.models import Complaint
from app.fulfillment import reissuing, told_uses
from app.integrations import webhooks
from app.integrations.models import WebhookTopic
from app.integrations.webhooks import WebhookTerms
from app.kernel.vault import keyring
from app.ordering.placing import Placed
from app.storefront.checkout import path_of
from app.suppliers import queries
from app.suppliers import service as suppliers
from tenants.session import tenant_session, tenant_tx
from tests.app.aftersales.cases import policy, read, reported, state, units
from tests.app.fulfillment.noticing import PROTOCOL, USE_NOTICE, Teller, signed, teller
from tests.app.fulfillment.supply import HANGS_S, make_due, routed, settle
from tests.app.staff import staff
from tests.app.storefront.buyer import words
from tests.app.suppliers.connectors.mainland.companies import completed
from tests.processes import until
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("platform"), PROTOCOL) as started:
        yield started


@dataclass(frozen=True)
class Sold:
    """A card bought from a company that tells of uses, delivered to its buyer."""

    world: World
    at: Teller
    placed: Placed
    attempt_id: UUID
    out_no: str
    ref: str

    async def tell(self, event: str = "used", *, key: str = "", at: datetime | None = None, **fields: str) -> int:
        """Send a signed message; the status of our answer. Without `at` the use is of this moment."""
        told = {"customerOrderNo": self.out_no, "orderNo": self.ref, "useId": "1", "event": event, "shop": "West Lake", **fields}
        return await self.hear(signed({"time": ms(at or datetime.now(UTC)), **told}, key or self.at.key))

    async def hear(self, body: bytes, **where: Any) -> int:
        return await self.at.hear(self.world, body, about="uses", **where)

    async def told(self) -> list[tuple[bool, str]]:
        rows = await self.world.rows(
            "select is_taken_back, place from told_use where attempt_id = $1 order by used_at", self.attempt_id
        )
        return [(row["is_taken_back"], row["place"]) for row in rows]

    async def last(self) -> datetime | None:
        async with tenant_tx(self.world.tenant) as tx:
            return await told_uses.last_of(tx, self.attempt_id)


def ms(at: datetime) -> str:
    return str(int(at.timestamp() * 1000))


async def arrive(world: World) -> None:
    """Let everything that is bought be asked about until it is decided."""
    await settle(world)
    async with asyncio.timeout(HANGS_S):
        while await world.value(
            "select exists (select 1 from attempt where state in ('planned', 'sending', 'accepted', 'unknown'))"
        ):
            await make_due(world)
            await settle(world)


async def sold(world: World, company: SupplierSimulator, **changes: Any) -> Sold:
    at = await teller(world, company, use_notice={**USE_NOTICE, **changes})
    product = await routed(world, at)
    placed = await world.paid(product.skus[0].listing.id)
    await arrive(world)
    row = (await world.rows("select id, out_no, supplier_ref, state from attempt where order_id = $1", placed.id))[0]
    assert row["state"] == "succeeded"
    return Sold(world, at, placed, row["id"], row["out_no"], row["supplier_ref"])


async def test_a_use_is_written_once_and_stands_with_its_order(world: World, company: SupplierSimulator) -> None:
    one = await sold(world, company)
    for _ in range(3):
        assert await one.tell() == 200
    assert await one.told() == [(False, "West Lake")]
    owner = await staff(world)
    path = f"/orders/{one.placed.order_no}"
    shown = words((await owner.get(path)).text)
    assert "1 use" in shown
    assert "Used, says the supplier" in shown
    assert "Told by Platform" in shown
    assert shown.count("West Lake") >= 2
    assert await one.tell("void", useId="2") == 200
    assert "Its use was taken back, says the supplier" in words((await owner.get(path)).text)
    assert await one.last() is None


async def test_the_buyer_reads_that_it_was_used(world: World, company: SupplierSimulator) -> None:
    one = await sold(world, company)
    path = await path_of(world.tenant, one.placed)

    async def reads() -> str:
        async with world.client() as browser:
            return words((await browser.get(path)).text)

    assert "West Lake" not in await reads()
    await one.tell()
    assert "at West Lake" in await reads()
    await one.tell("void", useId="2")
    assert "West Lake" not in await reads()


async def test_the_page_of_an_order_looks_for_uses_only_where_its_supplier_tells_them(
    world: World, company: SupplierSimulator
) -> None:
    one = await sold(world, company)
    silent = await teller(world, company)
    product = await routed(world, silent)
    other = await world.paid(product.skus[0].listing.id)
    await arrive(world)
    owner = await staff(world)
    assert "/timeline?seen=" in (await owner.get(f"/orders/{one.placed.order_no}")).text
    assert "/timeline?seen=" not in (await owner.get(f"/orders/{other.order_no}")).text


async def test_an_order_opens_though_its_supplier_s_settings_are_no_longer_whole(
    world: World, company: SupplierSimulator
) -> None:
    one = await sold(world, company)
    async with tenant_tx(world.tenant) as tx:
        config = (await keyring(tx)).seal("supplier_connection", "config", one.at.connection_id, json.dumps({"recipe": "{"}))
        sql = "update supplier_connection set config = $2, configured_at = now() where id = $1"
        await tx.execute(sql, one.at.connection_id, config)
    page = await (await staff(world)).get(f"/orders/{one.placed.order_no}")
    assert page.status_code == 200
    assert "/timeline?seen=" not in page.text


async def test_a_forged_message_leaves_no_row(world: World, company: SupplierSimulator) -> None:
    one, other = await sold(world, company), await sold(world, company)
    true = signed(
        {"customerOrderNo": one.out_no, "orderNo": one.ref, "useId": "1", "event": "used", "time": ms(datetime.now(UTC))},
        one.at.key,
    )
    assert await one.tell(key="x" * 32) == 401
    assert await one.hear(true.replace(b"event=used", b"event=void")) == 401
    assert await one.hear(true.rpartition(b"&")[0]) == 401
    assert await one.hear(b"\xff\x00") == 401
    assert await one.hear(true, connection_id=other.at.connection_id) == 401
    assert await one.hear(true, connection_id=UUID(int=1)) == 404
    assert await one.tell(at=datetime.now(UTC) + timedelta(days=1)) == 401
    assert await one.tell(time="soon") == 401
    assert await one.tell(customerOrderNo="") == 401
    assert await one.told() == await other.told() == []


async def test_what_is_not_this_purchase_s_or_no_use_changes_nothing(world: World, company: SupplierSimulator) -> None:
    one, other = await sold(world, company), await sold(world, company)
    assert await one.tell(customerOrderNo=other.out_no, orderNo=other.ref) == 200
    assert await one.tell(customerOrderNo="NOBODYS", useId="2") == 200
    assert await one.tell(orderNo="ANOTHER", useId="3") == 200
    assert await one.tell("shipped", useId="4") == 200
    assert await one.told() == await other.told() == []


async def test_who_describes_no_such_messages_is_told_nothing(world: World, company: SupplierSimulator) -> None:
    one = await sold(world, company)
    async with tenant_session(world.tenant) as session:
        connection = await queries.connection_or_404(session, one.at.connection_id)
        await suppliers.reconfigure(session, connection, {"recipe": json.dumps(completed(PROTOCOL))}, actor=STAFF)
    assert await one.tell() == 401
    assert await one.told() == []


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))), ids=str)
async def test_the_newest_by_its_own_time_counts_in_whatever_order_they_come(
    world: World, company: SupplierSimulator, order: tuple[int, ...]
) -> None:
    one, noon = await sold(world, company), datetime.now(UTC).replace(microsecond=0)
    said = [
        ("used", "1", noon - timedelta(minutes=9)),
        ("void", "1", noon - timedelta(minutes=6)),
        ("used", "2", noon - timedelta(minutes=3)),
    ]
    for place in order:
        event, number, at = said[place]
        assert await one.tell(event, useId=number, at=at) == 200
    assert await one.last() == noon - timedelta(minutes=3)
    assert [taken_back for taken_back, _ in await one.told()] == [False, True, False]


async def test_twenty_at_once_are_one(world: World, company: SupplierSimulator) -> None:
    one, at = await sold(world, company), datetime.now(UTC)
    assert set(await asyncio.gather(*(one.tell(at=at) for _ in range(20)))) == {200}
    assert len(await one.told()) == 1
    assert await world.value("select count(*) from history where event = 'attempt.used'") == 1


async def test_so_many_messages_of_a_purchase_are_kept(
    world: World, company: SupplierSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(told_uses, "MOST_OF_PURCHASE", 3)
    one = await sold(world, company)
    for number in range(5):
        assert await one.tell(useId=str(number)) == 200
    assert len(await one.told()) == 3


async def test_words_of_a_place_are_cut_and_shown_as_text(world: World, company: SupplierSimulator) -> None:
    one = await sold(world, company)
    await one.tell(shop="<script>alert(1)</script>\x07\n " + "long " * 60)
    ((_, place),) = await one.told()
    assert len(place) <= 120
    assert "\n" not in place
    assert "\x07" not in place
    page = (await (await staff(world)).get(f"/orders/{one.placed.order_no}")).text
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page


async def test_a_use_of_what_was_undecided_has_it_asked_about(world: World, company: SupplierSimulator) -> None:
    at = await teller(world, company, use_notice=USE_NOTICE)
    product = await routed(world, at)
    company.script({"decide_ms": 300}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    row = (await world.rows("select id, out_no, supplier_ref, state from attempt where order_id = $1", placed.id))[0]
    assert row["state"] == "accepted"
    await asyncio.sleep(0.4)
    assert await Sold(world, at, placed, row["id"], row["out_no"], row["supplier_ref"]).tell() == 200
    await settle(world)
    assert await world.value("select state from shop_order where id = $1", placed.id) == "delivered"


@pytest.mark.parametrize(
    ("minutes", "verdict", "ends"),
    [(1, "used", "awaiting_staff"), (-60, "used_before", "replaced"), (None, "delivered", "replaced")],
)
async def test_what_was_used_after_its_delivery_is_never_replaced_by_itself(
    world: World, company: SupplierSimulator, minutes: int | None, verdict: str, ends: str
) -> None:
    await policy(world, auto_most_minor=100_000)
    one = await sold(world, company)
    await read(world, one.placed)
    if minutes is not None:
        await one.tell(at=datetime.now(UTC) + timedelta(minutes=minutes))
    case_id = await reported(world, one.placed, complaint=Complaint.USED_ALREADY)
    await arrive(world)
    await settle(world)
    assert await world.value("select verdict from after_sale_case where id = $1", case_id) == verdict
    assert await state(world, case_id) == ends
    shown = words(
        (await (await staff(world)).get(f"/after-sales/{await world.value('select case_no from after_sale_case')}")).text
    )
    assert {"used": "It was used", "used_before": "used before it was delivered", "delivered": "says that it delivered"}[
        verdict
    ] in shown


async def test_what_was_replaced_and_is_used_nevertheless_is_a_case(world: World, company: SupplierSimulator) -> None:
    one = await sold(world, company)
    unit = (await units(world, one.placed))[0]
    async with tenant_tx(world.tenant) as tx:
        await reissuing.take_back(tx, unit, reason="The buyer says it is no good", actor=STAFF)
    await arrive(world)
    for number in ("1", "2"):
        assert await one.tell(useId=number) == 200
    assert await world.rows("select kind, subject_id, state from staff_case") == [
        {"kind": "used_afterwards", "subject_id": one.attempt_id, "state": "open"}
    ]
    assert "Something that was replaced or given back was used" in words((await (await staff(world)).get("/cases")).text)


async def test_a_use_is_told_to_the_merchant_s_systems_without_the_key(world: World, company: SupplierSimulator) -> None:
    one = await sold(world, company)
    async with tenant_tx(world.tenant) as tx:
        terms = WebhookTerms("Till", "https://example.com/hooks", (WebhookTopic.REDEMPTION_TOLD,))
        await webhooks.add(tx, terms, actor=STAFF)
    await one.tell()
    await one.tell()
    body = json.loads(await world.value("select body from webhook_event"))
    assert body["type"] == "redemption.told"
    masked = await world.value("select masked from card_key")
    assert {name: body["data"][name] for name in ("order_no", "masked", "place", "is_taken_back", "unit_no")} == {
        "order_no": one.placed.order_no, "masked": masked, "place": "West Lake", "is_taken_back": False, "unit_no": 1,
    }  # fmt: skip
    assert company.book(one.out_no)["cards"][0]["number"] not in json.dumps(body)


@contextlib.asynccontextmanager
async def relayed(one: Sold, company: SupplierSimulator) -> AsyncIterator[None]:
    """Whatever the company sends of uses is handed to our own address."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
            length = next(int(line.partition(": ")[2]) for line in lines if line.startswith("content-length"))
            status = await one.hear(await reader.readexactly(length))
            said = b"success" if status == 200 else b""
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n".encode() + said)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    client_id = company.book()["clients"][-1]["id"]
    company.change_client(client_id, uses_url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/uses")
    try:
        yield
    finally:
        company.change_client(client_id, uses_url="")
        company.clear_script()
        server.close()


async def heard(company: SupplierSimulator, one: Sold, times: int) -> bool:
    sent = (await asyncio.to_thread(company.book, one.out_no))["use_notices"]
    return len([row for row in sent if row["status"]]) >= times


async def test_the_company_tells_of_each_use_until_it_is_taken_and_its_lies_change_nothing(
    world: World, company: SupplierSimulator
) -> None:
    one = await sold(world, company)
    async with relayed(one, company):
        company.script({"forge": "signature"}, on="notice", out_no=one.out_no, times=1)
        company.script({"drop": True}, on="notice", out_no=one.out_no, times=1)
        company.script({"repeat": 3}, on="notice", out_no=one.out_no, times=1)
        await asyncio.to_thread(company.use, one.out_no, place="East Gate")
        await until(lambda: heard(company, one, 5))
        await asyncio.to_thread(company.use, one.out_no, place="East Gate", is_taken_back=True)
        await until(lambda: heard(company, one, 6))
    assert await one.told() == [(False, "East Gate"), (True, "East Gate")]
    sent = company.book(one.out_no)["use_notices"]
    assert sorted((row["altered"], row["status"]) for row in sent) == [("", 200)] * 5 + [("signature", 401)]
