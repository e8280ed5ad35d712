"""Keys are changed while everything runs: nothing becomes unreadable, duplicates are still found, a killed change is finished by the next."""

from __future__ import annotations

import ast
import asyncio
import base64
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import pytest

from app.inventory import rules
from app.kernel import rekeying, vault
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.kernel.vault import CannotOpen, KeyWornOut, keyring
from app.ordering import second_contacts
from app.settings import settings
from tenants.directory import PLATFORM
from tenants.session import tenant_tx
from tests.simulators import ROOT
from tests.world import World

pytestmark = [pytest.mark.anyio]
STARTS_WITHIN_S = 60


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rings are read anew at once, and a new key seals soon."""
    monkeypatch.setattr(vault, "FRESH_S", 0.05)
    monkeypatch.setattr(vault, "SETTLES_S", 0.2)
    monkeypatch.setattr(rekeying, "_BATCH", 7)


def only(monkeypatch: pytest.MonkeyPatch, *keks: str) -> None:
    """The process's key-encryption keys from now on, the first seals."""
    monkeypatch.setenv("QUANYI_KEY_ENCRYPTION_KEY", ",".join(keks))
    settings.cache_clear()
    vault.forget_keyrings()


def new_kek(name: str) -> str:
    return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


async def opened(world: World) -> set[str]:
    """Every card-key of the tenant, opened."""
    async with tenant_tx(world.tenant) as tx:
        ring = await keyring(tx)
        rows = await tx.fetch("select id, secret from card_key")
    return {rules.shown(ring.open("card_key", "secret", row["id"], row["secret"]).reveal())[0] for row in rows}


async def versions(world: World) -> set[int]:
    """Data keys that seal anything of the tenant, read from the bytes themselves."""
    found = set()
    for query in (
        "select distinct get_byte(secret, 2) as v from card_key",
        "select distinct get_byte(contact, 2) as v from shop_order",
        "select distinct get_byte(config, 2) as v from gateway_connection",
        "select distinct get_byte(recipient, 2) as v from outgoing_message",
        "select distinct get_byte(email, 2) as v from second_contact",
    ):
        found |= {row["v"] for row in await world.rows(query)}
    return found


@pytest.mark.case("K03")
async def test_everything_moves_under_the_next_key_and_reads_as_before(world: World, hasty: None) -> None:
    product = await world.product()
    sku = product.skus[0]
    keys = [f"OLD-KEY-{n:06d}" for n in range(20)]
    await world.stock(sku.id, keys)
    await world.bought(sku.listing.id, 2)
    order = await world.order_with_second(sku.listing.id, contact="13800132047", second="spare@mail.example")
    done = await rekeying.reseal(world.tenant)
    assert (done.version, done.left) == (2, 0)
    assert await versions(world) == {2}
    assert await opened(world) == set(keys)
    async with tenant_tx(world.tenant) as tx:
        second = await second_contacts.of_order(tx, order.id)
    assert second is not None
    assert second.value == "spare@mail.example"
    await world.stock(sku.id, [*keys[:5], "NEW-KEY-000001"])
    assert await world.rows("select duplicate_in_pool, imported_count from import_batch order by created_at desc limit 1") == [
        {"duplicate_in_pool": 5, "imported_count": 1}
    ]
    await world.bought(sku.listing.id)


@pytest.mark.case("K03")
async def test_a_shop_sells_and_imports_while_its_key_is_changed(world: World, hasty: None) -> None:
    product = await world.product()
    sku = product.skus[0]
    keys = [f"FIRST-{n:06d}" for n in range(60)]
    await world.stock(sku.id, keys)
    over = asyncio.Event()

    async def sell() -> int:
        sold = 0
        while not over.is_set() or not sold:
            await world.paid(sku.listing.id, contact=f"138{new_id().int % 10**8:08d}")
            await world.work(Lane.ORDERS, Lane.MESSAGES)
            sold += 1
        return sold

    async def restock() -> int:
        times = 0
        while not over.is_set() or not times:
            await world.stock(sku.id, [f"LATER-{times:03d}-{n:04d}" for n in range(20)])
            times += 1
        return times

    async def change() -> rekeying.Resealed:
        done = await rekeying.reseal(world.tenant)
        over.set()
        return done

    done, sold, times = await asyncio.gather(change(), sell(), restock())
    assert done.left == 0
    assert await world.value("select count(*) from shop_order where state = 'delivered'") == sold
    assert await opened(world) == {*keys, *(f"LATER-{t:03d}-{n:04d}" for t in range(times) for n in range(20))}
    assert await versions(world) == {2}


@pytest.mark.case("K03")
async def test_a_change_that_was_killed_is_finished_by_the_next(world: World, hasty: None) -> None:
    product = await world.product()
    keys = [f"KILLED-{n:06d}" for n in range(400)]
    await world.stock(product.skus[0].id, keys)
    command = [sys.executable, "-m", "tests.app.kernel.hasty_keys", "rotate", "--level", "data", "--tenant", world.tenant.slug]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)  # noqa: ASYNC220  # returns at once
    try:
        await world.until("select true from card_key where get_byte(secret, 2) = 2 limit 1", within_s=STARTS_WITHIN_S)
        process.send_signal(signal.SIGKILL)
    finally:
        await asyncio.to_thread(process.wait, 10)
    assert process.returncode == -signal.SIGKILL
    assert await world.value("select count(*) from card_key where get_byte(secret, 2) = 1") > 0, "it was killed half-way"
    vault.forget_keyrings()
    assert await opened(world) == set(keys), "what moved and what did not are both readable"
    done = await rekeying.reseal(world.tenant)
    assert (done.version, done.left) == (2, 0)
    assert await opened(world) == set(keys)


