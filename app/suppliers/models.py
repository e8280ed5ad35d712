"""Tables of who sells to us: suppliers, connections to them, what they offer, and the routes of our SKUs."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, LargeBinary, Numeric, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Row, TenantBase, one_of, sealed


class Supplier(Row, TenantBase):
    """A company that sells to us, and what was agreed with it."""

    __tablename__ = "supplier"
    __table_args__ = (
        CheckConstraint("settlement_days >= 0", name="settlement_days_not_negative"),
        CheckConstraint("claim_days >= 0", name="claim_days_not_negative"),
        CheckConstraint("(email is null) = (email_masked = '')", name="email_masked_with_email"),
    )
    name: Mapped[str] = mapped_column(unique=True)
    contact: Mapped[str] = mapped_column(server_default="")
    email: Mapped[bytes | None] = mapped_column(LargeBinary, info=sealed())
    """Where we write to, in the language `locale`."""
    email_masked: Mapped[str] = mapped_column(server_default="")
    locale: Mapped[str] = mapped_column(server_default="zh_CN")
    settlement_days: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """Length of the contracted settlement cycle; zero for prepaid."""
    claim_days: Mapped[int] = mapped_column(SmallInteger, server_default="7")
    """So long after delivery the supplier takes complaints."""
    terms: Mapped[str] = mapped_column(server_default="")


class ConnectionMode(StrEnum):
    TEST = "test"
    LIVE = "live"


class BreakerState(StrEnum):
    """`closed` lets purchases through, `open` none, `half_open` one at a time to see whether the supplier is back."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


BREAKER_EDGES: dict[BreakerState, frozenset[BreakerState]] = {
    BreakerState.CLOSED: frozenset({BreakerState.OPEN}),
    BreakerState.OPEN: frozenset({BreakerState.HALF_OPEN, BreakerState.CLOSED}),
    BreakerState.HALF_OPEN: frozenset({BreakerState.CLOSED, BreakerState.OPEN}),
}


class SupplierConnection(Row, TenantBase):
    """One tenant's account at one supplier: how it is spoken to, how fast, and whether it is trusted this moment."""

    __tablename__ = "supplier_connection"
    __table_args__ = (
        one_of("mode", ConnectionMode),
        one_of("breaker", BreakerState),
        CheckConstraint("calls_at_once between 1 and 200", name="calls_at_once_bounded"),
        CheckConstraint("calls_per_second > 0", name="calls_per_second_positive"),
        Index("ix_supplier_connection_supplier", "supplier_id"),
    )
    supplier_id: Mapped[UUID] = mapped_column(ForeignKey("supplier.id"))
    connector: Mapped[str]
    name: Mapped[str] = mapped_column(unique=True)
    mode: Mapped[str] = mapped_column(server_default=ConnectionMode.TEST)
    is_on: Mapped[bool] = mapped_column(server_default="false")
    """Switched on by the merchant, after a test order."""
    config: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    """The settings of the connector's form, as one sealed JSON object."""
    configured_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    calls_per_second: Mapped[Decimal] = mapped_column(Numeric(9, 3))
    calls_at_once: Mapped[int] = mapped_column(Integer)
    ip_note: Mapped[str] = mapped_column(server_default="")
    breaker: Mapped[str] = mapped_column(server_default=BreakerState.CLOSED)
    breaker_since: Mapped[datetime | None]
    breaker_reason: Mapped[str] = mapped_column(server_default="")
    is_held_open: Mapped[bool] = mapped_column(server_default="false")
    """Tripped by hand: it does not close by itself."""
    balance: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    balance_currency: Mapped[str] = mapped_column(server_default="CNY")
    balance_at: Mapped[datetime | None]
    warn_below: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    well_in_a_row: Mapped[int] = mapped_column(Integer, server_default="0")
    """Calls answered well since the last that was not."""
    tokens: Mapped[Decimal] = mapped_column(Numeric(12, 6), server_default="0")
    """Calls it may start this moment, refilled by its rate; at most one second's worth."""
    tokens_at: Mapped[datetime | None]
    tested_at: Mapped[datetime | None]
    test_ms: Mapped[int | None] = mapped_column(Integer)
    """How long the last successful test order took to arrive, in milliseconds."""
    catalog_at: Mapped[datetime | None]


