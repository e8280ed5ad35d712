"""Batches for tests: a lot for a company, read and confirmed through the real verbs, and the worker's turns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from app.issuing import paying, placing, queries, reading, service
from app.issuing.paying import Paid
from app.issuing.reading import Terms
from app.kernel import clock
from app.kernel.ids import new_id
from tenants.directory import Tenant
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import make_due, settle
from tests.world import STAFF, World

PRICE = 1500


def numbers(count: int, start: int = 0) -> list[str]:
    """So many mobile numbers."""
    return [f"138{start + at:08d}" for at in range(count)]


async def read(
    world: World, listing_id: UUID, lines: Sequence[str], *, client: str = "Lantern Works", tenant: Tenant | None = None
) -> str:
    """A batch that waits to be confirmed; its number."""
    terms = Terms(new_id(), client, "HT-2026-118", PRICE, "en")
    async with tenant_tx(tenant or world.tenant) as tx:
        goods = await queries.goods_or_none(tx, listing_id)
        assert goods is not None
        return await reading.start(tx, terms, goods, ("\n".join(lines).encode(), "people.csv"), actor=STAFF)


async def act(world: World, batch_no: str, verb: Any, *, tenant: Tenant | None = None) -> Any:
    """One of the verbs of `service`, on a batch."""
    async with tenant_tx(tenant or world.tenant) as tx:
        return await verb(tx, await queries.one_or_404(tx, batch_no, lock=True), actor=STAFF)


async def issued(world: World, listing_id: UUID, lines: Sequence[str]) -> str:
    """A confirmed batch; its number."""
    batch_no = await read(world, listing_id, lines)
    await act(world, batch_no, service.confirm)
    return batch_no


async def work(world: World) -> None:
    """Worker's turns until no row of any batch is under way and nothing is to be ordered that could be."""
    for _ in range(100):
        await make_due(world, service.GO_ON)
        await settle(world)
        if not await world.value("select exists (select 1 from issue_row where state = 'ordered')"):
            await make_due(world, service.GO_ON)
            await settle(world)
            if not await world.value("select exists (select 1 from issue_row where state = 'ordered')"):
                return
    raise AssertionError("rows are still under way")


async def states(world: World, batch_no: str) -> dict[str, int]:
    """How many rows of a batch stand how."""
    async with tenant_tx(world.tenant) as tx:
        batch = await queries.one_or_404(tx, batch_no)
        return await queries.rows_by_state(tx, batch["id"])


async def batch_of(world: World, batch_no: str) -> dict[str, Any]:
    return (await world.rows("select * from issue_batch where batch_no = $1", batch_no))[0]


async def owed(world: World, batch_no: str) -> int:
    """What a batch owes, by the ledger."""
    async with tenant_tx(world.tenant) as tx:
        charged, taken_off = await queries.owed_minor(tx, (await queries.one_or_404(tx, batch_no))["id"])
    return charged - taken_off


async def balance(world: World, account: str) -> int:
    """What stands on an account, debits less credits."""
    return int(
        await world.value("select coalesce(sum(debits_minor - credits_minor), 0) from ledger_account where name = $1", account)
    )


async def two_batches(world: World, listing_id: UUID, *, tenant: Tenant) -> dict[str, str]:
    """One that waits to be confirmed and one that is done, one of whose rows says that it failed; and the order of another of its rows."""
    lines = ["13900002046", "13900002047", "lin@mail.example", "13900002046", "nobody"]
    waiting = await read(world, listing_id, lines, tenant=tenant)
    done = await read(world, listing_id, lines, tenant=tenant)
    await act(world, done, service.confirm, tenant=tenant)
    batch_id = await world.value("select id from issue_batch where batch_no = $1", done, tenant=tenant)
    await placing.go_on(tenant, batch_id)
    await world.until(
        "select count(*) = 3 from issue_row r join delivery_unit u using (order_id) where u.state = 'delivered'", tenant=tenant
    )
    await placing.go_on(tenant, batch_id)
    async with tenant_tx(tenant) as tx:
        await tx.execute(
            "update issue_row set state = 'failed', reason = 'bad_account' where batch_id = $1 and row_no = 2", batch_id
        )
        order_no = await tx.fetchval(
            "select o.order_no from issue_row r join shop_order o on o.id = r.order_id where r.row_no = 1"
        )
    async with tenant_tx(tenant) as tx:
        paid = [Paid(new_id(), "Lantern Works", PRICE, "CNY", clock.business_day(), reference) for reference in ("BK-1", "BK-2")]
        for one in paid:
            await paying.book(tx, one, actor=STAFF)
        await paying.take_back(tx, paid[0].id, client="Lantern Works", reason="Of another company", actor=STAFF)
    return {"waiting": waiting, "done": done, "order": str(order_no)}
