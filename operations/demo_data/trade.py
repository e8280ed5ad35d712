"""A fortnight of orders: placed, paid at the gateway, delivered, read, refunded, cancelled and expired by the verbs that real ones go through."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from uuid import UUID

from app.fulfillment.revealing import reveal
from app.kernel import clock, http
from app.kernel.actor import SYSTEM, Actor, ActorKind
from app.kernel.contact import Contact, parse_contact
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.ordering import placing, rules
from app.ordering import service as ordering
from app.ordering.placing import OverBuyerLimit, Placed, Request, SoldOut
from app.payments import connecting, refunding
from app.payments import service as payments
from app.settings import settings
from app.storefront import moments
from app.storefront.shelf import Shelf, shelf_of
from operations.demo_data.people import Opened
from operations.demo_data.stocking import Shelved
from tenants.directory import Tenant
from tenants.session import tenant_tx
from workers.drain import drain_home

DAYS = 14
_AT_ONCE = 6
_BUYERS = 90
_FEE_BP = 60
_SEED = 20
_READ = 40
T = TypeVar("T")
R = TypeVar("R")


class Fate(StrEnum):
    """What becomes of a demo order."""

    DELIVERED = "delivered"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    WAITING = "waiting"


_FATES = {Fate.DELIVERED: 82, Fate.EXPIRED: 9, Fate.CANCELLED: 4, Fate.REFUNDED: 5}


@dataclass(frozen=True, slots=True)
class Plan:
    """One order of the demo: what, how many, by whom, when, and what becomes of it."""

    listing_id: UUID
    quantity: int
    contact: Contact
    at: datetime
    fate: Fate


@dataclass(frozen=True, slots=True)
class Traded:
    """An order that stands, and its plan."""

    plan: Plan
    order: Placed


async def trade(opened: Opened, shelved: Sequence[Shelved], *, orders: int) -> list[Traded]:
    """Do all of a merchant's orders, of whose payments his gateway keeps its fee."""
    tenant = opened.tenant
    async with tenant_tx(tenant) as tx:
        for connection in await connecting.connections(tx):
            await connecting.set_fee(tx, connection["id"], _FEE_BP, actor=opened.owner)
    shelf = await shelf_of(tenant)
    plans = make_plans(shelved, orders=orders)
    placed = [one for one in await _each(plans, lambda plan: _place(tenant, shelf, plan)) if one is not None]
    await _each([one for one in placed if one.plan.fate in (Fate.DELIVERED, Fate.REFUNDED)], lambda one: pay(tenant, one.order))
    await work(tenant)
    await _end(opened, placed)
    await work(tenant)
    return placed


def make_plans(shelved: Sequence[Shelved], *, orders: int) -> list[Plan]:
    """Who buys what and when: more in the evening, more lately, more at weekends; the pools that shall be empty are bought empty at last."""
    draw = random.Random(_SEED)  # noqa: S311  # a demo that looks alike every time
    sold = [entry for entry in shelved if entry.listing_id is not None]
    weights = [entry.item.wanted for entry in sold]
    buyers = [buyer(number) for number in range(_BUYERS)]
    fates, shares = list(_FATES), list(_FATES.values())
    plans = []
    for number in range(orders):
        entry, at = draw.choices(sold, weights)[0], _instant(draw)
        fate = draw.choices(fates, shares)[0]
        if number % 60 == 0:
            at, fate = clock.now() - timedelta(seconds=draw.randrange(20, 500)), Fate.WAITING
        assert entry.listing_id is not None
        quantity = draw.choices((1, 2, 3, 5), (80, 12, 5, 3))[0] if entry.item.price_minor < 5_000 else 1
        plans.append(Plan(entry.listing_id, quantity, draw.choice(buyers), at, fate))
    for entry in sold:
        if entry.item.pool.is_sold_out:
            plans += _sweep_up(draw, entry, buyers)
    return sorted(plans, key=lambda plan: plan.at)


def _sweep_up(draw: random.Random, entry: Shelved, buyers: Sequence[Contact]) -> list[Plan]:
    """Buyers who together take the whole pool, so that the SKU is sold out since yesterday."""
    assert entry.listing_id is not None
    plans, left = [], entry.item.pool.keys
    while left:
        quantity = min(left, draw.randrange(1, 4))
        at = clock.now() - timedelta(hours=draw.randrange(26, 24 * DAYS))
        plans.append(Plan(entry.listing_id, quantity, draw.choice(buyers), at, Fate.DELIVERED))
        left -= quantity
    return plans


