"""Backup and restore: one tenant without touching another, everything into an empty database, and nothing sold or sent before the books were compared."""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from app.inventory import rules
from app.kernel import audit_heads
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.kernel.vault import keyring
from app.ordering import placing
from app.ordering.placing import ShopClosed
from app.payments import service as payments
from app.payments.service import NotReconciled
from app.settings import settings
from operations.audit_trail import verify
from operations.backup import DUMP, back_up
from operations.client_programs import ClientPrograms
from operations.reconcile import reconcile
from operations.restore import restore
from operations.trouble import Trouble
from tenants import routing
from tenants.bootstrap import Passwords, prepare_database
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx
from tests.simulators import ROOT
from tests.world import World
from workers.drain import drain_home

pytestmark = [pytest.mark.anyio, pytest.mark.database]
CANARY = "CANARY-7K2M-BACKUP-01"
PHONE = "13822220047"


@pytest.fixture(autouse=True)
def heads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Signed heads are kept, so that a restore has to explain itself."""
    monkeypatch.setenv("QUANYI_AUDIT_HEADS", str(tmp_path / "heads"))
    monkeypatch.setenv("QUANYI_AUDIT_KEY", "k" * 32)
    settings.cache_clear()
    yield
    monkeypatch.undo()
    settings.cache_clear()


async def contents(tenant: Tenant) -> dict[str, str]:
    """A digest of every table of a tenant."""
    async with tenant_tx(tenant) as tx:
        names = [
            row["name"]
            for row in await tx.fetch("select tablename as name from pg_tables where schemaname = current_schema() order by 1")
        ]
        found = {}
        for name in names:
            rows = await tx.fetch(f"select t::text as row from {name} t order by 1")
            found[name] = hashlib.sha256("\n".join(row["row"] for row in rows).encode()).hexdigest()
    return found


async def now_of(tenant: Tenant) -> Tenant:
    routing.forget()
    found = await routing.by_slug(tenant.slug)
    assert found is not None
    return found


async def shop(world: World, keys: Any = 6) -> Any:
    product = await world.product()
    await world.stock(product.skus[0].id, keys)
    return product.skus[0]


async def reconciled(world: World, **options: Any) -> list[Any]:
    found = await reconcile(await now_of(world.tenant), **options)
    world.tenant = await now_of(world.tenant)
    return found


async def test_a_tenant_comes_back_as_it_was_and_another_is_not_touched(world: World, tmp_path: Path) -> None:
    other = await world.new_tenant("Other")
    sku = await shop(world)
    await world.bought(sku.listing.id)
    await back_up(world.tenant, tmp_path / "one.tar")
    before, others = await contents(world.tenant), await contents(other)
    await world.bought(sku.listing.id)
    assert await restore(tmp_path / "one.tar", world.tenant.slug) == [world.tenant.slug]
    after = await contents(world.tenant)
    assert {name for name in after if after[name] != before[name]} == {"audit_entry"}, "the restore itself is audited"
    assert await contents(other) == others
    assert (await now_of(other)).is_open


@pytest.mark.whole_installation
async def test_one_tenant_comes_back_out_of_a_whole_backup(world: World, tmp_path: Path) -> None:
    other = await world.new_tenant("Other")
    await shop(world)
    await back_up(None, tmp_path / "all.tar")
    before, others = await contents(world.tenant), await contents(other)
    await shop(world)
    await restore(tmp_path / "all.tar", world.tenant.slug)
    after = await contents(world.tenant)
    assert {name for name in after if after[name] != before[name]} == {"audit_entry"}
    assert await contents(other) == others
    await reconciled(world)
    fresh = await shop(world)
    await world.bought(fresh.listing.id)


async def test_a_file_holds_no_plain_key_and_no_key_to_open_one(world: World, tmp_path: Path) -> None:
    sku = await shop(world, [CANARY, f"{CANARY}-2"])
    await world.bought(sku.listing.id, contact=PHONE)
    file = tmp_path / "one.tar"
    await back_up(world.tenant, file)
    assert file.stat().st_mode & 0o077 == 0
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path / "open", filter="data")
    programs = ClientPrograms(world.urls.owner_url)
    script = programs.run("pg_restore", "--file", "-", tmp_path / "open" / DUMP, say="")
    assert f"COPY {world.tenant.schema}.card_key" in script
    kek = settings().key_encryption_key.partition(":")[2]
    text = script + "".join(path.read_text(errors="replace") for path in (tmp_path / "open").iterdir())
    for secret in (CANARY, CANARY.encode().hex(), PHONE, f"86{PHONE}", kek):
        assert secret not in text


@pytest.mark.case("J10")
async def test_what_was_restored_neither_sells_nor_sends_until_it_is_reconciled(world: World, tmp_path: Path) -> None:
    sku = await shop(world)
    waiting = await world.order(sku.listing.id)
    await payments.open_payment(world.tenant, waiting.id)
    owed = await world.paid(sku.listing.id)
    request = await world.request(sku.listing.id)
    await back_up(world.tenant, tmp_path / "one.tar")
    await restore(tmp_path / "one.tar", world.tenant.slug)
    blocked = await now_of(world.tenant)
    sent = len(world.gateway.book()["payments"])
    with pytest.raises(ShopClosed):
        await placing.place(blocked, request)
    with pytest.raises(NotReconciled):
        await payments.open_payment(blocked, waiting.id)
    assert [await drain_home(blocked, lane) for lane in Lane] == [0] * len(Lane)
    assert await world.value("select state from shop_order where id = $1", owed.id) == "paid"
    assert len(world.gateway.book()["payments"]) == sent
    assert "closed" in (await world.client().get("/")).text


def money_moved(world: World) -> dict[str, Mapping[str, int]]:
    """What the gateway's book counts, but for notices: one of an earlier test may be sent again at any moment."""
    return {name: counts for name, counts in world.gateway.totals().items() if name != "sent"}


