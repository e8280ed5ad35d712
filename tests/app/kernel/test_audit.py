"""The audit chain: complete, in order, and every kind of tampering found."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from app.console import service as console
from app.fulfillment import revealing
from app.inventory import service as inventory
from app.kernel import audit
from app.kernel.actor import SYSTEM, Actor, ActorKind
from app.ordering.placing import Placed
from app.payments import refunding
from app.payments import service as payments
from tenants.directory import PLATFORM
from tenants.session import tenant_session, tenant_tx
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]


async def write(world: World, count: int) -> None:
    async def one(n: int) -> None:
        async with tenant_tx(world.tenant) as tx:
            await audit.record(tx, SYSTEM, "test.done", subject=("thing", None), reason=f"no. {n}", facts={"n": n, "name": "名"})

    await asyncio.gather(*(one(n) for n in range(count)))


async def first_broken(world: World) -> int | None:
    async with tenant_tx(world.tenant) as tx:
        return await audit.first_broken(tx)


async def test_entries_written_at_once_form_one_chain(world: World) -> None:
    await write(world, 20)
    seqs = [row["seq"] for row in await world.rows("select seq from audit_entry order by seq")]
    assert seqs == list(range(1, len(seqs) + 1))
    assert await first_broken(world) is None


@pytest.mark.parametrize(
    ("tampering", "found_at"),
    [
        ("update audit_entry set reason = 'other' where seq = 3", 3),
        ("update audit_entry set facts = '{}' where seq = 4", 4),
        ("update audit_entry set actor_name = 'somebody' where seq = 2", 2),
        ("delete from audit_entry where seq = 3", 4),
        ("update audit_entry set seq = seq + 1000 where seq = 5; update audit_entry set seq = 5 where seq = 6", 5),
    ],
)
@pytest.mark.case("K06")
async def test_tampering_by_the_owner_is_found_where_it_happened(world: World, tampering: str, found_at: int) -> None:
    world.may_break.add("INV-13")
    await write(world, 10)
    owner = await asyncpg.connect(world.urls.owner_url)
    await owner.execute(f"set search_path to {world.tenant.schema}; {tampering}")
    await owner.close()
    assert await first_broken(world) == found_at


@pytest.mark.case("K06")
async def test_a_chain_is_followed_from_where_it_held_and_from_its_start_when_that_changed(world: World) -> None:
    world.may_break.add("INV-13")
    await write(world, 6)
    async with tenant_tx(world.tenant) as tx:
        proven, broken = await audit.prove(tx, audit.WHOLE)
        assert (proven.seq, broken) == (await tx.fetchval("select max(seq) from audit_entry"), None)
    await write(world, 2)
    async with tenant_tx(world.tenant) as tx:
        assert (await audit.prove(tx, proven))[0].seq == proven.seq + 2
    owner = await asyncpg.connect(world.urls.owner_url)
    await owner.execute(f"update {world.tenant.schema}.audit_entry set hash = sha256(hash) where seq = $1", proven.seq)
    await owner.close()
    async with tenant_tx(world.tenant) as tx:
        assert (await audit.prove(tx, proven))[1] == proven.seq


async def void(world: World, order: Placed) -> None:
    key_id = await world.value("select id from card_key where state = 'free' limit 1")
    async with tenant_session(world.tenant) as session:
        await inventory.void_key(session, card_key_id=key_id, reason="leaked", actor=STAFF)


async def reveal(world: World, order: Placed) -> None:
    unit = (await world.rows("select order_line_id, unit_no from delivery_unit where order_id = $1", order.id))[0]
    async with tenant_tx(world.tenant) as tx:
        await revealing.reveal(tx, order_id=order.id, **unit, actor=Actor(ActorKind.BUYER, None, "buyer"))


async def refund(world: World, order: Placed) -> None:
    async with tenant_tx(world.tenant) as tx:
        await refunding.refund_by_merchant(tx, order.id, reason="asked for", actor=STAFF)


async def suspend(world: World, order: Placed) -> None:
    await console.suspend(world.tenant, reason="chargebacks", actor=STAFF)


async def connect(world: World, order: Placed) -> None:
    async with tenant_tx(world.tenant) as tx:
        config = {"base_url": world.gateway.url, "merchant_id": "m", "api_key": "k", "api_secret": "s", "notice_secret": "n"}
        await payments.connect_gateway(tx, gateway="sandbox", name="Second", config=config, actor=STAFF)


async def state_of(world: World) -> list[dict[str, Any]]:
    """What the acts would change."""
    return [
        *await world.rows("select state, count(*) from card_key group by 1 order by 1"),
        *await world.rows("select state, revealed_at from delivery_unit"),
        *await world.rows("select state from shop_order"),
        *await world.rows("select count(*) from gateway_connection"),
        *await world.rows("select count(*) from task"),
        *await world.rows("select state from tenant where id = $1", world.tenant.id, tenant=PLATFORM),
    ]


@pytest.mark.case("K07")
@pytest.mark.parametrize("act", [void, reveal, refund, suspend, connect])
async def test_an_act_whose_entry_cannot_be_written_does_not_happen(
    world: World, monkeypatch: pytest.MonkeyPatch, act: Callable[[World, Placed], Awaitable[None]]
) -> None:
    product = await world.product()
    await world.stock(product.skus[0].id, 3)
    order = await world.bought(product.skus[0].listing.id)
    before = await state_of(world)
    with monkeypatch.context() as broken:
        broken.setattr(audit, "_INSERT", audit._INSERT.replace("audit_entry", "no_such_table"))
        with pytest.raises(asyncpg.UndefinedTableError):
            await act(world, order)
    assert await state_of(world) == before
    await act(world, order)
    assert await state_of(world) != before, "with its entry it happens"
