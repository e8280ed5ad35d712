"""What the delivery mail holds beside its link: how to use what was bought, and the keys for shops whose merchant chose it.

A text message stays one short line with its link, behind which all of this stands too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from uuid import UUID

from markupsafe import Markup

from app.catalog import richtext
from app.integrations.sending import Facts
from app.integrations.templates import More, Note
from app.inventory import rules
from app.inventory import service as inventory
from app.kernel import audit
from app.kernel.actor import SYSTEM
from tenants.session import Tx


async def add_more(tx: Tx, messages: Sequence[Facts]) -> list[More]:
    """For each mail of a delivery, how to use what was delivered, and the keys where the shop opted in; nothing for any other message."""
    orders = [UUID(params["order_id"]) if template == "order_delivered" else None for template, params in messages]
    delivered = [order_id for order_id in orders if order_id]
    if not delivered:
        return [More() for _ in messages]
    keys, notes = await _keys(tx, delivered), await _notes(tx, delivered)
    return [More(keys.get(order_id, ()), notes.get(order_id, ())) if order_id else More() for order_id in orders]


async def _keys(tx: Tx, order_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """The delivered keys, by order. Each is in the audit chain."""
    shown: dict[UUID, list[str]] = defaultdict(list)
    for row in await tx.fetch(_KEYS, order_ids, _MOST):
        secret = await inventory.open_key(tx, row["card_key_id"])
        await audit.record(
            tx, SYSTEM, "card_key.mailed", subject=("card_key", row["card_key_id"]), facts={"order_no": row["order_no"]}
        )
        shown[row["order_id"]].append(
            f"{row['product_name']} {row['sku_name']}: {' '.join(part for part in rules.shown(secret.reveal()) if part)}"
        )
    if shown:
        await tx.execute(_SEEN, list(shown))
    return shown


async def _notes(tx: Tx, order_ids: Sequence[UUID]) -> dict[UUID, list[Note]]:
    """What the merchant wrote on the use of each product, once per order however many of it were bought."""
    notes: dict[UUID, list[Note]] = defaultdict(list)
    for row in await tx.fetch(_USAGES, order_ids, _MOST_NOTES):
        usage = richtext.clean(row["usage_html"])
        note = Note(row["product_name"], richtext.to_text(usage), Markup(usage))  # noqa: S704  # cleaned a line above
        notes[row["order_id"]].append(note)
    return notes


_MOST = 100
"""So many keys of one order are in its mail; the page has them all."""
_MOST_NOTES = 10
"""Of so many products of one order the mail says how to use them."""
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
_USAGES = """
select order_id, product_name, usage_html from (
  select b.order_id, b.product_name, p.usage_html, b.line_no, row_number() over (partition by b.order_id order by b.line_no) as place
  from (
    select distinct on (u.order_id, l.product_id) u.order_id, l.product_id, l.product_name, l.line_no
    from delivery_unit u join order_line l on l.id = u.order_line_id join shop_order o on o.id = u.order_id
    where u.order_id = any($1) and u.state = 'delivered' and o.contact_kind = 'email'
    order by u.order_id, l.product_id, l.line_no
  ) b
  join product p on p.id = b.product_id
  where p.usage_html <> ''
) n
where place <= $2
order by order_id, place
"""
_SEEN = "update delivery_unit set revealed_at = coalesce(revealed_at, now()) where order_id = any($1) and state = 'delivered'"