class SupplierOffer(Row, TenantBase):
    """A supplier's item with its cost and limits. `unit_cost` is in major units, finer than a minor unit; `stock` is None where it is not counted."""

    __tablename__ = "supplier_offer"
    __table_args__ = (
        UniqueConstraint("connection_id", "supplier_sku"),
        CheckConstraint("unit_cost >= 0 and unit_cost < 'Infinity'", name="unit_cost_plain"),
        CheckConstraint("stock >= 0", name="stock_not_negative"),
        Index("ix_supplier_offer_listed", "connection_id", "name"),
    )
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_connection.id"))
    supplier_sku: Mapped[str]
    name: Mapped[str]
    delivery_kind: Mapped[str]
    unit_cost: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    currency: Mapped[str] = mapped_column(server_default="CNY")
    is_on_sale: Mapped[bool] = mapped_column(server_default="true")
    is_excluded: Mapped[bool] = mapped_column(server_default="false")
    """On the exclusion list: never mapped by an import."""
    stock: Mapped[int | None]
    face_value_minor: Mapped[int | None]
    least_minor: Mapped[int | None]
    most_minor: Mapped[int | None]
    step_minor: Mapped[int | None]
    region: Mapped[str] = mapped_column(server_default="")
    account_fields: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    seen_at: Mapped[datetime]
    """When the supplier last said so."""
    told_cost: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    """The cost of which the merchant was told that it is too much."""
    noticed_at: Mapped[datetime | None]
    """When the last notice of its supplier was taken in: what was read from before then is older."""
    told_at: Mapped[datetime | None]
    """The supplier's own time of the newest notice taken in."""


class OfferChange(Row, TenantBase):
    """One change of an offer's cost: from, to, when."""

    __tablename__ = "offer_change"
    offer_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_offer.id"), index=True)
    before: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    after: Mapped[Decimal] = mapped_column(Numeric(18, 6))


class GoodsNoticeTaken(Row, TenantBase):
    """One genuine message about goods, once per its own event key, with what it said and how many entries of it came to what."""

    __tablename__ = "goods_notice"
    __table_args__ = (
        UniqueConstraint("connection_id", "event_key"),
        CheckConstraint("least(applied, stale, unknown, unread) >= 0", name="counts_not_negative"),
        Index("ix_goods_notice_newest", "connection_id", "created_at"),
    )
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_connection.id"))
    event_key: Mapped[str]
    told: Mapped[list[dict[str, Any]]] = mapped_column(JSONB, server_default="[]")
    """What it said of each SKU, as it was understood."""
    applied: Mapped[int] = mapped_column(Integer, server_default="0")
    stale: Mapped[int] = mapped_column(Integer, server_default="0")
    """Entries older than what we knew."""
    unknown: Mapped[int] = mapped_column(Integer, server_default="0")
    """Entries about SKUs we do not know."""
    unread: Mapped[int] = mapped_column(Integer, server_default="0")
    """Entries that made no sense."""


