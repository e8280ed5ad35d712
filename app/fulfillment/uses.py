"""The uses of codes at tills, one by one: as a list, and as the merchant's own systems are told of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg

from app.integrations import webhooks
from app.integrations.models import WebhookTopic
from app.kernel.errors import NotFound
from tenants.session import Tx

MOST_LISTED = 100


async def use_or_404(tx: Tx, use_id: UUID) -> asyncpg.Record:
    """One use of a code. Raises: NotFound."""
    row = await tx.fetchrow(_USES, None, "", 1, use_id)
    if row is None:
        raise NotFound
    return row


async def listed(tx: Tx, *, after: UUID | None, reference: str, limit: int) -> list[asyncpg.Record]:
    """Uses of codes in the order they happened, from behind one of them; with a till's reference only that one's."""
    return await tx.fetch(_USES, after, reference, limit, None)


async def tell(tx: Tx, topic: WebhookTopic, use_id: UUID) -> None:
    """Have the merchant's systems that chose it told of a use, as the list of uses shows it. A link that was opened is none."""
    endpoint_ids = await webhooks.listening(tx, topic)
    row = await tx.fetchrow(_USES, None, "", 1, use_id) if endpoint_ids else None
    if row is not None:
        await webhooks.publish(tx, topic, endpoint_ids, _told(row))


def _told(row: asyncpg.Record) -> dict[str, Any]:
    return {
        "id": str(row["id"]),
        "masked": row["masked"],
        "product": row["product_name"],
        "sku": row["sku_name"],
        "order_no": row["order_no"],
        "use_no": row["use_no"],
        "most_uses": row["most_uses"],
        "at": row["at"].isoformat(),
        "place": row["place"],
        "reference": row["reference"],
        "who": row["who"],
        "voided_at": row["voided_at"] and row["voided_at"].isoformat(),
        "void_reason": row["void_reason"],
    }


_USES = """
select w.id, w.use_no, w.at, w.place, w.reference, w.who, w.voided_at, w.void_reason, m.most_uses, m.masked, l.product_name, l.sku_name, o.order_no
from minted_use w join minted_good m on m.id = w.minted_id join order_line l on l.id = m.order_line_id join shop_order o on o.id = l.order_id
where m.kind <> 'link' and ($1::uuid is null or w.id > $1) and ($2 = '' or w.reference = $2) and ($4::uuid is null or w.id = $4)
order by w.id
limit $3
"""
