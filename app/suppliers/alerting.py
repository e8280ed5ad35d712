"""Telling the merchant what changed with his suppliers: one mail for each turn, read again when it is sent, so that what is over is not told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.integrations.service import Message, queue_messages
from app.kernel import links
from app.suppliers.models import BreakerState
from tenants.session import Tx

Readers = Sequence[tuple[str, str]]
"""Addresses and locales."""


async def tell_breaker(tx: Tx, connection_id: UUID, readers: Readers) -> None:
    """A connection is not bought from any more, or is again."""
    row = await tx.fetchrow("select name, breaker from supplier_connection where id = $1", connection_id)
    if row is not None and row["breaker"] != BreakerState.HALF_OPEN:
        template = "supplier_failing" if row["breaker"] == BreakerState.OPEN else "supplier_back"
        await _tell(tx, template, {"connection": row["name"], "url": links.merchant(tx.tenant, "/suppliers/board")}, readers)


async def tell_shelf(tx: Tx, sku_id: UUID, readers: Readers) -> None:
    """A SKU left the shelf because nobody can deliver it, or is back."""
    row = await tx.fetchrow(_SHELF, sku_id)
    if row is not None:
        template = "sku_delisted" if row["shelf_reason"] else "sku_relisted"
        facts = {"product": row["product"], "sku": row["sku"], "url": links.merchant(tx.tenant, f"/skus/{sku_id}/route")}
        await _tell(tx, template, facts, readers)


async def tell_balance(tx: Tx, connection_id: UUID, readers: Readers) -> None:
    """Our balance at a supplier is under the merchant's line."""
    row = await tx.fetchrow(_BALANCE, connection_id)
    if row is not None:
        facts = {
            "connection": row["name"],
            "balance": f"{row['balance'].normalize():f} {row['balance_currency']}",
            "url": links.merchant(tx.tenant, "/suppliers"),
        }
        await _tell(tx, "supplier_balance_low", facts, readers)


async def tell_too_dear(tx: Tx, offer_id: UUID, readers: Readers) -> None:
    """An offer costs more than the least margin of its SKU allows: its orders go elsewhere, or are paid back."""
    row = await tx.fetchrow(_OFFER, offer_id)
    if row is not None:
        facts = {
            "offer": row["name"],
            "connection": row["connection"],
            "cost": f"{row['unit_cost'].normalize():f} {row['currency']}",
            "url": links.merchant(tx.tenant, f"/suppliers/offers/{offer_id}"),
        }
        await _tell(tx, "offer_too_dear", facts, readers)


async def _tell(tx: Tx, template: str, facts: Mapping[str, str], readers: Readers) -> None:
    await queue_messages(tx, [Message(template, ("email", address), locale, facts) for address, locale in readers])


_SHELF = """
select p.name as product, k.name as sku, r.shelf_reason
from supply_route r join sku k on k.id = r.sku_id join product p on p.id = k.product_id
where r.sku_id = $1
"""
_BALANCE = """
select name, balance, balance_currency from supplier_connection where id = $1 and balance < warn_below
"""
_OFFER = """
select o.name, o.unit_cost, o.currency, c.name as connection
from supplier_offer o join supplier_connection c on c.id = o.connection_id
where o.id = $1
"""