def buyer(number: int) -> Contact:
    """One of the demo's buyers."""
    text = f"buyer{number:02d}@mail.example" if number % 3 == 0 else f"13800138{number:03d}"
    contact = parse_contact(text)
    assert contact is not None
    return contact


def _instant(draw: random.Random) -> datetime:
    """An instant of the last fortnight, and never in the future."""
    now = clock.now()
    day = draw.choices(
        range(DAYS), [14 - back * 0.6 + (4 if (now - timedelta(days=back)).weekday() >= 5 else 0) for back in range(DAYS)]
    )[0]
    hour = draw.choices(range(24), (3, 2, 1, 1, 1, 1, 2, 4, 6, 8, 10, 11, 13, 11, 9, 9, 10, 11, 13, 16, 19, 19, 14, 7))[0]
    local = (now - timedelta(days=day)).astimezone(clock.BUSINESS_ZONE)
    at = local.replace(hour=hour, minute=draw.randrange(60), second=draw.randrange(60))
    return at if at < now - timedelta(minutes=3) else at - timedelta(days=1)


async def _place(tenant: Tenant, shelf: Shelf, plan: Plan) -> Traded | None:
    """None where the shop refuses: sold out, or over what one buyer may have."""
    offered = shelf.offers[plan.listing_id]
    async with tenant_tx(tenant) as tx:
        quote = rules.quote([(offered, plan.quantity)], moment=await moments.read(tx, [offered]))
    request = Request(shelf.face.storefront_id, quote, plan.contact, "zh_CN", str(new_id()))
    try:
        return Traded(plan, await placing.place(tenant, request))
    except (SoldOut, OverBuyerLimit):
        return None


async def pay(tenant: Tenant, order: Placed) -> None:
    """Open the payment, pay it at the gateway as the buyer would, and ask the gateway, as we do when its notice is late."""
    await payments.open_payment(tenant, order.id)
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow("select id, payment_no from payment where order_id = $1", order.id)
    assert row is not None
    body = json.dumps({"out_no": row["payment_no"]}).encode()
    call = http.Call("POST", f"{settings().sandbox_gateway_url}/control/pay", {"Content-Type": "application/json"}, body)
    await http.shared().send(call)
    await payments.ask(tenant, row["id"])


async def _end(opened: Opened, placed: Sequence[Traded]) -> None:
    tenant = opened.tenant
    for one in placed:
        match one.plan.fate:
            case Fate.CANCELLED:
                async with tenant_tx(tenant) as tx:
                    await ordering.cancel(tx, one.order.id, actor=_actor(one))
            case Fate.REFUNDED:
                async with tenant_tx(tenant) as tx:
                    await refunding.refund_by_merchant(tx, one.order.id, reason="买家申请退款，卡密未查看", actor=opened.owner)
            case _:
                pass
    late = [one.order.id for one in placed if one.plan.fate is Fate.EXPIRED]
    async with tenant_tx(tenant) as tx:
        await tx.execute("update shop_order set expires_at = now() where id = any($1)", late)
    async with tenant_tx(tenant) as tx:
        await ordering.expire_unpaid(tx)
    delivered = [one for one in placed if one.plan.fate is Fate.DELIVERED]
    await _each(delivered[-_READ:], lambda one: _read(tenant, one))


async def _read(tenant: Tenant, one: Traded) -> None:
    async with tenant_tx(tenant) as tx:
        rows = await tx.fetch(_READABLE, one.order.id)
        for row in rows:
            await reveal(tx, order_id=one.order.id, order_line_id=row["order_line_id"], unit_no=row["unit_no"], actor=_actor(one))


def _actor(one: Traded) -> Actor:
    return Actor(ActorKind.BUYER, None, one.plan.contact.masked) if one.plan.contact else SYSTEM


async def work(tenant: Tenant) -> None:
    """Do what the orders asked for, as a worker would."""
    for _ in range(40):
        if not await drain_home(tenant, Lane.ORDERS):
            return


async def _each(things: Iterable[T], do: Callable[[T], Awaitable[R]]) -> list[R]:
    """Do the same with all of them, a few at once, in their order."""
    limit = asyncio.Semaphore(_AT_ONCE)

    async def bounded(thing: T) -> R:
        async with limit:
            return await do(thing)

    return list(await asyncio.gather(*(bounded(thing) for thing in things)))


_READABLE = """
select u.order_line_id, u.unit_no from delivery_unit u left join minted_good m on m.id = u.minted_id
where u.order_id = $1 and u.state = 'delivered' and coalesce(u.card_key_id, u.minted_id) is not null and m.kind is distinct from 'link'
limit 3
"""
