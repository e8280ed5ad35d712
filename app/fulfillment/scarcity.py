"""Looking again, before a buyer orders, at what suppliers have of goods that are nearly gone, and at what they cost. Who does not answer changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from app.fulfillment import shelving
from app.kernel import clock
from app.suppliers import syncing
from tenants.directory import Tenant
from tenants.session import tenant_tx

_PATIENCE_S = 3
"""A buyer waits for this answer with his finger on the button."""
_FRESH = timedelta(seconds=5)
"""What was read so shortly before is not asked for again, however many buyers come."""
_MOST_ASKED = 10
_asking: dict[tuple[UUID, UUID], asyncio.Task[None]] = {}
"""Offers being asked about this moment: however many buyers wait, each is asked about once."""
_KEPT_S = 1
"""So long an answer stays among them, for the buyer who saw that it was due before it was written down, and asks after."""


async def look_again(tenant: Tenant, sku_ids: Sequence[UUID]) -> None:
    """Read these SKUs' offers anew where their suppliers count stock, and let the shelf follow before it is ordered from.

    Opens transactions of its own, none of them during a call. Idempotent.
    """
    async with tenant_tx(tenant) as tx:
        rows = await tx.fetch(_TO_ASK, sorted(set(sku_ids)), clock.now() - _FRESH, _MOST_ASKED)
    if not rows:
        return
    asked = [_ask(tenant, row["id"]) for row in rows]
    await asyncio.wait(asked, timeout=_PATIENCE_S)
    async with tenant_tx(tenant) as tx:
        for sku_id in sorted({row["sku_id"] for row in rows}):
            await shelving.shelve(tx, sku_id)


def _ask(tenant: Tenant, offer_id: UUID) -> asyncio.Task[None]:
    key = (tenant.id, offer_id)
    if key not in _asking:
        _asking[key] = asyncio.create_task(syncing.refresh(tenant, offer_id))
        _asking[key].add_done_callback(lambda done: done.get_loop().call_later(_KEPT_S, _forget, key, done))
    return _asking[key]


def _forget(key: tuple[UUID, UUID], done: asyncio.Task[None]) -> None:
    del _asking[key]
    if not done.cancelled():
        done.exception()  # what could not be asked changes nothing; the next reading of the catalog will tell


_TO_ASK = """
select o.id, ro.sku_id
from route_offer ro
join supplier_offer o on o.id = ro.offer_id
join supplier_connection c on c.id = o.connection_id
where ro.sku_id = any($1) and o.stock is not null and o.is_on_sale and greatest(o.seen_at, c.catalog_at) < $2 and c.is_on and c.breaker <> 'open'
order by o.stock, o.id
limit $3
"""