@pytest.mark.case("J10")
async def test_an_hour_later_nothing_is_done_twice_and_every_difference_is_listed(world: World, tmp_path: Path) -> None:
    sku = await shop(world)
    owed = await world.paid(sku.listing.id)
    open_order = await world.order(sku.listing.id)
    await payments.open_payment(world.tenant, open_order.id)
    file = tmp_path / "hour.tar"
    await back_up(world.tenant, file)
    await world.work()
    payment_no = await world.pay(open_order)
    await world.ask_gateway(open_order)
    lost = await world.bought(sku.listing.id, contact="13900000002")
    handed_out = {row["id"] for row in await world.rows("select id from card_key where state = 'delivered'")}
    numbers = {row["order_no"] for row in await world.rows("select order_no from shop_order")}
    moved = money_moved(world)
    await restore(file, world.tenant.slug)
    differences = await reconciled(world)
    assert [(found.number, found.ours, found.theirs) for found in differences] == [(payment_no, "open", "captured")]
    assert payment_no in await world.value("select facts::text from audit_entry where action = 'tenant.reconciled'")
    await world.work()
    assert await world.value("select count(*) from card_key where state = 'free'") == 0, (
        "what may have been handed out is not on the shelf"
    )
    assert await world.value("select count(*) from delivery_unit where state = 'delivered'") == 0, (
        "nothing is delivered a second time"
    )
    assert money_moved(world) == moved, "nothing is refunded or charged a second time"
    assert await world.value("select state from shop_order where id = $1", owed.id) == "paid"
    waits = await world.rows("select subject_id, state from task where kind = 'fulfillment.deliver'")
    assert {row["subject_id"]: row["state"] for row in waits} == {owed.id: "failed", open_order.id: "failed"}, (
        "both wait for a person"
    )
    assert await world.value("select count(*) from shop_order where id = $1", lost.id) == 0
    fresh = await shop(world)
    again = [await world.bought(fresh.listing.id, contact=f"138{new_id().int % 10**8:08d}") for _ in range(3)]
    assert not numbers & {order.order_no for order in again}
    assert not handed_out & {
        row["card_key_id"] for row in await world.rows("select card_key_id from delivery_unit where state = 'delivered'")
    }


@pytest.mark.case("J10")
async def test_red_without_the_quarantine_a_key_is_handed_out_twice(world: World, tmp_path: Path) -> None:
    sku = await shop(world, 1)
    await back_up(world.tenant, tmp_path / "one.tar")
    await world.bought(sku.listing.id)
    first = await world.value("select card_key_id from delivery_unit where state = 'delivered'")
    await restore(tmp_path / "one.tar", world.tenant.slug)
    await reconciled(world, keys_unsold=True)
    await world.bought(sku.listing.id, contact="13900000003")
    assert await world.value("select card_key_id from delivery_unit where state = 'delivered'") == first


