"""Signed heads outside the database: a chain made anew or cut off is found, and who has only the database cannot sign."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from app.kernel import audit, audit_heads
from app.kernel.actor import SYSTEM
from app.kernel.audit import GENESIS, chain_hash
from app.kernel.audit_heads import Fault
from app.kernel.history import facts_of
from app.settings import settings
from operations import audit_trail
from operations.trouble import Trouble
from tenants.directory import Tenant
from tenants.session import tenant_tx
from tests.world import World
from workers import timers

pytestmark = [pytest.mark.anyio, pytest.mark.database, pytest.mark.case("K06")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("QUANYI_AUDIT_HEADS", str(tmp_path / "heads"))
    monkeypatch.setenv("QUANYI_AUDIT_KEY", "k" * 32)
    settings.cache_clear()
    yield tmp_path / "heads"
    monkeypatch.undo()
    settings.cache_clear()


async def fault_of(tenant: Tenant) -> Fault | None:
    """What the verifier says of one tenant."""
    found = dict(await audit_trail.verify([tenant]))
    return found.get(tenant)


async def write(world: World, count: int) -> None:
    for n in range(count):
        async with tenant_tx(world.tenant) as tx:
            await audit.record(tx, SYSTEM, "test.done", subject=("thing", None), reason=f"no. {n}", facts={"n": n})


async def as_owner(world: World, statement: str) -> None:
    owner = await asyncpg.connect(world.urls.owner_url)
    await owner.execute(f"set search_path to {world.tenant.schema}; {statement}")
    await owner.close()


async def made_anew(world: World, from_seq: int) -> None:
    """What somebody with the database alone can do: edit an entry, and compute every hash after it again."""
    owner = await asyncpg.connect(world.urls.owner_url)
    await owner.execute(f"set search_path to {world.tenant.schema}")
    await owner.execute("update audit_entry set reason = 'edited' where seq = $1", from_seq)
    previous = GENESIS
    for row in await owner.fetch("select * from audit_entry order by seq"):
        names = ("seq", "at", "actor_kind", "actor_id", "actor_name", "action", "subject_kind", "subject_id", "reason")
        digest = chain_hash(previous, [*(row[name] for name in names), facts_of(row)])
        await owner.execute("update audit_entry set previous_hash = $2, hash = $3 where seq = $1", row["seq"], previous, digest)
        previous = digest
    await owner.close()


async def signed(world: World) -> None:
    await timers.sign_heads(lambda: False)


async def test_a_chain_that_grew_fits_every_head(world: World, folder: Path) -> None:
    for _ in range(3):
        await write(world, 3)
        await signed(world)
    assert len(audit_heads.kept(folder, [world.tenant.id])[world.tenant.id]) == 3
    assert await fault_of(world.tenant) is None


@pytest.mark.parametrize(
    ("tampering", "found_at"),
    [
        ("update audit_entry set reason = 'x' where seq = 3", 3),
        ("delete from audit_entry where seq = 3", 4),
        (
            "update audit_entry set seq = seq + 1000 where seq = 3; update audit_entry set seq = 3 where seq = 4; update audit_entry set seq = 4 where seq = 1003",
            3,
        ),
    ],
    ids=["edited", "deleted", "moved"],
)
async def test_tampering_is_named_by_its_first_entry(world: World, folder: Path, tampering: str, found_at: int) -> None:
    world.may_break.add("INV-13")
    await write(world, 8)
    await signed(world)
    await as_owner(world, tampering)
    fault = await fault_of(world.tenant)
    assert fault is not None
    assert fault.seq == found_at


async def test_a_chain_made_anew_fits_itself_but_not_its_heads(world: World, folder: Path) -> None:
    await write(world, 4)
    await signed(world)
    first = await world.value("select max(seq) from audit_entry")
    await write(world, 4)
    await signed(world)
    await made_anew(world, first + 2)
    async with tenant_tx(world.tenant) as tx:
        assert await audit.first_broken(tx) is None, "by itself it looks whole"
    fault = await fault_of(world.tenant)
    assert fault is not None
    assert fault.seq == first + 1, "the head before still fits: it was made anew after it"
    assert "made anew" in fault.says


async def test_a_tail_that_was_cut_off_is_missed(world: World, folder: Path) -> None:
    await write(world, 6)
    await signed(world)
    last = await world.value("select max(seq) from audit_entry")
    await as_owner(world, f"delete from audit_entry where seq > {last - 2}")
    async with tenant_tx(world.tenant) as tx:
        assert await audit.first_broken(tx) is None
    fault = await fault_of(world.tenant)
    assert fault is not None
    assert fault.seq == last - 1


async def test_a_head_nobody_signed_is_said(world: World, folder: Path) -> None:
    await write(world, 3)
    await signed(world)
    file = next(folder.glob("*.jsonl"))  # noqa: ASYNC240  # a small local folder
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    file.write_text("".join(json.dumps({**line, "hash": "0" * 64}) + "\n" for line in lines))
    with pytest.raises(Trouble, match="not signed by us"):
        await fault_of(world.tenant)


async def test_without_the_key_no_head_can_be_made(world: World, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await write(world, 3)
    monkeypatch.setenv("QUANYI_AUDIT_KEY", "another key of enough length ....")
    settings.cache_clear()
    await signed(world)
    monkeypatch.setenv("QUANYI_AUDIT_KEY", "k" * 32)
    settings.cache_clear()
    with pytest.raises(Trouble, match="not signed by us"):
        await fault_of(world.tenant)
