"""What the companies say by themselves: genuine, repeated, late, out of order, forged. A notice is only ever a hint to ask."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from app.suppliers.connectors.port import Delivered, Forged, Notice, PurchaseNotice, RawNotice
from tests.app.suppliers.connectors.mainland.companies import Shop

pytestmark = pytest.mark.anyio


class Board:
    """Our notice address: checks what arrives with the shop's connector, and answers as the port says."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.url = ""
        self.notices: list[Notice] = []
        self._arrived = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            notice = self.shop.connector.verify_notice(
                RawNotice(headers, first.split(" ")[1].partition("?")[2], body), datetime.now(UTC)
            )
            status, said, kind = (
                (400, b"forged", "text/plain") if isinstance(notice, Forged) else self.shop.connector.acknowledge()
            )
            head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + said)
            await writer.drain()
            self.notices.append(notice)
            self._arrived.set()
        writer.close()

    async def wait(self, amount: int) -> list[Notice]:
        async with asyncio.timeout(8):
            while len(self.notices) < amount:
                self._arrived.clear()
                await self._arrived.wait()
        return self.notices


@pytest.fixture
async def board(shop: Shop) -> AsyncIterator[Board]:
    made = Board(shop)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hooks/1"
    client_id = shop.simulator.book()["clients"][-1]["id"]
    shop.simulator.change_client(client_id, notice_url=made.url)
    yield made
    server.close()


@pytest.fixture(autouse=True)
def only_who_sends_notices(shop: Shop) -> None:
    if not shop.company.has_notices:
        pytest.skip("what its notices look like is not public")


async def test_notice_names_both_numbers_and_is_acknowledged(shop: Shop, board: Board) -> None:
    purchase = shop.card(notice_url=board.url)
    await shop.connector.place(purchase)
    [notice] = await board.wait(1)
    assert isinstance(notice, PurchaseNotice)
    assert notice.out_no == purchase.out_no
    assert notice.supplier_ref == shop.simulator.book(purchase.out_no)["purchases"][0]["own_no"]
    await asyncio.sleep(0.1)
    assert {row["state"] for row in shop.simulator.book(purchase.out_no)["notices"]} == {"acknowledged"}


@pytest.mark.case("B06")
async def test_repeated_notice_has_the_same_key_and_an_older_state_another(shop: Shop, board: Board) -> None:
    purchase = shop.card(notice_url=board.url)
    shop.simulator.script({"repeat": 2, "reorder": True}, on="notice", times=1)
    await shop.connector.place(purchase)
    notices = [notice for notice in await board.wait(4) if isinstance(notice, PurchaseNotice)][:4]
    keys = [notice.event_key for notice in notices]
    assert len(set(keys[:3])) == 1
    assert len(set(keys)) == 2
    assert {notice.out_no for notice in notices} == {purchase.out_no}
    assert isinstance(await shop.query(purchase), Delivered)


@pytest.mark.case("B06")
@pytest.mark.parametrize("forgery", ["signature", "body", "other_client"])
async def test_forged_notice_is_refused_and_the_true_one_follows(shop: Shop, board: Board, forgery: str) -> None:
    shop.simulator.client()  # somebody else, who could sign with secrets of his own
    purchase = shop.card(notice_url=board.url)
    shop.simulator.script({"forge": forgery}, on="notice", times=1)
    await shop.connector.place(purchase)
    first, second = await board.wait(2)
    assert isinstance(first, Forged)
    assert isinstance(second, PurchaseNotice)
    assert second.out_no == purchase.out_no


@pytest.mark.case("B06")
async def test_late_notice_is_still_a_hint(shop: Shop, board: Board) -> None:
    purchase = shop.card(notice_url=board.url)
    shop.simulator.script({"delay_ms": 500}, on="notice", times=1)
    await shop.connector.place(purchase)
    assert isinstance(await shop.query(purchase), Delivered)
    [notice] = await board.wait(1)
    assert isinstance(notice, PurchaseNotice)


async def test_notice_of_one_connection_is_forged_at_another(shop: Shop, board: Board) -> None:
    purchase = shop.card(notice_url=board.url)
    mine = shop.connector
    shop.connector = shop.with_credentials(shop.simulator.client())
    await mine.place(purchase)
    [notice, *_] = await board.wait(1)
    assert isinstance(notice, Forged)


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"\xff\xfe", b"a=1&a=2", b"<html>", b'{"sign":{}}', b"x" * 100_000])
async def test_nonsense_is_forged(shop: Shop, body: bytes) -> None:
    for query in ("", "sign=1&customerOrderNo=2"):
        assert isinstance(shop.connector.verify_notice(RawNotice({}, query, body), datetime.now(UTC)), Forged)
