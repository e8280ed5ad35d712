"""Telling the merchant that a SKU runs low."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.integrations.alerts import Raised, raise_alert
from app.kernel.tasks import Lane, add_task
from tenants.session import Tx


async def warn(tx: Tx, sku_id: UUID, recipients: Sequence[tuple[str, str]]) -> None:
    """Tell the stock watchers (address and locale) how many are left, unless stock is back meanwhile. A SKU its suppliers cannot deliver is told of as such."""
    row = await tx.fetchrow(_LOW, sku_id)
    if row is None:
        return
    params = {
        "product": row["product"],
        "sku": row["sku"],
        "left": row["available"],
        "threshold": row["threshold"],
        "path": f"/card-pools/{sku_id}",
    }
    if await raise_alert(tx, Raised("stock_low", f"stock_low:{sku_id}:{row['warned_at']}", params), recipients):
        await add_task(tx, "replenishment.ask_when_low", lane=Lane.BULK, subject_id=sku_id)


_LOW = """
select p.name as product, k.name as sku, s.available, s.warned_at, greatest(k.warn_below, ceil(k.warn_days * s.per_day), 1)::int as threshold
from stock s join sku k on k.id = s.sku_id join product p on p.id = k.product_id
where s.sku_id = $1 and s.available < greatest(k.warn_below, ceil(k.warn_days * s.per_day), 1)
  and not exists (select 1 from supply_route r where r.sku_id = s.sku_id and r.shelf_reason <> '')
"""
