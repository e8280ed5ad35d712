"""Purchases to settle: units really bought from a simulated company, and what its statement says of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.kernel import clock
from app.settlement import importing
from app.settlement.importing import Given
from tenants.session import tenant_tx
from tests.app.fulfillment.supply import GOODS, Source, routed, settle, source
from tests.simulators import SupplierSimulator
from tests.world import STAFF, World


@dataclass
class Bought:
    """Units bought from one source, by our number, with the supplier's own."""

    source: Source
    numbers: list[str]
    refs: list[str]


async def bought(world: World, company: SupplierSimulator, units: int = 3) -> Bought:
    """So many units sold and bought from the company at 10 each."""
    company.cards(GOODS, *({"number": f"ST-{world.tenant.slug}-{n}", "password": "1"} for n in range(units)))
    made = await source(world, company)
    product = await routed(world, made)
    await world.paid(product.skus[0].listing.id, units)
    await settle(world)
    rows = await world.rows("select out_no, supplier_ref from attempt where state = 'succeeded' order by out_no")
    assert len(rows) == units
    return Bought(made, [row["out_no"] for row in rows], [row["supplier_ref"] for row in rows])


def csv(*rows: tuple[str, str, str, str], head: str = "商户订单号,订单号,金额,状态") -> bytes:
    return "\n".join([head, *(",".join(row) for row in rows)]).encode()


async def take_in(world: World, connection_id: UUID, body: bytes, **changes: Any) -> UUID:
    """Import a statement of today and have it compared; its id."""
    today: date = clock.business_day()
    given = Given(body, "statement.csv", today, today, changes.pop("columns", {}), **changes)
    async with tenant_tx(world.tenant) as tx:
        statement_id, _ = await importing.import_file(tx, connection_id, given, actor=STAFF)
    await world.work()
    return statement_id


async def differences(world: World) -> list[tuple[str, str, Decimal, Decimal, str]]:
    rows = await world.rows("select kind, out_no, ours, theirs, state from discrepancy order by kind, out_no")
    return [(row["kind"], row["out_no"], row["ours"], row["theirs"], row["state"]) for row in rows]
