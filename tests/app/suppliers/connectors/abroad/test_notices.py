"""What the companies tell us by themselves: genuine, twice, late, out of order, forged."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from app.suppliers.connectors.port import Ability, Delivered, Forged, GoodsNotice, Notice, PurchaseNotice, RawNotice
from tests.app.suppliers.connectors.abroad.companies import Shop

pytestmark = pytest.mark.anyio


class NoticeBoard:
    """Our notice address: keeps what arrives, refuses what is forged, acknowledges the rest."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        self.url = ""
        self.raw: list[RawNotice] = []
        self.notices: list[Notice] = []
        self._arrived = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
            headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
            body = await reader.readexactly(int(headers["content-length"]))
            raw = RawNotice(headers, first.split(" ")[1].partition("?")[2], body)
            notice = self.shop.connector.verify_notice(raw, datetime.now(UTC))
            self.raw.append(raw)
            self.notices.append(notice)
            self._arrived.set()
            status, answer, _ = (401, b"", "") if isinstance(notice, Forged) else self.shop.connector.acknowledge()
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(answer)}\r\nConnection: close\r\n\r\n".encode() + answer)
            await writer.drain()
        writer.close()

    async def wait(self, amount: int = 1) -> list[Notice]:
        async with asyncio.timeout(8):
            while len(self.notices) < amount:
                self._arrived.clear()
                await self._arrived.wait()
        return self.notices


@pytest.fixture
async def board(shop: Shop) -> AsyncIterator[NoticeBoard]:
    if Ability.NOTICES not in shop.connector.traits.abilities:
        pytest.skip("sends no notices")
    made = NoticeBoard(shop)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/notices"
    client_id = shop.simulator.book()["clients"][-1]["id"]
    shop.simulator.change_client(client_id, notice_url=made.url)
    if shop.house.connector == "agiso_acpr":
        shop.simulator.change_goods(shop.house.goods["sku"], stock=5)
    yield made
    shop.simulator.change_client(client_id, notice_url="")
    server.close()


def is_about(shop: Shop, notice: Notice, *, out_no: str, ref: str | None) -> bool:
    match notice:
        case PurchaseNotice():
            return notice.out_no in (out_no, "") and notice.supplier_ref == ref
        case GoodsNotice():
            return notice.supplier_sku == shop.house.supplier_sku
        case _:
            return False


async def test_notice_is_genuine_and_names_what_it_is_about(shop: Shop, board: NoticeBoard) -> None:
    purchase = shop.house.purchase()
    outcome = await shop.settle(purchase, await shop.connector.place(purchase))
    assert isinstance(outcome, Delivered)
    [notice] = await board.wait()
    assert is_about(shop, notice, out_no=purchase.out_no, ref=outcome.supplier_ref)


@pytest.mark.case("B06")
async def test_repeated_notice_is_one_event_and_buys_nothing(shop: Shop, board: NoticeBoard) -> None:
    purchase = shop.house.purchase()
    shop.simulator.script({"repeat": 4}, on="notice", out_no=purchase.out_no, times=1)
    await shop.connector.place(purchase)
    notices = await board.wait(5)
    assert len({notice.event_key for notice in notices if not isinstance(notice, Forged)}) == 1
    assert shop.effects(purchase) == 1


@pytest.mark.case("B06")
async def test_late_and_reordered_notices_are_hints_and_the_query_decides(shop: Shop, board: NoticeBoard) -> None:
    purchase = shop.house.purchase()
    shop.simulator.script({"delay_ms": 500, "reorder": True}, on="notice", out_no=purchase.out_no, times=1)
    await shop.connector.place(purchase)
    assert isinstance(await shop.query(purchase), Delivered)
    assert board.notices == []
    notices = await board.wait(2)
    assert not any(isinstance(notice, Forged) for notice in notices)
    assert isinstance(await shop.query(purchase), Delivered)
    assert shop.effects(purchase) == 1


@pytest.mark.case("B06")
@pytest.mark.parametrize("forgery", ["signature", "body", "other_client"])
async def test_forged_notice_is_refused_and_the_true_one_still_comes(shop: Shop, board: NoticeBoard, forgery: str) -> None:
    if forgery == "body" and shop.house.connector == "agiso_acpr":
        pytest.skip("its push names no purchase that could be changed")
    shop.simulator.client(currency="USD")
    purchase = shop.house.purchase()
    shop.simulator.script({"forge": forgery}, on="notice", out_no=purchase.out_no, times=1)
    await shop.connector.place(purchase)
    notices = await board.wait(2)
    assert isinstance(notices[0], Forged)
    assert not isinstance(notices[1], Forged)


async def test_notice_for_a_connection_without_its_secret_is_forged(shop: Shop, board: NoticeBoard) -> None:
    await shop.connector.place(shop.house.purchase())
    await board.wait()
    secrets = {"reloadly": {"webhook_secrets": ""}, "tremendous": {"webhook_secret": ""}, "agiso_acpr": {"app_secret": "other"}}
    stranger = shop.reopened(**secrets[shop.house.protocol])
    assert isinstance(stranger.verify_notice(board.raw[0], datetime.now(UTC)), Forged)


async def test_message_cut_anywhere_is_forged(shop: Shop, board: NoticeBoard) -> None:
    await shop.connector.place(shop.house.purchase())
    await board.wait()
    raw = board.raw[0]
    for length in range(0, len(raw.body), 7):
        cut = replace(raw, body=raw.body[:length])
        assert isinstance(shop.connector.verify_notice(cut, datetime.now(UTC)), Forged)