class ExchangeRate(TenantBase):
    """What 1 of a currency costs in the shop's own, from an instant on. Never changed: a newer one takes over, and purchases keep theirs."""

    __tablename__ = "exchange_rate"
    __table_args__ = (
        CheckConstraint("rate > 0 and rate < 'Infinity'", name="rate_positive"),
        CheckConstraint("currency <> own_currency", name="two_currencies"),
        CheckConstraint("valid_until > valid_from", name="ends_after_start"),
        CheckConstraint("safety_bp between 0 and 5000", name="safety_bounded"),
        Index("ix_exchange_rate_in_force", "currency", "valid_from"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    currency: Mapped[str]
    own_currency: Mapped[str] = mapped_column(server_default="CNY")
    rate: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    valid_from: Mapped[datetime]
    valid_until: Mapped[datetime]
    """From then on it is out of date: what is sold in its currency is not bought until there is a newer one."""
    safety_bp: Mapped[int] = mapped_column(Integer, server_default="0")
    """Put on it when costs are compared with prices, in basis points; never on what is booked."""
    actor_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class RoutePolicy(StrEnum):
    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    FIXED_ORDER = "fixed_order"
    WEIGHTED = "weighted"


class OwnStock(StrEnum):
    """Whether own card-keys go before what suppliers offer, or are kept for when none of them can deliver."""

    FIRST = "first"
    RESERVE = "reserve"


class CategoryRoute(TenantBase):
    """How the goods of a category are bought where their own routes leave it open."""

    __tablename__ = "category_route"
    __table_args__ = (one_of("policy", RoutePolicy), one_of("own_stock", OwnStock))
    category_id: Mapped[UUID] = mapped_column(ForeignKey("category.id", ondelete="cascade"), primary_key=True)
    policy: Mapped[str]
    own_stock: Mapped[str] = mapped_column(server_default=OwnStock.FIRST)
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class SupplyRoute(TenantBase):
    """How one SKU is bought: which offers may serve it, and in which order. Below which margin it is not sold stands at the SKU.

    Where `policy` or `own_stock` is None, the SKU's category says.
    """

    __tablename__ = "supply_route"
    __table_args__ = (
        one_of("policy", RoutePolicy),
        one_of("own_stock", OwnStock),
        CheckConstraint("deadline_s between 60 and 172800", name="deadline_bounded"),
    )
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"), primary_key=True)
    policy: Mapped[str | None] = mapped_column(server_default=RoutePolicy.CHEAPEST)
    own_stock: Mapped[str | None]
    deadline_s: Mapped[int] = mapped_column(Integer, server_default="1800")
    """Seconds from payment until a unit must be delivered or refunded, or a person is asked."""
    shelf_reason: Mapped[str] = mapped_column(server_default="")
    """Why the SKU stands at no stock, as a msgid; empty while it can be bought."""
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class RouteOffer(TenantBase):
    """One offer on a route. `position` counts for a fixed order, `weight` for a weighted one."""

    __tablename__ = "route_offer"
    __table_args__ = (
        CheckConstraint("weight between 1 and 1000", name="weight_bounded"),
        Index("ix_route_offer_offer", "offer_id"),
    )
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("supply_route.sku_id", ondelete="cascade"), primary_key=True)
    offer_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_offer.id"), primary_key=True)
    position: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    weight: Mapped[int] = mapped_column(SmallInteger, server_default="1")


class SupplyMinute(TenantBase):
    """What one minute of real calls for one offer came to. `well` counts answers, definite refusals among them; `unknown` the rest."""

    __tablename__ = "supply_minute"
    __table_args__ = (Index("ix_supply_minute_connection", "connection_id", "minute"),)
    offer_id: Mapped[UUID] = mapped_column(primary_key=True)
    minute: Mapped[datetime] = mapped_column(primary_key=True)
    connection_id: Mapped[UUID]
    calls: Mapped[int] = mapped_column(Integer, server_default="0")
    well: Mapped[int] = mapped_column(Integer, server_default="0")
    refused: Mapped[int] = mapped_column(Integer, server_default="0")
    delivered: Mapped[int] = mapped_column(Integer, server_default="0")
    within_300_ms: Mapped[int] = mapped_column(Integer, server_default="0")
    within_1_s: Mapped[int] = mapped_column(Integer, server_default="0")
    within_3_s: Mapped[int] = mapped_column(Integer, server_default="0")
    within_10_s: Mapped[int] = mapped_column(Integer, server_default="0")
    """Calls answered within so long, each counted in the first that fits."""


class TestState(StrEnum):
    """A test order's way. `unknown` is asked about, never sent again."""

    PLANNED = "planned"
    SENDING = "sending"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


TEST_EDGES: dict[TestState, frozenset[TestState]] = {
    TestState.PLANNED: frozenset({TestState.SENDING, TestState.FAILED}),
    TestState.SENDING: frozenset({TestState.ACCEPTED, TestState.UNKNOWN, TestState.SUCCEEDED, TestState.FAILED}),
    TestState.ACCEPTED: frozenset({TestState.UNKNOWN, TestState.SUCCEEDED, TestState.FAILED}),
    TestState.UNKNOWN: frozenset({TestState.ACCEPTED, TestState.SUCCEEDED, TestState.FAILED}),
    TestState.SUCCEEDED: frozenset(),
    TestState.FAILED: frozenset(),
}
OPEN_TESTS = (TestState.PLANNED, TestState.SENDING, TestState.ACCEPTED, TestState.UNKNOWN)


class TestOrder(Row, TenantBase):
    """One unit bought to see that a connection works: of no order and for no buyer. What it brought is kept sealed."""

    __tablename__ = "test_order"
    __table_args__ = (
        one_of("state", TestState),
        Index(
            "uq_test_order_open",
            "connection_id",
            unique=True,
            postgresql_where=text("state in ('planned', 'sending', 'accepted', 'unknown')"),
        ),
        Index("ix_test_order_connection", "connection_id", "created_at"),
    )
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_connection.id"))
    offer_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_offer.id"))
    out_no: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(server_default=TestState.PLANNED)
    mode: Mapped[str]
    """What the connection was when it was ordered: in live mode it was paid for."""
    supplier_sku: Mapped[str]
    currency: Mapped[str]
    most_cost: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    face_value_minor: Mapped[int | None]
    account: Mapped[bytes | None] = mapped_column(LargeBinary, info=sealed())
    """The recharge account of a top-up, by field name, as one sealed JSON object."""
    issued: Mapped[bytes | None] = mapped_column(LargeBinary, info=sealed())
    """The secrets it brought, as one sealed JSON list."""
    card_marks: Mapped[list[bytes]] = mapped_column(ARRAY(LargeBinary), server_default="{}")
    """Stand for these secrets one by one: a supplier that sells one of them again is found out. See `testing.card_mark`."""
    sent_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    took_ms: Mapped[int | None] = mapped_column(Integer)
    """From sending to the answer that it was delivered, in milliseconds."""
    times_asked: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    supplier_ref: Mapped[str | None]
    unit_cost: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    reason: Mapped[str] = mapped_column(server_default="")
    says: Mapped[str] = mapped_column(server_default="")


class OfferImport(Row, TenantBase):
    """One import of offers into the merchant's products, with the rules of its prices. It is done when no line waits."""

    __tablename__ = "offer_import"
    __table_args__ = (
        CheckConstraint("markup_bp between 0 and 100000", name="markup_bounded"),
        CheckConstraint("add_minor >= 0", name="add_not_negative"),
        CheckConstraint("ending_minor between 0 and 99", name="ending_is_cents"),
        Index("ix_offer_import_connection", "connection_id", "created_at"),
    )
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_connection.id"))
    markup_bp: Mapped[int] = mapped_column(Integer)
    """What is put on the cost, in basis points."""
    add_minor: Mapped[int] = mapped_column(server_default="0")
    ending_minor: Mapped[int | None] = mapped_column(SmallInteger)
    """The last two digits every price is rounded up to; None leaves it as it comes."""
    floor_bp: Mapped[int] = mapped_column(Integer, server_default="0")
    category_id: Mapped[UUID | None]
    sku_name: Mapped[str]
    is_put_on_sale: Mapped[bool] = mapped_column(server_default="false")
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[str]


class ImportResult(StrEnum):
    """What became of one offer of an import."""

    WAITING = "waiting"
    MADE = "made"
    EXCLUDED = "excluded"
    MAPPED = "mapped"
    NOT_ON_SALE = "not_on_sale"
    RANGE = "range"
    OTHER_CURRENCY = "other_currency"
    NONSENSE = "nonsense"


class OfferImportLine(TenantBase):
    """One offer of an import and what became of it."""

    __tablename__ = "offer_import_line"
    __table_args__ = (
        one_of("result", ImportResult),
        CheckConstraint("(result = 'made') = (product_id is not null)", name="made_has_product"),
        Index("ix_offer_import_line_waiting", "import_id", "line_no", postgresql_where=text("result = 'waiting'")),
    )
    import_id: Mapped[UUID] = mapped_column(ForeignKey("offer_import.id"), primary_key=True)
    line_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    offer_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_offer.id"))
    result: Mapped[str] = mapped_column(server_default=ImportResult.WAITING)
    product_id: Mapped[UUID | None] = mapped_column(ForeignKey("product.id"))
    price_minor: Mapped[int | None]


class AlarmKind(StrEnum):
    """What is watched: an offer that is answered badly, a balance that will run out."""

    BROWN_OUT = "brown_out"
    BALANCE_ENDING = "balance_ending"


class SupplyAlarm(Row, TenantBase):
    """Something that is wrong with a supply, from when it was seen until it was over. One is open at a time, so one alert goes out."""

    __tablename__ = "supply_alarm"
    __table_args__ = (
        one_of("kind", AlarmKind),
        Index(
            "uq_supply_alarm_open",
            "kind",
            "connection_id",
            "offer_id",
            unique=True,
            postgresql_where=text("closed_at is null"),
            postgresql_nulls_not_distinct=True,
        ),
    )
    kind: Mapped[str]
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_connection.id"))
    offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("supplier_offer.id"))
    closed_at: Mapped[datetime | None]
