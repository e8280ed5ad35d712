"""Reads of a buyer's orders: one by its number, all of one contact, everything he has."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from app.catalog.minting import MintingRules, rules_of
from app.catalog.models import DeliveryKind
from app.fulfillment.models import MintedState
from app.inventory.models import NEVER
from app.kernel.ids import is_number
from app.ordering.models import UnitState
from tenants.session import Tx

_MOST_ORDERS = 100
_MOST_UNITS = 300
_MADE = frozenset({DeliveryKind.VOUCHER, DeliveryKind.SERIAL, DeliveryKind.LINK})


@dataclass(frozen=True, slots=True)
class Minted:
    """What a code we made is still good for, and under which rules."""

    id: UUID
    state: str
    uses: int
    most_uses: int
    rules: MintingRules
    is_link: bool = False
    """Whether it is opened on a page of its own, and not shown as a code."""

    @property
    def left(self) -> int:
        return 0 if self.state == MintedState.REVOKED else self.most_uses - self.uses


@dataclass(frozen=True, slots=True)
class BoughtUnit:
    """One unit of a line; its key, or the account it credits, is shown masked. `expires_on` is None when it does not expire."""

    line_id: UUID
    unit_no: int
    state: str
    amount_minor: int
    masked: str
    expires_on: date | None
    revealed_at: datetime | None
    has_key: bool = True
    """Whether there is something to reveal."""
    delivered_at: datetime | None = None
    is_refused: bool = False
    """Whether a supplier refused the account itself."""
    minted: Minted | None = None
    due_at: datetime | None = None
    """By when somebody is to deliver it by hand."""
    carrier: str = ""
    tracking_no: str = ""

    @property
    def dom_id(self) -> str:
        return f"unit-{self.line_id}-{self.unit_no}"


@dataclass(frozen=True, slots=True)
class BoughtLine:
    """One line of an order with its units."""

    row: asyncpg.Record
    units: tuple[BoughtUnit, ...]

    @property
    def is_top_up(self) -> bool:
        return bool(self.row["delivery_kind"] == DeliveryKind.DIRECT_TOP_UP)

    @property
    def is_bundle(self) -> bool:
        """Whether it has parts, which are lines of their own, and no units."""
        return bool(self.row["delivery_kind"] == DeliveryKind.BUNDLE)

    @property
    def is_subscription(self) -> bool:
        """Whether it has cycles, which are lines of their own, and no units."""
        return bool(self.row["delivery_kind"] == DeliveryKind.SUBSCRIPTION)

    @property
    def is_by_hand(self) -> bool:
        """Whether people deliver it."""
        return bool(self.row["delivery_kind"] == DeliveryKind.MANUAL)

    @property
    def account(self) -> str:
        """The account its units credit, masked."""
        return next((unit.masked for unit in self.units), "")

    @property
    def stated(self) -> list[tuple[str, str]]:
        """What its buyer stated: labels, and values masked."""
        return [(one["label"], one["value"]) for one in json.loads(self.row["stated"] or "[]")]

    @property
    def attributes(self) -> list[tuple[str, str]]:
        """What was said of it when it was sold: labels and values."""
        return [(one["label"], one["value"]) for one in json.loads(self.row["attributes"])]

    @property
    def delivered(self) -> list[BoughtUnit]:
        return [unit for unit in self.units if unit.state == UnitState.DELIVERED]

    @property
    def by_state(self) -> list[tuple[str, int]]:
        """How many of its units are in which state."""
        return list(Counter(unit.state for unit in self.units).items())

    @property
    def expires_on(self) -> date | None:
        """When the first of its delivered keys expires."""
        return min((unit.expires_on for unit in self.delivered if unit.expires_on), default=None)


@dataclass(frozen=True, slots=True)
class Bought:
    """Everything an order's page shows."""

    order: asyncpg.Record
    lines: Sequence[BoughtLine]
    refunds: Sequence[asyncpg.Record] = field(default_factory=list)
    pay_url: str | None = None

    @property
    def ordered(self) -> list[BoughtLine]:
        """What was put into the order: parts of bundles are not among it."""
        return [line for line in self.lines if line.row["parent_line_id"] is None]

    def parts_of(self, bundle: BoughtLine) -> list[BoughtLine]:
        """A bundle's parts; none for any other line."""
        return [line for line in self.lines if line.row["parent_line_id"] == bundle.row["id"]]

    @property
    def owed(self) -> list[BoughtLine]:
        """What there is to deliver: parts of bundles, cycles, and what was ordered by itself."""
        return [line for line in self.lines if not line.is_bundle and not line.is_subscription]

    @property
    def handed_out(self) -> list[BoughtLine]:
        """Lines of which something stands delivered; of a subscription's cycles the last one first."""
        found = [line for line in self.lines if line.delivered]
        return sorted(found, key=lambda line: -(line.row["cycle_no"] or 0))

    def minor_in(self, *states: UnitState) -> int:
        """What the units in these states cost together."""
        return sum(unit.amount_minor for line in self.lines for unit in line.units if unit.state in states)

    @property
    def is_top_up(self) -> bool:
        """Whether accounts are credited and nothing else is handed out."""
        return all(line.is_top_up for line in self.owed)

    @property
    def has_bundle(self) -> bool:
        return any(line.is_bundle for line in self.lines)

    @property
    def has_subscription(self) -> bool:
        return any(line.is_subscription for line in self.lines)

    @property
    def has_codes(self) -> bool:
        """Whether codes or links we made are among it."""
        return any(unit.minted for line in self.lines for unit in line.units)

    @property
    def is_made(self) -> bool:
        """Whether all of it is codes and links we make."""
        return all(line.row["delivery_kind"] in _MADE for line in self.owed)

    @property
    def waits_for_hands(self) -> list[BoughtUnit]:
        """What people still have to deliver."""
        return [unit for line in self.lines for unit in line.units if line.is_by_hand and unit.state == UnitState.OWED]

    @property
    def keys_delivered(self) -> int:
        """How many delivered units have something to reveal."""
        return sum(unit.has_key for line in self.lines for unit in line.delivered)

    @property
    def is_account_refused(self) -> bool:
        """Whether a supplier refused an account, so that nobody else is tried."""
        return any(unit.is_refused for line in self.lines for unit in line.units)

    def units_in(self, *states: UnitState) -> int:
        return sum(unit.state in states for line in self.lines for unit in line.units)


