"""Tables of orders, and what is owed for each of them."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, Integer, LargeBinary, Numeric, SmallInteger, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.catalog.channels import STOREFRONT
from app.catalog.models import CycleUnit
from app.kernel.models import Row, TenantBase, one_of, sealed


class OrderState(StrEnum):
    """`running`: everything that was due is delivered or given back, and later cycles of a subscription are to come."""

    AWAITING_PAYMENT = "awaiting_payment"
    PAID = "paid"
    RUNNING = "running"
    DELIVERED = "delivered"
    PARTLY_DELIVERED = "partly_delivered"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ORDER_EDGES: dict[OrderState, frozenset[OrderState]] = {
    OrderState.AWAITING_PAYMENT: frozenset({OrderState.PAID, OrderState.CANCELLED, OrderState.EXPIRED}),
    OrderState.PAID: frozenset({OrderState.RUNNING, OrderState.DELIVERED, OrderState.PARTLY_DELIVERED, OrderState.REFUNDING}),
    OrderState.RUNNING: frozenset({OrderState.PAID, OrderState.REFUNDING}),
    OrderState.EXPIRED: frozenset({OrderState.PAID, OrderState.REFUNDING}),
    OrderState.CANCELLED: frozenset({OrderState.PAID, OrderState.REFUNDING}),
    OrderState.DELIVERED: frozenset({OrderState.REFUNDING, OrderState.PAID}),
    OrderState.PARTLY_DELIVERED: frozenset({OrderState.REFUNDING, OrderState.PAID}),
    OrderState.REFUNDING: frozenset({OrderState.REFUNDED, OrderState.PARTLY_DELIVERED, OrderState.RUNNING}),
    OrderState.REFUNDED: frozenset(),
}
"""Paid after it expired or was cancelled, an order claims its stock again (`paid`) or gives the money back (`refunding`).

Delivered, it is `paid` once more while something else is owed for a unit that was no good; running, on the day of its next cycle."""
SERVED = frozenset({OrderState.RUNNING, OrderState.DELIVERED, OrderState.PARTLY_DELIVERED})
"""States in which nothing is owed this moment, and something of the order may stand delivered."""


class UnitState(StrEnum):
    """`reserved` until paid, `owed` until delivered. `released` when the order ended unpaid.

    `scheduled`: of a later cycle, which holds no stock and is owed on its day.
    """

    RESERVED = "reserved"
    SCHEDULED = "scheduled"
    OWED = "owed"
    DELIVERED = "delivered"
    REFUNDING = "refunding"
    REFUNDED = "refunded"
    RELEASED = "released"


UNIT_EDGES: dict[UnitState, frozenset[UnitState]] = {
    UnitState.RESERVED: frozenset({UnitState.OWED, UnitState.RELEASED}),
    UnitState.SCHEDULED: frozenset({UnitState.OWED, UnitState.REFUNDING}),
    UnitState.RELEASED: frozenset({UnitState.OWED, UnitState.REFUNDING}),
    UnitState.OWED: frozenset({UnitState.DELIVERED, UnitState.REFUNDING}),
    UnitState.DELIVERED: frozenset({UnitState.REFUNDING, UnitState.OWED}),
    UnitState.REFUNDING: frozenset({UnitState.REFUNDED}),
    UnitState.REFUNDED: frozenset(),
}


class Order(Row, TenantBase):
    """One purchase by one buyer. While it awaits payment its lines are the reservation; `expires_at` frees them.

    The contact is sealed; `contact_fingerprint` finds his orders, `tail_fingerprint` the last four of a phone, `address_fingerprint` the
    orders placed from one network.
    """

    __tablename__ = "shop_order"
    __table_args__ = (
        one_of("state", OrderState),
        CheckConstraint("total_minor > 0", name="total_positive"),
        Index("ix_shop_order_state", "state", "placed_at"),
        Index("ix_shop_order_placed", "placed_at"),
        Index("ix_shop_order_contact", "contact_fingerprint", "placed_at"),
        Index("ix_shop_order_tail", "tail_fingerprint"),
        Index("ix_shop_order_expiring", "expires_at", postgresql_where=text("state = 'awaiting_payment'")),
        Index("ix_shop_order_unpaid_address", "address_fingerprint", postgresql_where=text("state = 'awaiting_payment'")),
        Index("ix_shop_order_billed", "billed_to", postgresql_where=text("billed_to is not null")),
        Index("ix_shop_order_unfinished", "paid_at", postgresql_where=text("state in ('paid', 'refunding')")),
    )
    order_no: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str]
    storefront_id: Mapped[UUID] = mapped_column(ForeignKey("storefront.id"))
    sales_channel: Mapped[str] = mapped_column(server_default=STOREFRONT)
    """The code of where it was sold."""
    billed_to: Mapped[UUID | None]
    """The batch of a company that owes for it; None where its buyer paid. No gateway took its money, so none gives it back."""
    idempotency_key: Mapped[str] = mapped_column(unique=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary)
    contact_kind: Mapped[str]
    contact: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    contact_masked: Mapped[str]
    contact_fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    tail_fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    address_fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary)
    locale: Mapped[str]
    total_minor: Mapped[int]
    currency: Mapped[str]
    placed_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    """When it was delivered, refunded, cancelled or expired."""
    owed_again_at: Mapped[datetime | None]
    """When a delivered unit of it was last taken back to be delivered anew; its deadlines count from then."""


class SecondContact(TenantBase):
    """The e-mail address that is written to when the phone of an order's buyer does not take a text message. Only who left one has a row."""

    __tablename__ = "second_contact"
    order_id: Mapped[UUID] = mapped_column(ForeignKey("shop_order.id"), primary_key=True)
    email: Mapped[bytes] = mapped_column(LargeBinary, info=sealed("order_id"))
    masked: Mapped[str]


