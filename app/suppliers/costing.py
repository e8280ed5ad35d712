"""What a purchase really cost, kept for the next one, and offers that got too dear to be sold: told once for each cost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal
from uuid import UUID

from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_tasks
from tenants.session import Tx


async def learn_costs(tx: Tx, costs: Mapping[UUID, Decimal]) -> None:
    """Take over what suppliers charged for their offers, so that the least margin is judged by it from now on. Ranges of values keep their rate.

    Locks: the offers, in id order.
    """
    ids = sorted(costs)
    changed = await tx.fetch(_LEARN, ids, [costs[offer_id] for offer_id in ids])
    if not changed:
        return
    rows = [(new_id(), row["id"], row["before"], row["after"]) for row in changed]
    await tx.executemany("insert into offer_change (id, offer_id, before, after) values ($1, $2, $3, $4)", rows)
    skus = await tx.fetch(_SKUS, [row["id"] for row in changed])
    await add_tasks(tx, "fulfillment.shelve", lane=Lane.ORDERS, subject_ids=[row["sku_id"] for row in skus])


async def tell_too_dear(tx: Tx, offer_ids: Collection[UUID]) -> None:
    """Have the merchant told that offers were passed over for their cost. Idempotent for each cost; one that another transaction tells is left to it."""
    if not offer_ids:
        return
    rows = await tx.fetch(_TELL, sorted(offer_ids))
    await add_tasks(tx, "suppliers.tell_too_dear", lane=Lane.MESSAGES, subject_ids=sorted(row["id"] for row in rows))


_LEARN = """
with changed as materialized (
  select o.id, o.unit_cost as before, c.cost as after
  from unnest($1::uuid[], $2::numeric[]) as c (id, cost) join supplier_offer o on o.id = c.id
  where o.unit_cost <> c.cost and o.least_minor is null
  order by o.id
  for update of o
)
update supplier_offer o set unit_cost = c.after, updated_at = now()
from changed c
where o.id = c.id
returning o.id, c.before, c.after
"""
_SKUS = "select distinct sku_id from route_offer where offer_id = any($1) order by sku_id"
_TELL = """
update supplier_offer set told_cost = unit_cost
where id = any(array(
  select id from supplier_offer where id = any($1) and told_cost is distinct from unit_cost order by id for update skip locked
))
returning id
"""
