"""What merchants' people do about purchases, each act as the page does it that they would do it on; and the time that passes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.fulfillment import overriding, showing
from tenants.session import tenant_tx
from torture.staff import COLLEAGUE, MERCHANT
from torture.stage import Merchant

REASON = "they say they know nothing of it"


@dataclass(frozen=True)
class Open:
    """A purchase that was sent and is not decided."""

    id: UUID
    order_id: UUID


async def undecided(merchant: Merchant, connection_ids: Sequence[UUID], *, most: int) -> list[Open]:
    """The newest at these connections of which no call runs."""
    async with tenant_tx(merchant.tenant) as tx:
        rows = await tx.fetch(_UNDECIDED, list(connection_ids), most)
    return [Open(row["id"], row["order_id"]) for row in rows]


async def ask(merchant: Merchant, purchase: Open, *, long_after: bool) -> None:
    """Ask a supplier now, as if its grace was over where `long_after`: from then on it is believed that it knows nothing. Raises: DomainError."""
    async with tenant_tx(merchant.tenant) as tx:
        if long_after:
            await tx.execute(_LONG_AGO, purchase.id)
        await showing.ask(tx, purchase.order_id, purchase.id, actor=MERCHANT)


async def give_up(merchant: Merchant, purchase: Open) -> None:
    """One says that nothing was bought, another agrees. Raises: DomainError."""
    async with tenant_tx(merchant.tenant) as tx:
        await overriding.propose(tx, purchase.order_id, purchase.id, reason=REASON, actor=MERCHANT)
    async with tenant_tx(merchant.tenant) as tx:
        await overriding.approve(tx, purchase.order_id, purchase.id, actor=COLLEAGUE)


_UNDECIDED = """
select id, order_id from attempt where connection_id = any($1) and state in ('accepted', 'unknown') order by id desc limit $2
"""
_LONG_AGO = """
update attempt set sent_at = least(sent_at, now() - interval '11 minutes') where id = $1 and state in ('accepted', 'unknown')
"""
"""A minute more than the longest grace of the two companies."""
