"""Links and files: personal, for so long and so often, taken back at once; each opening counted once, whoever hurries."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import Counter
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

from app.access.models import MemberRole
from app.catalog import contents, filetypes
from app.catalog import service as catalog
from app.catalog.minting import MintingRules
from app.catalog.models import DeliveryKind
from app.fulfillment import minting, opening
from app.fulfillment.minting import GivenBack
from app.kernel import clock
from app.kernel.errors import DomainError
from app.payments import refunding
from app.payments.refunding import NothingToRefund
from tenants.session import tenant_session, tenant_tx
from tests.app.fulfillment.links import ADDRESS, bought_link, link
from tests.app.staff import PARTIAL, staff
from tests.app.storefront.buyer import Buyer, words
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
PDF = b"%PDF-1.7 " + bytes(range(256)) * 1200
FROM = "203.0.113.9"


async def opened(world: World, minted_id: Any) -> opening.Opened:
    async with tenant_tx(world.tenant) as tx:
        return await opening.open_content(tx, minted_id, file_id=None, address=FROM)


async def opened_at_once(world: World, minted_id: Any, times: int) -> Counter[str]:
    async def one() -> str:
        try:
            await opened(world, minted_id)
        except DomainError as refusal:
            return type(refusal).__name__
        except asyncpg.PostgresError as error:
            return type(error).__name__
        return "opened"

    return Counter(await asyncio.gather(*(one() for _ in range(times))))


async def test_a_bought_address_opens_with_its_own_token_and_each_opening_counts(world: World) -> None:
    product = await link(world, address=ADDRESS, rules=MintingRules(most_uses=2, valid_days=30))
    placed = await world.bought(product.skus[0].listing.id, 2)
    minted_id, path = await bought_link(world, placed)
    buyer = Buyer(world.client())
    before = await buyer.get(path)
    assert before.status_code == 200
    assert "2 openings left" in words(before.text)
    assert "school.example" not in before.text
    shown = await buyer.send(path, f"{path}/openings")
    found = re.search(r'href="https://school\.example/course\?key=([2-9A-Z]{32})"', shown.text)
    assert found
    part = await buyer.post(path, f"{path}/openings", headers=PARTIAL)
    assert part.status_code == 200
    assert found[1] in part.text
    assert "<html" not in part.text
    gone = await buyer.post(path, f"{path}/openings")
    assert gone.status_code == 410
    assert "good for 2 openings" in words(gone.text)
    assert found[1] not in gone.text
    others = await world.rows("select distinct address_mark from minted_use where minted_id = $1", minted_id)
    assert len(others) == 1
    assert len(others[0]["address_mark"]) == 8
    other = await world.value("select id from minted_good where id <> $1", minted_id)
    assert found[1] not in (await opened(world, other)).address


async def test_a_file_comes_whole_as_a_download_and_is_sealed_where_it_lies(world: World) -> None:
    product = await link(world, files=(PDF,))
    placed = await world.bought(product.skus[0].listing.id)
    _, path = await bought_link(world, placed)
    buyer, file_id = Buyer(world.client()), await world.value("select id from content_file")
    for left in ("3 openings left", "2 openings left"):
        assert left in words((await buyer.get(path)).text)
        answer = await buyer.post(path, f"{path}/openings", file=str(file_id))
        assert answer.status_code == 200
        assert hashlib.sha256(answer.content).digest() == hashlib.sha256(PDF).digest()
    assert answer.headers["content-disposition"].startswith('attachment; filename="lesson 1.pdf"')
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"].startswith("sandbox")
    assert await world.value("select count(*) from content_piece") == 3
    assert not await world.value("select bool_or(position('PDF-1.7'::bytea in body) > 0) from content_piece")
    assert (await buyer.post(path, f"{path}/openings")).status_code == 404
    assert await world.value("select uses from minted_good") == 2


async def test_its_address_is_bound_to_its_unit_and_its_shop(world: World) -> None:
    product = await link(world, address=ADDRESS)
    first, path = await bought_link(world, await world.bought(product.skus[0].listing.id))
    second, other = await bought_link(world, await world.bought(product.skus[0].listing.id))
    proof = other.rpartition("/")[2]
    buyer = Buyer(world.client())
    assert (await buyer.get(f"/content/{first}/{proof}")).status_code == 404
    assert (await buyer.get(f"/content/{second}/{proof}")).status_code == 200
    assert (await buyer.get(f"/content/{first}/x")).status_code == 404
    elsewhere = await world.new_tenant("Other")
    from app.settings import settings

    stranger = Buyer(world.client(f"{elsewhere.slug}.{settings().shops_host}"))
    assert (await stranger.get(path)).status_code == 404
    assert (await world.client("app").get(path)).status_code == 404


@pytest.mark.case("A10")
async def test_the_last_openings_taken_by_twenty_at_once_are_exactly_as_many_as_there_were(world: World) -> None:
    product = await link(world, address=ADDRESS, rules=MintingRules(most_uses=3))
    minted_id, _ = await bought_link(world, await world.bought(product.skus[0].listing.id))
    await opened(world, minted_id)
    assert await opened_at_once(world, minted_id, 20) == {"opened": 2, "UsedUp": 18}
    assert await world.value("select count(*) from minted_use") == 3


@pytest.mark.case("A10")
async def test_red_without_the_lock_and_the_tables_guards_it_opens_too_often(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    product = await link(world, address=ADDRESS, rules=MintingRules(most_uses=1))
    bought = [(await bought_link(world, await world.bought(product.skus[0].listing.id)))[0] for _ in range(8)]
    owner = await asyncpg.connect(world.urls.owner_url)
    try:
        await owner.execute(f"set search_path to {world.tenant.schema}")
        await owner.execute("alter table minted_good drop constraint ck_minted_good_no_use_too_many")
        await owner.execute("drop index uq_minted_use_live")
    finally:
        await owner.close()
    monkeypatch.setattr(minting, "_LOCK", minting._LOCK.replace("for update of m, u", ""))
    answers = [await opened_at_once(world, minted_id, 20) for minted_id in bought]
    assert any(answer["opened"] > 1 for answer in answers)


async def test_expired_and_revoked_say_so_and_open_nothing(world: World) -> None:
    yesterday = clock.business_day() - timedelta(days=1)
    over = await link(world, address=ADDRESS, rules=MintingRules(valid_until=yesterday))
    minted_id, path = await bought_link(world, await world.bought(over.skus[0].listing.id))
    buyer = Buyer(world.client())
    answer = await buyer.get(path)
    assert answer.status_code == 410
    assert "Its time is over" in words(answer.text)
    assert (await buyer.post(path, f"{path}/openings")).status_code == 410
    with pytest.raises(minting.CannotUseNow):
        await opened(world, minted_id)

    product = await link(world, address=ADDRESS)
    placed = await world.bought(product.skus[0].listing.id)
    minted_id, path = await bought_link(world, placed)
    await opened(world, minted_id)
    owner, page = await staff(world), f"/orders/{placed.order_no}"
    line = await world.value("select id from order_line where order_id = $1", placed.id)
    shown = words((await owner.get(page)).text)
    assert "A link of ours, 3 openings" in shown
    assert "from network" in shown
    sent = {"line": str(line), "unit": "1", "reason": "Passed on"}
    assert [(await owner.post(f"{page}/revocations", sent)).status_code for _ in range(2)] == [303, 303]
    gone = await buyer.get(path)
    assert gone.status_code == 410
    assert "Taken back" in words(gone.text)
    assert "reason" not in gone.text.lower()
    assert await world.value("select reason from audit_entry where action = 'minted_good.revoked'") == "Passed on"
    assert (await owner.post(f"{page}/reveals", sent)).status_code == 404


async def test_a_link_nobody_opened_is_refunded_and_opens_no_more_and_an_opened_one_is_not(world: World) -> None:
    product = await link(world, address=ADDRESS)
    placed = await world.bought(product.skus[0].listing.id, 2)
    minted_id, path = await bought_link(world, placed)
    await opened(world, minted_id)
    async with tenant_tx(world.tenant) as tx:
        await refunding.refund_by_merchant(tx, placed.id, reason="Not wanted", actor=STAFF)
    await world.work()
    assert await world.rows("select unit_no, state from delivery_unit order by unit_no") == [
        {"unit_no": 1, "state": "delivered"},
        {"unit_no": 2, "state": "refunded"},
    ]
    other = await world.value("select id from minted_good where id <> $1", minted_id)
    with pytest.raises(GivenBack):
        await opened(world, other)
    assert (await Buyer(world.client()).get(path)).status_code == 200


async def test_a_refund_waits_for_an_opening_that_is_being_written_and_is_then_refused(world: World) -> None:
    product = await link(world, address=ADDRESS)
    placed = await world.bought(product.skus[0].listing.id)
    minted_id, _ = await bought_link(world, placed)

    async def refund() -> None:
        async with tenant_tx(world.tenant) as tx:
            await refunding.refund_by_merchant(tx, placed.id, reason="Not wanted", actor=STAFF)

    async with tenant_tx(world.tenant) as tx:
        await opening.open_content(tx, minted_id, file_id=None, address=FROM)
        refunds = asyncio.create_task(refund())
        await world.until("select true from pg_locks where not granted limit 1")
    with pytest.raises(NothingToRefund):
        await refunds
    assert await world.value("select state from delivery_unit") == "delivered"


async def test_what_it_opens_is_written_on_its_page(world: World) -> None:
    product = await world.product(delivery_kind=DeliveryKind.LINK, on_sale=False)
    path, owner = f"/products/{product.id}/content", await staff(world)
    async with tenant_session(world.tenant) as session:
        with pytest.raises(contents.NothingToOpen):
            await catalog.publish(session, product.id, actor=STAFF)
    sent = {"address": ADDRESS, "valid_days": "30", "most_uses": "5", f"quota-{product.skus[0].id}": "20"}
    assert (await owner.post(path, sent)).status_code == 303
    assert 'value="https://school.example/course?key={token}"' in (await owner.get(path)).text
    assert await world.value("select available from stock") == 20
    for wrong in (
        "http://a.example/",
        "https://{token}.example/",
        "https://a.example/{key}",
        "javascript:alert(1)",
        "https://u@a.example/",
    ):
        answer = await owner.post(path, sent | {"address": wrong, "most_uses": "0"})
        assert answer.status_code == 422, wrong
        assert all(f'id="f-{name}-error"' in answer.text for name in ("address", "most_uses"))
    files = {"file": ("../Buch\u202e.exe", b"%PDF-1.7 book", "text/html")}
    assert (await owner.post(f"{path}/files", files=files)).status_code == 303
    assert (await world.rows("select name, media_type from content_file")) == [
        {"name": "Buch.pdf", "media_type": "application/pdf"}
    ]
    for body in (b"MZ\x90\x00", b"<html><script>1</script>", b"#!/bin/sh", b"", b"\x00\x01\x02"):
        refused = await owner.post(f"{path}/files", files={"file": ("book.pdf", body, "application/pdf")})
        assert refused.status_code == 422, body
        assert 'id="f-file-error"' in refused.text
    async with tenant_session(world.tenant) as session:
        await catalog.publish(session, product.id, actor=STAFF)
    assert (await owner.post(path, sent | {"address": ""})).status_code == 303
    file_id = await world.value("select id from content_file")
    assert (await owner.post(f"{path}/files/{file_id}/removal")).status_code == 409
    assert await world.value("select count(*) from content_piece") == 1
    assert (await owner.post(path, sent)).status_code == 303
    assert (await owner.post(f"{path}/files/{file_id}/removal")).status_code == 303
    assert await world.value("select count(*) from content_piece") == 0
    assert (await owner.post(path, sent | {"address": ""})).status_code == 422
    reader = await staff(world, MemberRole.READ_ONLY)
    assert (await reader.get(path)).status_code == 200
    assert (await reader.post(path, sent)).status_code == 403
    assert (await (await staff(world, tenant=await world.new_tenant("Other"))).get(path)).status_code == 404
    assert (await owner.get(f"/products/{(await world.product()).id}/content")).status_code == 404


def test_a_file_is_what_its_bytes_say() -> None:
    told = {
        b"%PDF-1.7": "pdf",
        b"PK\x03\x04" + bytes(26) + b"mimetypeapplication/epub+zip": "epub",
        b"PK\x03\x04rest": "zip",
        b"ID3\x03": "mp3",
        b"\x00\x00\x00\x20ftypM4A ": "m4a",
        b"\x00\x00\x00\x20ftypisom": "mp4",
        b"RIFF\x00\x00\x00\x00WAVE": "wav",
        "课程表\n".encode(): "txt",
    }
    for body, ending in told.items():
        kind = filetypes.sniffed(body)
        assert kind is not None, body
        assert kind.ending == ending, body
    for body in (
        b"\x7fELF",
        b"MZ\x90\x00\x03",
        b"<svg onload=x>",
        b"  <!DOCTYPE html>",
        b"#!/usr/bin/env python",
        b"\xcf\xfa\xed\xfe",
        "é".encode("latin-1"),
    ):
        assert filetypes.sniffed(body) is None, body
    assert filetypes.shown_name('a/b\\c"\r\n;x.tar.gz', filetypes.ZIP) == "c x.tar.zip"
    assert filetypes.shown_name("", filetypes.PDF) == "file.pdf"
