"""What merchants do meanwhile, each act as the page does it that they would do it on."""

from __future__ import annotations

from app.inventory import service as inventory
from app.kernel.errors import DomainError
from app.payments import refunding
from tenants.session import tenant_session, tenant_tx
from torture.staff import MERCHANT
from torture.stage import Goods, Merchant

REASON = "tortured"


async def void_keys(merchant: Merchant, goods: Goods, most: int) -> int:
    """Take so many free keys of a SKU out; how many were."""
    async with tenant_tx(merchant.tenant) as tx:
        free = await tx.fetch("select id from card_key where sku_id = $1 and state = 'free' limit $2", goods.sku_id, most)
    voided = 0
    for row in free:
        try:
            async with tenant_session(merchant.tenant) as session:
                await inventory.void_key(session, card_key_id=row["id"], reason=REASON, actor=MERCHANT)
        except DomainError:
            continue  # it was delivered meanwhile
        voided += 1
    return voided


async def refund_orders(merchant: Merchant, most: int) -> int:
    """Give so many paid orders back; how many could be."""
    async with tenant_tx(merchant.tenant) as tx:
        orders = await tx.fetch(_PAID, most)
    given_back = 0
    for row in orders:
        try:
            async with tenant_tx(merchant.tenant) as tx:
                await refunding.refund_by_merchant(tx, row["id"], reason=REASON, actor=MERCHANT)
        except DomainError:
            continue  # its buyer has read the key meanwhile
        given_back += 1
    return given_back


_PAID = "select id from shop_order where state in ('paid', 'delivered') order by paid_at desc limit $1"