@pytest.mark.case("K03")
async def test_data_keys_are_wrapped_under_the_next_key_encryption_key(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sku, keys = (await world.product()).skus[0], {f"WRAPPED-KEY-{n:02d}" for n in range(8)}
    await world.stock(sku.id, sorted(keys))
    old, new = settings().key_encryption_key, new_kek("next")
    try:
        only(monkeypatch, new, old)
        assert await opened(world) == keys, "before: the old one opens"
        [wrapped, *_] = await asyncio.gather(rekeying.rewrap(world.tenant), *(world.paid(sku.listing.id) for _ in range(5)))
        assert wrapped == 3
        assert await rekeying.rewrap(world.tenant) == 0
        assert await world.rows("select distinct kek_name from data_key") == [{"kek_name": "next"}]
        only(monkeypatch, new)
        assert await opened(world) == keys, "after: the old one is not needed"
        async with tenant_tx(world.tenant) as tx:
            ring = await keyring(tx)
            contacts = [
                ring.open("shop_order", "contact", row["id"], row["contact"])
                for row in await tx.fetch("select id, contact from shop_order")
            ]
        assert {contact.reveal() for contact in contacts} == {"+8613800132046"}
    finally:
        only(monkeypatch, old, new)
        await rekeying.rewrap(world.tenant)  # the installation's other tests know the old one alone
        only(monkeypatch, old)


@pytest.mark.case("K04")
@pytest.mark.parametrize("names_known_key", [True, False], ids=["wrong key", "missing key"])
async def test_without_its_key_a_home_neither_opens_nor_seals(
    world: World, monkeypatch: pytest.MonkeyPatch, names_known_key: bool
) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, ["CLOSED-KEY-001"])
    old = settings().key_encryption_key
    try:
        only(monkeypatch, new_kek(old.partition(":")[0] if names_known_key else "another"))
        with pytest.raises(CannotOpen, match="key-encryption key"):
            await opened(world)
        with pytest.raises(CannotOpen):
            await world.order(product.skus[0].listing.id)
    finally:
        only(monkeypatch, old)
    assert await world.value("select count(*) from shop_order") == 0
    assert await world.value("select count(*) from data_key") == 3, "no other key was made instead"


@pytest.mark.case("K04")
@pytest.mark.parametrize("command", [["-m", "workers"], ["-m", "uvicorn", "app.main:app", "--port", "0"]], ids=["worker", "web"])
async def test_a_process_with_a_wrong_key_does_not_start(world: World, command: list[str]) -> None:
    async with tenant_tx(PLATFORM) as tx:
        await keyring(tx)
    wrong = {**os.environ, "QUANYI_KEY_ENCRYPTION_KEY": new_kek(settings().key_encryption_key.partition(":")[0])}
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, *command],
        cwd=ROOT,
        env=wrong,
        capture_output=True,
        text=True,
        timeout=STARTS_WITHIN_S,
        check=False,
    )
    assert ended.returncode != 0
    assert "the configured key-encryption key does not open it" in ended.stderr + ended.stdout


@pytest.mark.case("K05")
async def test_no_nonce_comes_twice_and_uses_are_counted_and_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault, "_COUNTED_BY", 1000)
    async with tenant_tx(world.tenant) as tx:
        ring = await keyring(tx)
    before, row = ring.uses, UUID(int=1)
    sealed = {ring.seal("card_key", "secret", row, "x")[3:15] for _ in range(100_000)}
    assert len(sealed) == 100_000
    async with tenant_tx(world.tenant) as tx:
        await keyring(tx)
    assert await world.value("select uses from data_key where purpose = 'seal'") >= before + 100_000
    monkeypatch.setattr(vault, "MOST_USES", ring.uses)
    with pytest.raises(KeyWornOut):
        ring.seal("card_key", "secret", row, "one too many")


def test_what_is_sealed_is_marked_so_in_its_table() -> None:
    """A column that rotation does not know of would stay under the old key for ever."""
    known = {(place.owner, place.column.name) for home in (PLATFORM, _ANY) for place in rekeying.places_of(home)}
    used = {
        (ast.literal_eval(node.args[0]), ast.literal_eval(node.args[1]))
        for path in (Path(ROOT) / "app").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for node in [_sealing(node)]
        if node is not None
    }
    assert used == known


def _sealing(node: ast.AST) -> ast.Call | None:
    """A call of `seal` that names its place, or hands the method on with it."""
    if not isinstance(node, ast.Call):
        return None
    if isinstance(node.func, ast.Attribute) and node.func.attr == "seal" and isinstance(node.args[0], ast.Constant):
        return node
    handed_on = node.args and isinstance(node.args[0], ast.Attribute) and node.args[0].attr == "seal"
    return ast.Call(node.args[0], node.args[1:], []) if handed_on else None


_ANY = type(PLATFORM)(UUID(int=1), "any", "Any", PLATFORM.state, "main", "t_000000", "t_000000")