async def order_head(tx: Tx, order_no: str) -> asyncpg.Record | None:
    """An order's row with what its page changes by; None for a number that is none of ours."""
    return await tx.fetchrow(_HEAD, order_no) if is_number(order_no) else None


async def bought(tx: Tx, order: asyncpg.Record) -> Bought:
    """An order with its lines, units, refunds and the address where it can be paid."""
    units: dict[UUID, list[BoughtUnit]] = {}
    for row in await tx.fetch(_UNITS, order["id"]):
        units.setdefault(row["order_line_id"], []).append(_unit(row))
    lines = [BoughtLine(row, tuple(units.get(row["id"], ()))) for row in await tx.fetch(_LINES, order["id"])]
    return Bought(order, lines, await tx.fetch(_REFUNDS, order["id"]), await tx.fetchval(_PAY_URL, order["id"]))


async def orders_of(tx: Tx, contact_fingerprint: bytes) -> list[asyncpg.Record]:
    """A contact's orders with their first line, newest first."""
    return await tx.fetch(_OF_CONTACT, contact_fingerprint, _MOST_ORDERS)


async def entitlements_of(tx: Tx, contact_fingerprint: bytes) -> list[asyncpg.Record]:
    """Everything delivered to a contact, what expires soonest first."""
    return await tx.fetch(_ENTITLEMENTS, contact_fingerprint, NEVER, _MOST_UNITS)


def _minted(row: Any) -> Minted | None:
    if row["minted_id"] is None:
        return None
    rules, is_link = rules_of(json.loads(row["rules"])), row["minted_kind"] == DeliveryKind.LINK
    return Minted(row["minted_id"], row["minted_state"], row["uses"], row["most_uses"], rules, is_link)


def _unit(row: Any) -> BoughtUnit:
    expires_on = row["expires_on"] if row["expires_on"] != NEVER else None
    return BoughtUnit(
        row["order_line_id"],
        row["unit_no"],
        row["state"],
        row["amount_minor"],
        row["masked"] or "",
        expires_on,
        row["revealed_at"],
        bool(row["has_key"]),
        row["delivered_at"],
        row["is_refused"],
        _minted(row),
        row["due_at"],
        row["carrier"] or "",
        row["tracking_no"] or "",
    )


