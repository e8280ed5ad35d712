"""SKUs that ask their supplier for more by themselves, once each time they run low."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from app.inventory import by_value
from app.kernel import audit
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import NotFound
from app.kernel.ids import new_id
from app.replenishment import service
from app.replenishment.models import OPEN
from app.replenishment.service import Request, WantedGoods
from tenants.session import Tx


@dataclass(frozen=True, slots=True)
class Restock:
    """Whom a SKU asks, for how many, at what cost of one in major units."""

    supplier_id: UUID
    units: int
    unit_cost: Decimal


async def set_rule(tx: Tx, sku_id: UUID, wanted: Restock | None, *, actor: Actor) -> None:
    """Have a SKU ask by itself from its next warning on, or no more. Idempotent. Raises: NotFound, SoldByValue."""
    if wanted is None:
        await tx.execute("delete from restock_rule where sku_id = $1", sku_id)
    else:
        await by_value.refuse_by_value(tx, sku_id)
    if wanted and not await tx.execute(_SET, sku_id, wanted.supplier_id, wanted.units, wanted.unit_cost):
        raise NotFound
    facts = {"units": wanted.units} if wanted else {}
    await audit.record(tx, actor, "sku.restock_set", subject=("sku", sku_id), facts=facts)


async def ask_by_itself(tx: Tx, sku_id: UUID) -> str | None:
    """Ask for more of a SKU that has just been warned of, by its rule; the number. None without a rule, while some is asked for already, or where it
    is sold by face value by now.

    Idempotent: of several at once one asks, which the index `uq_replenishment_by_itself` decides.
    """
    rule = await tx.fetchrow(_RULE, sku_id)
    if rule is None or await tx.fetchval(_IS_ASKED_FOR, sku_id, [state.value for state in OPEN]):
        return None
    goods = WantedGoods(sku_id, rule["units"], rule["unit_cost"])
    return await service.ask(tx, Request(new_id(), rule["supplier_id"], [goods], rule_sku_id=sku_id), actor=SYSTEM)


_RULE = """
select q.supplier_id, q.units, q.unit_cost from restock_rule q
where q.sku_id = $1 and not exists (select 1 from sku_range v where v.sku_id = q.sku_id)
"""
_SET = """
insert into restock_rule (sku_id, supplier_id, units, unit_cost)
select k.id, s.id, $3, $4
from sku k join product p on p.id = k.product_id and p.delivery_kind = 'card_key' cross join supplier s
where k.id = $1 and s.id = $2
on conflict (sku_id) do update
set supplier_id = excluded.supplier_id, units = excluded.units, unit_cost = excluded.unit_cost, updated_at = now()
"""
_IS_ASKED_FOR = """
select exists (
  select 1 from replenishment_line l join replenishment r on r.id = l.replenishment_id where l.sku_id = $1 and r.state = any($2)
)
"""
