"""Cases for tests: something bought and read, and a report about it."""

from __future__ import annotations

from uuid import UUID

from app.aftersales import reporting
from app.aftersales.models import Complaint
from app.aftersales.reporting import Report
from app.fulfillment import revealing
from app.fulfillment.reissuing import UnitOf
from app.kernel.actor import Actor, ActorKind
from app.ordering.placing import Placed
from tenants.session import tenant_tx
from tests.world import World

BUYER = Actor(ActorKind.BUYER, None, "138****2046")


async def sold(world: World, *, keys: int = 5, quantity: int = 1, contact: str = "13800132046") -> Placed:
    """Keys bought from own stock and read by their buyer."""
    product = await world.product()
    await world.stock(product.skus[0].id, keys)
    return await read(world, await world.bought(product.skus[0].listing.id, quantity, contact=contact))


async def read(world: World, placed: Placed) -> Placed:
    """The buyer looks at every key of his order."""
    for unit in await units(world, placed):
        async with tenant_tx(world.tenant) as tx:
            await revealing.reveal(tx, order_id=placed.id, order_line_id=unit.order_line_id, unit_no=unit.unit_no, actor=BUYER)
    return placed


async def units(world: World, placed: Placed) -> list[UnitOf]:
    rows = await world.rows("select order_line_id, unit_no from delivery_unit where order_id = $1 order by 1, 2", placed.id)
    return [UnitOf(placed.id, row["order_line_id"], row["unit_no"]) for row in rows]


async def reported(world: World, placed: Placed, *, unit_no: int = 1, complaint: Complaint = Complaint.INVALID) -> UUID:
    """The buyer reports a unit of the order's first line."""
    unit = (await units(world, placed))[unit_no - 1]
    async with tenant_tx(world.tenant) as tx:
        return await reporting.report(tx, Report(unit, complaint, "It says: no such card"), actor=BUYER)


async def policy(world: World, **values: object) -> None:
    """The merchant's rules, changed."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("insert into after_sale_policy (id) values (1) on conflict do nothing")
        for name, value in values.items():
            await tx.execute(f"update after_sale_policy set {name} = $1", value)  # names of our own


async def state(world: World, case_id: UUID) -> str:
    return str(await world.value("select state from after_sale_case where id = $1", case_id))
