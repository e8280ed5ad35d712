"""Telling the merchant that a SKU runs low."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.integrations.service import Message, queue_messages
from tenants.session import Tx


async def warn(tx: Tx, sku_id: UUID, recipients: Sequence[tuple[str, str]]) -> None:
    """Mail the stock watchers (address and locale) how many are left, unless stock is back meanwhile."""
    row = await tx.fetchrow(_LOW, sku_id)
    if row is None:
        return
    params = {
        "product": row["product"],
        "sku": row["sku"],
        "left": row["available"],
        "threshold": row["warn_below"],
        "sku_id": str(sku_id),
    }
    await queue_messages(tx, [Message("stock_low", ("email", address), locale, params) for address, locale in recipients])


_LOW = """
select p.name as product, k.name as sku, s.available, k.warn_below
from stock s join sku k on k.id = s.sku_id join product p on p.id = k.product_id
where s.sku_id = $1 and s.available < greatest(k.warn_below, 1)
"""
