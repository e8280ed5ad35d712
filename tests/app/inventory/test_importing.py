"""Imports from upload to shelf: exact counts, whatever the file holds and whoever else imports."""

import asyncio
import logging
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import structlog
import time_machine

from app.fulfillment.revealing import reveal
from app.inventory import importing, rules
from app.inventory.importing import AlreadyExpired, NothingToImport
from app.inventory.models import ImportBatch
from app.inventory.quarantining import BatchStateRefuses
from app.kernel import audit, clock
from app.kernel.errors import NotFound
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.kernel.vault import CannotOpen, keyring
from tenants.directory import Tenant
from tenants.session import tenant_session, tenant_tx
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def upload(world: World, sku_id: UUID, body: bytes | str, name: str = "keys.txt", **terms: Any) -> ImportBatch:
    async with tenant_session(world.tenant) as session:
        return await importing.start_import(
            session,
            sku_id=sku_id,
            body=body.encode() if isinstance(body, str) else body,
            file_name=name,
            terms=(Decimal("14.7"), terms.get("expires_on")),
            actor=STAFF,
        )


async def confirm(world: World, batch: ImportBatch) -> None:
    async with tenant_session(world.tenant) as session:
        await importing.confirm(session, batch_no=batch.batch_no, actor=STAFF)


async def counts(world: World, batch: ImportBatch) -> dict[str, Any]:
    columns = "state, lines_read, new_count, duplicate_in_file, duplicate_in_pool, bad_count, imported_count"
    return (await world.rows(f"select {columns} from import_batch where id = $1", batch.id))[0]


@pytest.mark.case("A08")
async def test_counts_of_a_mixed_file_add_up(world: World) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, ["POOL-0001-AAAA"])
    lines = [
        "卡号,密码", "KEY-0001-AAAA", "key-0001-aaaa", "ＫＥＹ-0001-AAAA", "\u00a0KEY-0001-AAAA", "KEY-0002%0AAAA", "=KEY-0003-AAAA",
        "", "abc", "KEY\x00-0004-AAAA", "POOL-0001-AAAA", "KEY-0005-AAAA,pw", "KEY-0005-AAAA\tpw", "KEY-0005-AAAA,other", "x" * 501,
    ]  # fmt: skip
    batch = await upload(world, sku.id, b"\xef\xbb\xbf" + "\r\n".join(lines).encode())
    await importing.check(world.tenant, batch.id)
    found = await counts(world, batch)
    assert found == {
        "state": "ready", "lines_read": 14, "new_count": 6, "duplicate_in_file": 3, "duplicate_in_pool": 1, "bad_count": 4, "imported_count": 0,
    }  # fmt: skip
    bad = await world.rows("select line_no, problem, masked from import_line where verdict = 'bad' order by line_no")
    assert [(row["line_no"], row["problem"]) for row in bad] == [
        (1, rules.IS_HEADER), (9, rules.TOO_SHORT), (10, rules.HAS_CONTROL), (15, rules.TOO_LONG),
    ]  # fmt: skip
    await confirm(world, batch)
    await importing.import_keys(world.tenant, batch.id)
    assert (await counts(world, batch))["imported_count"] == 6
    assert await world.value("select available from stock") == 7


@pytest.mark.case("A08")
async def test_stored_key_is_exactly_what_was_given(world: World) -> None:
    product = await world.product()
    given = "=ＫＥＹ%0A-0001"
    await world.stock(product.skus[0].id, [f"  {given} ,  p\u200bw  "])
    placed = await world.bought(product.skus[0].listing.id)
    unit = (await world.rows("select order_line_id, unit_no from delivery_unit"))[0]
    async with tenant_tx(world.tenant) as tx:
        shown = await reveal(tx, order_id=placed.id, order_line_id=unit["order_line_id"], unit_no=1, actor=STAFF, reason="test")
    assert (shown.number, shown.password) == (given, "p\u200bw")


@pytest.mark.case("A08")
async def test_two_imports_of_the_same_keys_at_once_count_each_key_once(world: World) -> None:
    sku = (await world.product()).skus[0]
    lines = [f"KEY-{n:04d}-AAAA" for n in range(500)]
    one = await upload(world, sku.id, "\n".join(lines))
    other = await upload(world, sku.id, "\n".join(reversed(lines)))
    await asyncio.gather(importing.check(world.tenant, one.id), importing.check(world.tenant, other.id))
    await confirm(world, one)
    await confirm(world, other)
    await asyncio.gather(importing.import_keys(world.tenant, one.id), importing.import_keys(world.tenant, other.id))
    found = [await counts(world, one), await counts(world, other)]
    assert sum(batch["imported_count"] for batch in found) == 500
    assert all(batch["imported_count"] + batch["duplicate_in_pool"] == 500 for batch in found)
    assert await world.value("select available from stock") == 500
    assert await world.value("select count(*) from card_key") == 500


