"""Sales channels: where goods are sold. The shop is one from the first day; the merchant names others, each with a link that leads to the shop."""

from __future__ import annotations

import re
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog.models import ChannelListing, SalesChannel
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound

STOREFRONT = "storefront"
"""The code of the shop itself."""
MOST_CHANNELS = 50
_CODE = re.compile(r"[a-z0-9][a-z0-9-]{1,31}")


class ChannelTaken(DomainError):
    status = 422
    message = N_("There is a sales channel of this code or name already. Choose another.")


class TooManyChannels(DomainError):
    status = 422
    message = N_("A shop has %(most)s sales channels at most.")


class ShopStaysOn(DomainError):
    message = N_("The shop itself cannot be switched off here. Take products off sale instead.")


def channel_code(text: str) -> str:
    """A sales channel's code. Raises: ValueError for what cannot be one."""
    if not _CODE.fullmatch(text):
        raise ValueError(text)
    return text


async def channels(session: AsyncSession) -> Sequence[SalesChannel]:
    """All sales channels, the shop first, then in the order they were named."""
    order = (SalesChannel.code != STOREFRONT, SalesChannel.created_at, SalesChannel.code)
    return (await session.scalars(select(SalesChannel).order_by(*order).limit(MOST_CHANNELS))).all()


async def channel_or_404(session: AsyncSession, code: str) -> SalesChannel:
    """Raises: NotFound."""
    found = await session.get(SalesChannel, code)
    if found is None:
        raise NotFound
    return found


async def listings_of(session: AsyncSession, code: str) -> dict[UUID, ChannelListing]:
    """What differs in a sales channel, by SKU."""
    rows = (await session.scalars(select(ChannelListing).where(ChannelListing.channel_code == code))).all()
    return {row.sku_id: row for row in rows}


async def add_channel(session: AsyncSession, *, code: str, name: str, actor: Actor) -> SalesChannel:
    """Name a sales channel. Its code stays: orders keep it. Raises: ChannelTaken, TooManyChannels."""
    taken = select(SalesChannel.code).where((SalesChannel.code == code) | (SalesChannel.name == name))
    if await session.scalar(taken):
        raise ChannelTaken
    if (await session.scalar(select(func.count()).select_from(SalesChannel)) or 0) >= MOST_CHANNELS:
        raise TooManyChannels(most=MOST_CHANNELS)
    made = SalesChannel(code=code, name=name, is_on=True)
    session.add(made)
    await session.flush()
    await audit.record(session, actor, "sales_channel.added", subject=("sales_channel", None), facts={"code": code, "name": name})
    return made


async def switch_channel(session: AsyncSession, code: str, *, is_on: bool, actor: Actor) -> SalesChannel:
    """Open a sales channel or close it: its link then shows the shop as it is. Idempotent. Raises: NotFound, ShopStaysOn."""
    found = await channel_or_404(session, code)
    if code == STOREFRONT and not is_on:
        raise ShopStaysOn
    if found.is_on != is_on:
        found.is_on = is_on
        await session.flush()
        action = "sales_channel.switched_on" if is_on else "sales_channel.switched_off"
        await audit.record(session, actor, action, subject=("sales_channel", None), facts={"code": code, "name": found.name})
    return found
