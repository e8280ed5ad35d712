"""Telling the merchant what changed with his suppliers: one alert for each turn, read again when it is told, so that what is over is not told."""

from __future__ import annotations

from uuid import UUID

from app.integrations.alerts import Raised, Readers, raise_alert
from app.kernel import clock
from app.suppliers.models import BreakerState
from app.suppliers.watching import goods_of
from tenants.session import Tx


async def tell_breaker(tx: Tx, connection_id: UUID, readers: Readers) -> None:
    """A connection is not bought from any more, or is again."""
    row = await tx.fetchrow("select name, breaker, breaker_since from supplier_connection where id = $1", connection_id)
    if row is not None and row["breaker"] != BreakerState.HALF_OPEN:
        template = "supplier_failing" if row["breaker"] == BreakerState.OPEN else "supplier_back"
        facts = {"connection": row["name"], "goods": await goods_of(tx, connection_id) or ["–"], "path": "/suppliers/board"}
        await raise_alert(tx, Raised(template, f"breaker:{connection_id}:{row['breaker_since']}", facts), readers)


async def tell_shelf(tx: Tx, sku_id: UUID, readers: Readers) -> None:
    """A SKU left the shelf because nobody can deliver it, or is back."""
    row = await tx.fetchrow(_SHELF, sku_id)
    if row is not None:
        template = "sku_delisted" if row["shelf_reason"] else "sku_relisted"
        facts = {"product": row["product"], "sku": row["sku"], "path": f"/skus/{sku_id}/route"}
        await raise_alert(tx, Raised(template, f"shelf:{sku_id}:{row['updated_at']}", facts), readers)


async def tell_balance(tx: Tx, connection_id: UUID, readers: Readers) -> None:
    """Our balance at a supplier is under the merchant's line."""
    row = await tx.fetchrow(_BALANCE, connection_id)
    if row is not None:
        balance = f"{row['balance'].normalize():f} {row['balance_currency']}"
        facts = {"connection": row["name"], "balance": balance, "path": "/suppliers"}
        await raise_alert(tx, Raised("supplier_balance_low", f"balance_low:{connection_id}:{row['balance_at']}", facts), readers)


async def tell_too_dear(tx: Tx, offer_id: UUID, readers: Readers) -> None:
    """An offer costs more than the least margin of its SKU allows: its orders go elsewhere, or are paid back."""
    row = await tx.fetchrow(_OFFER, offer_id)
    if row is not None:
        cost = f"{row['unit_cost'].normalize():f} {row['currency']}"
        facts = {"offer": row["name"], "connection": row["connection"], "cost": cost, "path": f"/suppliers/offers/{offer_id}"}
        key = f"too_dear:{offer_id}:{row['unit_cost']}:{clock.business_day()}"
        await raise_alert(tx, Raised("offer_too_dear", key, facts), readers)


_SHELF = """
select p.name as product, k.name as sku, r.shelf_reason, r.updated_at
from supply_route r join sku k on k.id = r.sku_id join product p on p.id = k.product_id
where r.sku_id = $1
"""
_BALANCE = """
select name, balance, balance_currency, balance_at from supplier_connection where id = $1 and balance < warn_below
"""
_OFFER = """
select o.name, o.unit_cost, o.currency, c.name as connection
from supplier_offer o join supplier_connection c on c.id = o.connection_id
where o.id = $1
"""