class OrderLine(TenantBase):
    """One SKU and quantity of an order, with the names and prices of that moment.

    A bundle's line is the parent of a line for each of its parts, a subscription's of a line for each of its cycles. It has the price and no units;
    its parts have units, each with its share of the price as its amount, and their totals sum to the parent's. A part's `unit_price_minor` is what
    one of its units cost alone.
    """

    __tablename__ = "order_line"
    __table_args__ = (
        CheckConstraint("quantity > 0", name="quantity_positive"),
        CheckConstraint(
            "parent_line_id is not null or total_minor = unit_price_minor * quantity", name="total_is_price_times_quantity"
        ),
        CheckConstraint("face_value_minor > 0", name="face_value_positive"),
        CheckConstraint("(face_value_minor is null) = (face_value_currency is null)", name="face_value_has_currency"),
        CheckConstraint("(bundle_policy is not null) = (delivery_kind = 'bundle')", name="policy_of_bundles"),
        Index("ix_order_line_order", "order_id"),
        Index("ix_order_line_sku", "sku_id"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("shop_order.id"))
    line_no: Mapped[int] = mapped_column(SmallInteger)
    product_id: Mapped[UUID]
    sku_id: Mapped[UUID]
    listing_id: Mapped[UUID]
    product_name: Mapped[str]
    sku_name: Mapped[str]
    delivery_kind: Mapped[str]
    quantity: Mapped[int] = mapped_column(Integer)
    unit_price_minor: Mapped[int]
    total_minor: Mapped[int]
    parent_line_id: Mapped[UUID | None] = mapped_column(ForeignKey("order_line.id"))
    """The line of the bundle or subscription this is a part of."""
    bundle_policy: Mapped[str | None]
    """Of a bundle's line: what happens when a part of it cannot be delivered, as it was when it was ordered."""
    price_rule_id: Mapped[UUID | None]
    """The rule that made its price, in the version of that moment; None for the list price."""
    price_rule_version: Mapped[int | None] = mapped_column(Integer)
    face_value_minor: Mapped[int | None]
    """The face value its buyer chose, where the SKU is sold by any of a range."""
    face_value_currency: Mapped[str | None]
    attributes: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """What the product's page said of it when it was sold: names, labels and values."""


class DeliveryUnit(TenantBase):
    """One owed entitlement: delivered or refunded, never both. Made with the order, so what is owed is data.

    `amount_minor` is this unit's share of what was paid. The partial unique index lets a card-key serve one unit at most.
    """

    __tablename__ = "delivery_unit"
    __table_args__ = (
        one_of("state", UnitState),
        Index("uq_delivery_unit_card_key", "card_key_id", unique=True, postgresql_where=text("card_key_id is not null")),
        Index("ix_delivery_unit_order", "order_id"),
        Index("ix_delivery_unit_due", "due_at", postgresql_where=text("state = 'owed' and due_at is not null")),
        CheckConstraint(
            "(state = 'delivered') <= (card_key_id is not null or attempt_id is not null or minted_id is not null or handover_id is not null)",
            name="delivered_by_something",
        ),
    )
    order_line_id: Mapped[UUID] = mapped_column(ForeignKey("order_line.id"), primary_key=True)
    unit_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    order_id: Mapped[UUID]
    sku_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(server_default=UnitState.RESERVED)
    amount_minor: Mapped[int]
    card_key_id: Mapped[UUID | None]
    attempt_id: Mapped[UUID | None]
    """The purchase at a supplier that delivered it; None for own stock."""
    minted_id: Mapped[UUID | None]
    """The code that was made for it."""
    handover_id: Mapped[UUID | None]
    """How somebody delivered it by hand."""
    due_at: Mapped[datetime | None]
    """By when somebody is to deliver it; None for what no person delivers."""
    unit_cost: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    lost_cost: Mapped[Decimal] = mapped_column(Numeric(18, 6), server_default="0")
    """What goods cost that were delivered for it and replaced since."""
    delivered_at: Mapped[datetime | None]
    revealed_at: Mapped[datetime | None]
    """When the buyer first read it."""
    refund_id: Mapped[UUID | None]


class RechargeAccount(TenantBase):
    """What a line's buyer stated, the outside account its units credit among it: field names and values as one sealed JSON object."""

    __tablename__ = "recharge_account"
    order_line_id: Mapped[UUID] = mapped_column(ForeignKey("order_line.id"), primary_key=True)
    account: Mapped[bytes] = mapped_column(LargeBinary, info=sealed("order_line_id"))
    masked: Mapped[str]
    shown: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """Each field's name, the label its buyer read, and its value masked: whatever the product asks for later."""


class BuyerUsage(TenantBase):
    """How many units of one limited product one buyer holds or has reserved. Raised only under the limit, in one statement."""

    __tablename__ = "buyer_usage"
    __table_args__ = (CheckConstraint("units >= 0", name="never_negative"),)
    product_id: Mapped[UUID] = mapped_column(primary_key=True)
    contact_fingerprint: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    units: Mapped[int] = mapped_column(Integer)


class SubscriptionState(StrEnum):
    """`cancelled`: its buyer wants no more, and keeps what he paid for. `in_grace`: what was paid for is over, and he may still renew it."""

    ACTIVE = "active"
    CANCELLED = "cancelled"
    IN_GRACE = "in_grace"
    ENDED = "ended"


SUBSCRIPTION_EDGES: dict[SubscriptionState, frozenset[SubscriptionState]] = {
    SubscriptionState.ACTIVE: frozenset({SubscriptionState.CANCELLED, SubscriptionState.IN_GRACE, SubscriptionState.ENDED}),
    SubscriptionState.CANCELLED: frozenset({SubscriptionState.ACTIVE, SubscriptionState.ENDED}),
    SubscriptionState.IN_GRACE: frozenset({SubscriptionState.ACTIVE, SubscriptionState.ENDED}),
    SubscriptionState.ENDED: frozenset(),
}
"""Renewed, a cancelled one and one in its grace are active again."""


class Subscription(Row, TenantBase):
    """A buyer's subscription, on the terms of the day he bought it. Its cycles are paid for by its orders, the renewals among them.

    Cycle `n` is due on the day that `catalog.plans.cycle_starts` counts from `first_day`.
    """

    __tablename__ = "subscription"
    __table_args__ = (
        one_of("state", SubscriptionState),
        one_of("cycle_unit", CycleUnit),
        CheckConstraint("first_day <= last_day", name="days_in_order"),
        CheckConstraint("(state = 'ended') = (ended_at is not null)", name="ended_when_ended"),
        Index("ix_subscription_state", "state", "created_at"),
    )
    order_line_id: Mapped[UUID] = mapped_column(ForeignKey("order_line.id"), unique=True)
    """The line it began with."""
    state: Mapped[str] = mapped_column(server_default=SubscriptionState.ACTIVE)
    cycle_unit: Mapped[str]
    cycle_length: Mapped[int] = mapped_column(Integer)
    grace_days: Mapped[int] = mapped_column(Integer)
    first_day: Mapped[date] = mapped_column(Date)
    """The day of its first cycle: the one it was paid on."""
    last_day: Mapped[date] = mapped_column(Date)
    """The last day of what is paid for."""
    reminded_for: Mapped[date | None] = mapped_column(Date)
    """The last day its buyer was reminded of."""
    ended_at: Mapped[datetime | None]


class SubscriptionPurchase(TenantBase):
    """What a line of a subscription buys: the terms its buyer read when he ordered, and for a renewal the subscription it goes on with."""

    __tablename__ = "subscription_purchase"
    __table_args__ = (one_of("cycle_unit", CycleUnit), Index("ix_subscription_purchase_subscription", "subscription_id"))
    order_line_id: Mapped[UUID] = mapped_column(ForeignKey("order_line.id"), primary_key=True)
    subscription_id: Mapped[UUID | None] = mapped_column(ForeignKey("subscription.id"))
    """None for a new subscription until it is paid for."""
    cycle_unit: Mapped[str]
    cycle_length: Mapped[int] = mapped_column(Integer)
    grace_days: Mapped[int] = mapped_column(Integer)


class SubscriptionCycle(TenantBase):
    """One cycle that is paid for: a part of the line that bought it, delivered once, on its day."""

    __tablename__ = "subscription_cycle"
    __table_args__ = (Index("ix_subscription_cycle_due", "due_on"),)
    subscription_id: Mapped[UUID] = mapped_column(ForeignKey("subscription.id"), primary_key=True)
    cycle_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    order_line_id: Mapped[UUID] = mapped_column(ForeignKey("order_line.id"), unique=True)
    due_on: Mapped[date] = mapped_column(Date)


class OrderView(Row, TenantBase):
    """A saved view of the order list: a name for a query string."""

    __tablename__ = "order_view"
    name: Mapped[str]
    query: Mapped[str]
    owner_id: Mapped[UUID]
    is_shared: Mapped[bool] = mapped_column(server_default="false")
    position: Mapped[int] = mapped_column(Integer, server_default="0")


class OrderViewDefault(TenantBase):
    """The view that the order list opens with for one person, while nothing else is asked for."""

    __tablename__ = "order_view_default"
    __table_args__ = (Index("ix_order_view_default_view", "view_id"),)
    user_id: Mapped[UUID] = mapped_column(primary_key=True)
    view_id: Mapped[UUID] = mapped_column(ForeignKey("order_view.id", ondelete="cascade"))
