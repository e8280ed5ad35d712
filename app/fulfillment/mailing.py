"""Keys in the delivery mail, only for shops whose merchant chose it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from app.inventory import rules
from app.inventory import service as inventory
from app.kernel import audit
from app.kernel.actor import SYSTEM
from tenants.session import Tx


async def lines(tx: Tx, template: str, params: dict[str, Any]) -> list[str]:
    """The delivered keys of an order, for a shop that opted in; nothing for any other message. Each key is in the audit chain."""
    if template != "order_delivered":
        return []
    rows = await tx.fetch(_KEYS, UUID(params["order_id"]))
    shown = []
    for row in rows:
        secret = await inventory.open_key(tx, row["card_key_id"])
        await audit.record(
            tx, SYSTEM, "card_key.mailed", subject=("card_key", row["card_key_id"]), facts={"order_no": params["order_no"]}
        )
        shown.append(
            f"{row['product_name']} {row['sku_name']}: {' '.join(part for part in rules.shown(secret.reveal()) if part)}"
        )
    if rows:
        await tx.execute(
            "update delivery_unit set revealed_at = coalesce(revealed_at, now()) where order_id = $1 and state = 'delivered'",
            UUID(params["order_id"]),
        )
    return shown


_KEYS = """
select u.card_key_id, l.product_name, l.sku_name
from delivery_unit u
join order_line l on l.id = u.order_line_id
join shop_order o on o.id = u.order_id
join storefront s on s.id = o.storefront_id
where u.order_id = $1 and u.state = 'delivered' and s.mails_keys and o.contact_kind = 'email'
order by l.line_no, u.unit_no
limit 100
"""