@pytest.mark.case("J10")
async def test_while_a_gateway_does_not_answer_nothing_is_let_go(world: World, tmp_path: Path) -> None:
    sku = await shop(world)
    order = await world.order(sku.listing.id)
    await payments.open_payment(world.tenant, order.id)
    await back_up(world.tenant, tmp_path / "one.tar")
    await restore(tmp_path / "one.tar", world.tenant.slug)
    world.gateway.script({"before": "drop"}, on="query", times=1)
    differences = await reconcile(await now_of(world.tenant))
    assert [found.is_open for found in differences] == [True]
    assert (await now_of(world.tenant)).is_reconciling
    assert await reconciled(world) == []
    assert not world.tenant.is_reconciling
    with pytest.raises(Trouble, match="reconciled already"):
        await reconcile(world.tenant)


async def test_secrets_open_after_a_restore_and_the_audit_trail_explains_itself(world: World, tmp_path: Path) -> None:
    await shop(world, [CANARY])
    await back_up(world.tenant, tmp_path / "one.tar")
    await shop(world, ["LOST-KEY-000001"])
    async with tenant_tx(world.tenant) as tx:
        lost = await audit_heads.head_of(tx)
    assert lost is not None
    assert settings().audit_heads is not None
    audit_heads.keep(settings().audit_heads, [lost])
    await restore(tmp_path / "one.tar", world.tenant.slug)
    async with tenant_tx(world.tenant) as tx:
        ring = await keyring(tx)
        rows = await tx.fetch("select id, secret from card_key")
    assert [rules.shown(ring.open("card_key", "secret", row["id"], row["secret"]).reveal())[0] for row in rows] == [CANARY]
    assert await verify([world.tenant]) == [], "what the backup does not have is no forgery"
    await reconciled(world)


async def test_a_restore_that_fails_changes_nothing(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop(world)
    await back_up(world.tenant, tmp_path / "one.tar")
    before = await contents(world.tenant)
    monkeypatch.setattr("operations.restore._TELL", "select 1 / 0;")
    with pytest.raises(Trouble, match="Nothing was restored"):
        await restore(tmp_path / "one.tar", world.tenant.slug)
    assert await contents(world.tenant) == before
    assert not (await now_of(world.tenant)).is_reconciling


async def test_what_cannot_be_restored_is_said(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "one.tar"
    await back_up(world.tenant, file)
    with pytest.raises(Trouble, match="no tenant"):
        await restore(file, "somebody-else")
    with pytest.raises(Trouble, match="backup of one tenant"):
        await restore(file)
    (tmp_path / "bad.tar").write_bytes(file.read_bytes()[:2000])
    with pytest.raises(Trouble, match="not a backup"):
        await restore(tmp_path / "bad.tar", world.tenant.slug)
    with pytest.raises(Trouble, match="no file"):
        await restore(tmp_path / "none.tar", world.tenant.slug)
    monkeypatch.setenv("QUANYI_KEY_ENCRYPTION_KEY", "other:" + settings().key_encryption_key.partition(":")[2])
    settings.cache_clear()
    with pytest.raises(Trouble, match="key-encryption key k1"):
        await restore(file, world.tenant.slug)


@pytest.mark.whole_installation
async def test_everything_goes_into_an_empty_database_and_into_no_other(world: World, tmp_path: Path, installation: Any) -> None:
    await shop(world)
    await back_up(None, tmp_path / "all.tar")
    with pytest.raises(Trouble, match="empty one"):
        await restore(tmp_path / "all.tar")
    ended = await asyncio.to_thread(_in_an_empty_database, installation, tmp_path / "all.tar")
    assert ended.returncode == 0, ended.stderr
    copy = await asyncpg.connect(installation.postgres.admin_url("copy"))
    try:
        assert await copy.fetchval("select count(*) from tenant") == await world.value(
            "select count(*) from tenant", tenant=PLATFORM
        )
        assert await copy.fetchval("select bool_and(reconciling_since is not null) from tenant where state <> 'spare'")
        assert await copy.fetchval(f"select count(*) from {world.tenant.schema}.card_key") == 6
    finally:
        await copy.close()


def _in_an_empty_database(installation: Any, file: Path) -> Any:
    urls = prepare_database(installation.postgres.admin_url(), name="copy", passwords=Passwords(owner="o" * 12, app="a" * 12))
    environment = {**os.environ, "QUANYI_DATABASE_URL": urls.app_url, "QUANYI_OWNER_DATABASE_URL": urls.owner_url}
    command = [sys.executable, "-m", "operations", "restore", str(file)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