async def test_one_import_done_by_two_workers_at_once_is_done_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_MOVED_AT_ONCE", 7)
    sku = (await world.product()).skus[0]
    batch = await upload(world, sku.id, "\n".join(f"KEY-{n:04d}-AAAA" for n in range(100)))
    await importing.check(world.tenant, batch.id)
    await confirm(world, batch)
    await asyncio.gather(*(importing.import_keys(world.tenant, batch.id) for _ in range(3)))
    assert (await counts(world, batch))["imported_count"] == 100
    assert await world.value("select available from stock") == 100


async def test_killed_import_goes_on_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_MOVED_AT_ONCE", 10)
    sku = (await world.product()).skus[0]
    batch = await upload(world, sku.id, "\n".join(f"KEY-{n:04d}-AAAA" for n in range(45)))
    await importing.check(world.tenant, batch.id)
    await confirm(world, batch)
    real, calls = importing.put_on_shelf, 0

    async def dies(*given: Any, **named: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise ConnectionError
        await real(*given, **named)

    monkeypatch.setattr(importing, "put_on_shelf", dies)
    with pytest.raises(ConnectionError):
        await importing.import_keys(world.tenant, batch.id)
    assert await world.value("select available from stock") == 20
    assert await world.value("select lines_done from import_batch") == 20
    await importing.import_keys(world.tenant, batch.id)
    assert await world.value("select available from stock") == 45
    assert (await counts(world, batch))["imported_count"] == 45


async def test_killed_check_starts_over(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_CHECKED_AT_ONCE", 10)
    sku = (await world.product()).skus[0]
    batch = await upload(world, sku.id, "\n".join(f"KEY-{n:04d}-AAAA" for n in range(45)))
    real, calls = importing._records, 0

    def dies(*given: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise MemoryError
        return real(*given)

    monkeypatch.setattr(importing, "_records", dies)
    with pytest.raises(MemoryError):
        await importing.check(world.tenant, batch.id)
    assert (await world.rows("select state, lines_done from import_batch"))[0] == {"state": "checking", "lines_done": 20}
    await importing.check(world.tenant, batch.id)
    assert (await counts(world, batch))["new_count"] == 45


async def test_upload_abandoned_while_it_is_checked_leaves_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "_CHECKED_AT_ONCE", 10)
    sku = (await world.product()).skus[0]
    batch = await upload(world, sku.id, "\n".join(f"KEY-{n:04d}-AAAA" for n in range(45)))
    real = importing.read

    def read_and_abandon(body: bytes, name: str) -> Any:
        asyncio.run_coroutine_threadsafe(abandon(), loop).result(10)
        return real(body, name)

    async def abandon() -> None:
        async with tenant_session(world.tenant) as session:
            await importing.abandon(session, batch_no=batch.batch_no, actor=STAFF)

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(importing, "read", read_and_abandon)
    await importing.check(world.tenant, batch.id)
    assert (await counts(world, batch))["state"] == "abandoned"
    assert await world.value("select count(*) from import_line") == 0
    assert await world.value("select count(*) from import_chunk") == 0


@pytest.mark.parametrize("body", [b"%PDF-1.7", b"PK\x03\x04xx", b"\xff" * 40, b"\n \n\t\n\xef\xbb\xbf"])
async def test_unreadable_upload_is_rejected_with_a_reason(world: World, body: bytes) -> None:
    sku = (await world.product()).skus[0]
    batch = await upload(world, sku.id, body)
    await importing.check(world.tenant, batch.id)
    row = (await world.rows("select state, problem from import_batch"))[0]
    assert row["state"] == "rejected"
    assert row["problem"].endswith(".")
    assert await world.value("select count(*) from import_chunk") == 0


async def test_confirming_again_imports_nothing_more(world: World) -> None:
    sku = (await world.product()).skus[0]
    batch = await upload(world, sku.id, "KEY-0001-AAAA")
    await importing.check(world.tenant, batch.id)
    await confirm(world, batch)
    await confirm(world, batch)
    await world.work(Lane.BULK)
    await confirm(world, batch)
    await world.work(Lane.BULK)
    assert await world.value("select available from stock") == 1


async def test_nothing_new_is_not_imported(world: World) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, ["KEY-0001-AAAA"])
    batch = await upload(world, sku.id, "KEY-0001-AAAA\nabc")
    await importing.check(world.tenant, batch.id)
    with pytest.raises(NothingToImport):
        await confirm(world, batch)
    assert (await counts(world, batch))["state"] == "ready"


@pytest.mark.case("A11")
async def test_keys_that_expired_before_they_were_confirmed_are_not_put_on_the_shelf(world: World) -> None:
    sku = (await world.product()).skus[0]
    batch = await upload(world, sku.id, "KEY-0001-AAAA", expires_on=clock.business_day())
    await importing.check(world.tenant, batch.id)
    with time_machine.travel(clock.now() + timedelta(days=2), tick=True), pytest.raises(AlreadyExpired):
        await confirm(world, batch)


async def test_abandoned_import_cannot_be_confirmed(world: World) -> None:
    sku = (await world.product()).skus[0]
    batch = await upload(world, sku.id, "KEY-0001-AAAA")
    async with tenant_session(world.tenant) as session:
        await importing.abandon(session, batch_no=batch.batch_no, actor=STAFF)
    with pytest.raises(BatchStateRefuses):
        await confirm(world, batch)


async def test_import_into_a_strangers_pool_is_not_found(world: World) -> None:
    other = await world.new_tenant("Other")
    sku = (await world.product(tenant=other)).skus[0]
    with pytest.raises(NotFound):
        await upload(world, sku.id, "KEY-0001-AAAA")


@pytest.mark.case("A08")
async def test_reimported_key_of_any_state_is_a_duplicate(world: World) -> None:
    product = await world.product()
    sku = product.skus[0]
    await world.stock(sku.id, ["KEY-SOLD-AAAA"])
    await world.bought(sku.listing.id)
    batch = await upload(world, sku.id, "key-sold-aaaa\nKEY-SOLD-AAAA")
    await importing.check(world.tenant, batch.id)
    found = await counts(world, batch)
    assert (found["new_count"], found["duplicate_in_pool"]) == (1, 1)


async def test_no_plain_key_stands_in_any_table_or_log(
    world: World, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    product = await world.product()
    sku = product.skus[0]
    canaries = [
        "CANARY-AAAA-7QX1",
        "CANARY-BBBB-7QX2",
        "CANARYCANARY" * 50,
        "CANARY-CCCC-7QX3,CANARYPW",
        "CANARY\x00DDDD-7QX4",
        "CANARY a b c",
    ]
    with structlog.testing.capture_logs() as logged:
        batch = await upload(world, sku.id, "\n".join([*canaries, canaries[0]]))
        assert "CANARY" not in await dump(world.tenant)
        await importing.check(world.tenant, batch.id)
        assert "CANARY" not in await dump(world.tenant)
        await confirm(world, batch)
        await world.work()
        assert "CANARY" not in await dump(world.tenant)
        placed = await world.bought(sku.listing.id, 2)
        line = (await world.rows("select order_line_id from delivery_unit limit 1"))[0]["order_line_id"]
        async with tenant_tx(world.tenant) as tx:
            await reveal(tx, order_id=placed.id, order_line_id=line, unit_no=1, actor=STAFF, reason="The buyer asked")
    assert "CANARY" not in await dump(world.tenant)
    assert "CANARY" not in repr(logged) + caplog.text + "".join(capsys.readouterr())
    async with tenant_tx(world.tenant) as tx:
        assert await audit.first_broken(tx) is None


async def dump(tenant: Tenant) -> str:
    """Every row of every table of a tenant, as text; bytes show their ASCII."""
    async with tenant_tx(tenant) as tx:
        tables = [
            row["table_name"]
            for row in await tx.fetch("select table_name from information_schema.tables where table_schema = $1", tenant.schema)
        ]
        rows = [str(dict(row)) for table in tables for row in await tx.fetch(f"select * from {table}")]
    assert "card_key" in tables
    assert len(rows) > 10
    return "\n".join(rows)


async def test_sealed_key_opens_only_where_it_stands(world: World) -> None:
    sku = (await world.product()).skus[0]
    await world.stock(sku.id, ["KEY-0001-AAAA", "KEY-0002-AAAA"])
    one, other = await world.rows("select id, secret from card_key")
    async with tenant_tx(world.tenant) as tx:
        ring = await keyring(tx)
    assert ring.open("card_key", "secret", one["id"], one["secret"]).reveal().startswith("KEY-")
    for table, column, row_id, sealed in (
        ("card_key", "secret", other["id"], one["secret"]),
        ("import_chunk", "secret", one["id"], one["secret"]),
        ("card_key", "body", one["id"], one["secret"]),
        ("card_key", "secret", new_id(), one["secret"]),
        ("card_key", "secret", one["id"], one["secret"][:-1] + bytes([one["secret"][-1] ^ 1])),
    ):
        with pytest.raises(CannotOpen):
            ring.open(table, column, row_id, sealed)
    stranger = await world.new_tenant("Other")
    async with tenant_tx(stranger) as tx:
        other_ring = await keyring(tx)
    with pytest.raises(CannotOpen):
        other_ring.open("card_key", "secret", one["id"], one["secret"])