_HEAD = """
select o.id, o.order_no, o.state, o.contact_kind, o.contact_masked, o.total_minor, o.currency, o.placed_at, o.expires_at, o.paid_at,
       o.state = 'awaiting_payment' and o.expires_at <= now() as is_lapsed,
       o.ended_at, o.owed_again_at, o.billed_to,
       (select string_agg(c.case_no || c.state || coalesce(c.objected_at::text, ''), ',' order by c.case_no) from after_sale_case c
        where c.order_id = o.id) as case_states,
       (select count(*) from payment p where p.order_id = o.id and p.pay_url is not null and p.state = 'open') as open_payments,
       (select string_agg(r.state, ',' order by r.created_at) from refund r where r.order_id = o.id) as refund_states,
       case when o.state = 'paid' then (
         select max(case a.state when 'unknown' then 4 when 'accepted' then 3 when 'sending' then 2 else 1 end)
         from attempt a where a.order_id = o.id and a.state in ('planned', 'sending', 'accepted', 'unknown')
       ) end as supply,
       case when o.state = 'paid' then (select count(*) from delivery_unit u where u.order_id = o.id and u.state = 'delivered') end as arrived
from shop_order o
where o.order_no = $1
"""
_LINES = """
select l.id, l.product_id, l.product_name, l.sku_name, l.delivery_kind, l.quantity, l.unit_price_minor, l.total_minor,
       l.parent_line_id, p.cover_icon, p.cover_hue, p.picture_id, p.usage_html, l.attributes::text as attributes, ra.shown::text as stated, c.cycle_no
from order_line l join product p on p.id = l.product_id left join recharge_account ra on ra.order_line_id = l.id
left join subscription_cycle c on c.order_line_id = l.id
where l.order_id = $1
order by l.line_no
"""
_UNITS = """
select u.order_line_id, u.unit_no, u.state, u.amount_minor, u.revealed_at, u.delivered_at,
       coalesce(k.masked, m.masked, h.masked, ra.masked) as masked,
       coalesce(k.expires_on, m.ends_on) as expires_on,
       coalesce(u.card_key_id, u.minted_id) is not null and m.kind is distinct from 'link' or h.secret is not null as has_key, u.due_at, h.carrier, h.tracking_no,
       u.minted_id, m.kind as minted_kind, m.state as minted_state, m.uses, m.most_uses,
       m.rules::text as rules,
       exists (
         select 1 from attempt a where a.order_line_id = u.order_line_id and a.unit_no = u.unit_no and a.reason = 'bad_account'
       ) as is_refused
from delivery_unit u
left join card_key k on k.id = u.card_key_id
left join recharge_account ra on ra.order_line_id = u.order_line_id
left join minted_good m on m.id = u.minted_id
left join handover h on h.id = u.handover_id
where u.order_id = $1
order by u.order_line_id, u.unit_no
"""
_REFUNDS = """
select refund_no, state, reason, amount_minor, currency, created_at, succeeded_at
from refund where order_id = $1
order by created_at
"""
_PAY_URL = """
select pay_url from payment
where order_id = $1 and state = 'open' and pay_url is not null
order by created_at desc
limit 1
"""
_OF_CONTACT = """
select o.id, o.order_no, o.state, o.total_minor, o.currency, o.placed_at, o.expires_at, o.billed_to, l.product_name, l.sku_name, l.quantity,
       p.cover_icon, p.cover_hue, p.picture_id,
       (select count(*) from order_line m where m.order_id = o.id and m.parent_line_id is null) as lines
from shop_order o
join order_line l on l.order_id = o.id and l.line_no = 1
join product p on p.id = l.product_id
where o.contact_fingerprint = $1
order by o.placed_at desc
limit $2
"""
_ENTITLEMENTS = """
select o.id as order_id, o.order_no, l.product_name, l.sku_name, u.unit_no, u.delivered_at, u.revealed_at,
       coalesce(u.card_key_id, u.minted_id) is not null or h.secret is not null as has_key,
       coalesce(m.kind, '') = 'link' as is_link, coalesce(k.masked, m.masked, h.masked, ra.masked) as masked,
       coalesce(nullif(k.expires_on, $2), m.ends_on) as expires_on, p.cover_icon, p.cover_hue, p.picture_id
from shop_order o
join delivery_unit u on u.order_id = o.id and u.state = 'delivered'
join order_line l on l.id = u.order_line_id
left join card_key k on k.id = u.card_key_id
left join recharge_account ra on ra.order_line_id = u.order_line_id
left join minted_good m on m.id = u.minted_id
left join handover h on h.id = u.handover_id
join product p on p.id = l.product_id
where o.contact_fingerprint = $1
order by k.expires_on nulls last, u.delivered_at desc, u.unit_no
limit $3
"""
