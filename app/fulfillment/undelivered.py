"""Telling the merchant's people of paid units that nobody could deliver: an alert a day for each SKU, however many units of it go back."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.fulfillment.ending import give_up
from app.integrations import alerts
from app.integrations.alerts import Raised, Readers, raise_alert
from app.kernel import clock
from app.kernel.errors import N_
from app.kernel.tasks import Lane, add_tasks
from tenants.session import Tx

TELL = "fulfillment.tell_undelivered"
NOTHING_LEFT = N_("nothing of it was left, and no supplier could be asked")
ALL_REFUSED = N_("none of its suppliers delivered it")


async def give_up_and_tell(tx: Tx, units: Sequence[asyncpg.Record]) -> None:
    """Mark owed units that nobody can deliver to be refunded, and have the merchant's people told. Locks: the units, then the stock rows.

    A subscription's cycles, and what a company owes for, are told where those are.
    """
    await give_up(tx, units)
    skus = {unit["order_line_id"]: unit["sku_id"] for unit in units}
    lines = {skus[row["id"]]: row["id"] for row in await tx.fetch(_TOLD_HERE, list(skus))} if skus else {}
    if lines:
        told = await alerts.told(tx, [_key(sku_id) for sku_id in lines])
        untold = sorted(line_id for sku_id, line_id in lines.items() if _key(sku_id) not in told)
        await add_tasks(tx, TELL, lane=Lane.MESSAGES, subject_ids=untold)


async def tell(tx: Tx, line_id: UUID, readers: Readers) -> None:
    """Tell of one order line that could not be delivered in whole. Told once a day for its SKU."""
    row = await tx.fetchrow(_LINE, line_id)
    if row is None:
        return
    facts = {
        "product": row["product_name"],
        "sku": row["sku_name"],
        "order_no": row["order_no"],
        "reason": ALL_REFUSED if row["connection"] else NOTHING_LEFT,
        "said": [" ".join((row["connection"], row["says"] or row["reason"]))] if row["connection"] else ["–"],
        "path": f"/orders/{row['order_no']}",
    }
    await raise_alert(tx, Raised("unit_undelivered", _key(row["sku_id"]), facts), readers)


def _key(sku_id: UUID) -> str:
    return f"undelivered:{sku_id}:{clock.business_day()}"


_TOLD_HERE = """
select l.id from order_line l join shop_order o on o.id = l.order_id
where l.id = any($1) and o.billed_to is null and not exists (select 1 from subscription_cycle s where s.order_line_id = l.id)
order by l.id desc
"""
_LINE = """
select l.sku_id, l.product_name, l.sku_name, o.order_no, a.connection, a.says, a.reason
from order_line l join shop_order o on o.id = l.order_id
left join lateral (
  select c.name as connection, t.says, t.reason
  from attempt t join supplier_connection c on c.id = t.connection_id
  where t.order_line_id = l.id and t.state = 'failed'
  order by t.decided_at desc limit 1
) a on true
where l.id = $1
  and exists (select 1 from delivery_unit u where u.order_line_id = l.id and u.state in ('refunding', 'refunded') and u.delivered_at is null)
"""
