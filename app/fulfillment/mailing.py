"""Keys in the delivery mail, only for shops whose merchant chose it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from app.integrations.sending import Facts
from app.inventory import rules
from app.inventory import service as inventory
from app.kernel import audit
from app.kernel.actor import SYSTEM
from tenants.session import Tx


async def lines(tx: Tx, messages: Sequence[Facts]) -> list[list[str]]:
    """For each message, the delivered keys of its order where the shop opted in; nothing for any other message. Each key is in the audit chain."""
    orders = [UUID(params["order_id"]) if template == "order_delivered" else None for template, params in messages]
    shown: dict[UUID | None, list[str]] = defaultdict(list)
    delivered = [order_id for order_id in orders if order_id]
    for row in await tx.fetch(_KEYS, delivered, _MOST) if delivered else ():
        secret = await inventory.open_key(tx, row["card_key_id"])
        await audit.record(
            tx, SYSTEM, "card_key.mailed", subject=("card_key", row["card_key_id"]), facts={"order_no": row["order_no"]}
        )
        shown[row["order_id"]].append(
            f"{row['product_name']} {row['sku_name']}: {' '.join(part for part in rules.shown(secret.reveal()) if part)}"
        )
    if shown:
        await tx.execute(_SEEN, list(shown))
    return [shown.get(order_id, []) for order_id in orders]


_MOST = 100
"""So many keys of one order are in its mail; the page has them all."""
_KEYS = """
select * from (
  select u.order_id, o.order_no, u.card_key_id, l.product_name, l.sku_name,
         row_number() over (partition by u.order_id order by l.line_no, u.unit_no) as place
  from delivery_unit u
  join order_line l on l.id = u.order_line_id
  join shop_order o on o.id = u.order_id
  join storefront s on s.id = o.storefront_id
  where u.order_id = any($1) and u.state = 'delivered' and s.mails_keys and o.contact_kind = 'email'
) k
where place <= $2
order by order_id, place
"""
_SEEN = "update delivery_unit set revealed_at = coalesce(revealed_at, now()) where order_id = any($1) and state = 'delivered'"
