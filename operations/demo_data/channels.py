"""Two sales channels of the demo's merchant: prices of their own, and a part of one SKU's stock kept for each."""

from __future__ import annotations

from collections.abc import Sequence

from app.catalog import channels
from app.inventory import allocating
from app.inventory.models import Allocation
from app.pricing.channels import Differs, set_listings
from operations.demo_data.people import Opened
from operations.demo_data.stocking import Shelved
from tenants.session import tenant_session

_CHANNELS = (("mini-program", "微信小程序", 95), ("live", "直播间", 90))
_KEPT = 10
_IDLE_HOURS = 48


async def open_channels(opened: Opened, shelved: Sequence[Shelved]) -> None:
    """Name them, and let each sell the first SKU a little cheaper, out of its own quota before the pool."""
    first = next(entry for entry in shelved if entry.listing_id is not None)
    async with tenant_session(opened.tenant) as session:
        await allocating.split(session, first.sku_id, Allocation.QUOTA, actor=opened.owner)
        for code, name, percent in _CHANNELS:
            await channels.add_channel(session, code=code, name=name, actor=opened.owner)
            differs = Differs(first.item.price_minor * percent // 100)
            await set_listings(session, code, first.product_id, {first.sku_id: differs}, actor=opened.owner)
            await allocating.move(session, first.sku_id, between=(None, code), units=_KEPT, actor=opened.owner)
        hours = {code: _IDLE_HOURS for code, _, _ in _CHANNELS}
        await allocating.set_idle(session, first.sku_id, hours, actor=opened.owner)
