"""Tables of stock and card-keys."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, Integer, LargeBinary, Numeric, text
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Row, TenantBase, one_of, sealed

NEVER = date.max
"""The expiry of a card-key that does not expire, so that the soonest expiry is always the smallest date. PostgreSQL holds it as infinity."""


class Allocation(StrEnum):
    """Whether all sales channels draw on one pool, or some have quotas of their own beside it."""

    SHARED = "shared"
    QUOTA = "quota"


class MoveReason(StrEnum):
    """Why units changed between quotas: a person's wish, the switch of the mode, an idle quota, or keys that are gone."""

    HAND = "hand"
    MODE = "mode"
    IDLE = "idle"
    LOST = "lost"


class Stock(TenantBase):
    """The counters of one SKU, changed only by `set x = x + n`. Reserved units belong to orders that wait for payment or delivery.

    imported + allowed + short = available + reserved + delivered + voided + quarantined + expired, at every committed point. `short` counts
    reserved units whose keys were since voided, quarantined or expired: the next keys to arrive serve them first, else their buyers are refunded.
    `allowed` are units that may be sold before we have them, because a supplier has them; what he delivers counts as imported.
    """

    __tablename__ = "stock"
    __table_args__ = (
        CheckConstraint(
            "available >= 0 and reserved >= 0 and delivered >= 0 and voided >= 0 and quarantined >= 0 and expired >= 0 and short >= 0 and allowed >= 0",
            name="never_negative",
        ),
        CheckConstraint(
            "imported + allowed + short = available + reserved + delivered + voided + quarantined + expired", name="adds_up"
        ),
        CheckConstraint("available = 0 or short = 0", name="short_before_shelf"),
        one_of("allocation", Allocation),
        CheckConstraint("allotted between 0 and available", name="allotted_is_there"),
        CheckConstraint("allocation = 'quota' or allotted = 0", name="allotted_by_quota"),
        {"postgresql_with": {"fillfactor": 50}},
    )
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"), primary_key=True)
    allocation: Mapped[str] = mapped_column(server_default="shared")
    allotted: Mapped[int] = mapped_column(server_default="0")
    """How many of the available units are kept for one sales channel each: the sum of `channel_quota`. The rest is anybody's."""
    imported: Mapped[int] = mapped_column(server_default="0")
    available: Mapped[int] = mapped_column(server_default="0")
    reserved: Mapped[int] = mapped_column(server_default="0")
    delivered: Mapped[int] = mapped_column(server_default="0")
    voided: Mapped[int] = mapped_column(server_default="0")
    quarantined: Mapped[int] = mapped_column(server_default="0")
    expired: Mapped[int] = mapped_column(server_default="0")
    short: Mapped[int] = mapped_column(server_default="0")
    allowed: Mapped[int] = mapped_column(server_default="0")
    turns_on: Mapped[date] = mapped_column(Date, server_default="infinity")
    """The day after the last valid day of its soonest free key: from then on `available` counts keys that must not be sold, until they are taken off."""
    per_day: Mapped[Decimal] = mapped_column(Numeric(12, 3), server_default="0")
    """How many were sold a day over the last two weeks, measured every hour."""
    warned_at: Mapped[datetime | None]
    """When the low-stock warning went out; cleared when stock is back above the threshold."""


class ChannelQuota(TenantBase):
    """Units of a SKU that only one sales channel sells. Changed under the lock of the stock row, and with its `allotted`."""

    __tablename__ = "channel_quota"
    __table_args__ = (
        CheckConstraint("units >= 0", name="never_negative"),
        CheckConstraint("idle_hours between 1 and 2160", name="idle_hours_bounded"),
    )
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("stock.sku_id"), primary_key=True)
    channel_code: Mapped[str] = mapped_column(ForeignKey("sales_channel.code"), primary_key=True)
    units: Mapped[int] = mapped_column(server_default="0")
    idle_hours: Mapped[int | None] = mapped_column(Integer)
    """After so many hours without a sale or a move to it, what is left goes back to the pool; None keeps it."""
    stirred_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    """When something was last sold from it or moved to it."""


class QuotaUse(TenantBase):
    """Units of one order that came out of its channel's quota. Let go unpaid, they go back there."""

    __tablename__ = "quota_use"
    __table_args__ = (
        CheckConstraint("units > 0", name="units_positive"),
        Index("ix_quota_use_quota", "sku_id", "channel_code"),
    )
    order_id: Mapped[UUID] = mapped_column(ForeignKey("shop_order.id"), primary_key=True)
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("stock.sku_id"), primary_key=True)
    channel_code: Mapped[str]
    units: Mapped[int]


class QuotaMove(TenantBase):
    """Units that changed between quotas; None is the pool anybody draws on. Never changed."""

    __tablename__ = "quota_move"
    __table_args__ = (
        one_of("reason", MoveReason),
        CheckConstraint("units > 0", name="units_positive"),
        CheckConstraint("from_code is distinct from to_code", name="goes_somewhere"),
        Index("ix_quota_move_sku", "sku_id", "created_at"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("stock.sku_id"))
    from_code: Mapped[str | None]
    to_code: Mapped[str | None]
    units: Mapped[int]
    reason: Mapped[str]
    actor_name: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class BatchState(StrEnum):
    """`checking` reads the file, `ready` waits for the merchant to confirm the preview, `importing` moves the lines into the pool.

    `quarantining` and `releasing` move a large batch's keys off and on the shelf, thousands at a time.
    """

    CHECKING = "checking"
    READY = "ready"
    IMPORTING = "importing"
    IMPORTED = "imported"
    QUARANTINING = "quarantining"
    QUARANTINED = "quarantined"
    RELEASING = "releasing"
    ABANDONED = "abandoned"
    REJECTED = "rejected"


BATCH_EDGES: dict[BatchState, frozenset[BatchState]] = {
    BatchState.CHECKING: frozenset({BatchState.READY, BatchState.REJECTED, BatchState.ABANDONED}),
    BatchState.READY: frozenset({BatchState.IMPORTING, BatchState.ABANDONED, BatchState.CHECKING}),
    BatchState.IMPORTING: frozenset({BatchState.IMPORTED}),
    BatchState.IMPORTED: frozenset({BatchState.QUARANTINING}),
    BatchState.QUARANTINING: frozenset({BatchState.QUARANTINED}),
    BatchState.QUARANTINED: frozenset({BatchState.RELEASING}),
    BatchState.RELEASING: frozenset({BatchState.IMPORTED, BatchState.QUARANTINING}),
    BatchState.ABANDONED: frozenset(),
    BatchState.REJECTED: frozenset(),
}


class ImportBatch(Row, TenantBase):
    """One upload of card-keys. `unit_cost` is in major units, finer than a minor unit."""

    __tablename__ = "import_batch"
    __table_args__ = (one_of("state", BatchState), Index("ix_import_batch_sku", "sku_id", "created_at"))
    batch_no: Mapped[str] = mapped_column(unique=True)
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"))
    state: Mapped[str] = mapped_column(server_default=BatchState.CHECKING)
    file_name: Mapped[str] = mapped_column(server_default="")
    encoding: Mapped[str] = mapped_column(server_default="")
    unit_cost: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    currency: Mapped[str] = mapped_column(server_default="CNY")
    expires_on: Mapped[date] = mapped_column(Date, server_default="infinity")
    lines_read: Mapped[int] = mapped_column(server_default="0")
    lines_done: Mapped[int] = mapped_column(server_default="0")
    """Progress of the step that runs: lines checked, then lines moved into the pool."""
    new_count: Mapped[int] = mapped_column(server_default="0")
    duplicate_in_file: Mapped[int] = mapped_column(server_default="0")
    duplicate_in_pool: Mapped[int] = mapped_column(server_default="0")
    bad_count: Mapped[int] = mapped_column(server_default="0")
    imported_count: Mapped[int] = mapped_column(server_default="0")
    problem: Mapped[str] = mapped_column(server_default="")
    """Why the file was rejected, as a msgid."""
    created_by: Mapped[str]
    checked_at: Mapped[datetime | None]
    imported_at: Mapped[datetime | None]


class ImportChunk(TenantBase):
    """A piece of an uploaded file, sealed, kept only until it was checked."""

    __tablename__ = "import_chunk"
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("import_batch.id", ondelete="cascade"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    row_id: Mapped[UUID]
    body: Mapped[bytes] = mapped_column(LargeBinary, info=sealed("row_id"))


class LineVerdict(StrEnum):
    NEW = "new"
    DUPLICATE_IN_FILE = "duplicate_in_file"
    DUPLICATE_IN_POOL = "duplicate_in_pool"
    BAD = "bad"


class ImportLine(TenantBase):
    """One checked line that waits for confirmation. A new line is already sealed for the card-key it will become."""

    __tablename__ = "import_line"
    __table_args__ = (
        one_of("verdict", LineVerdict),
        Index("ix_import_line_fingerprint", "batch_id", "fingerprint"),
        Index("ix_import_line_verdict", "batch_id", "verdict", "line_no"),
    )
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("import_batch.id", ondelete="cascade"), primary_key=True)
    line_no: Mapped[int] = mapped_column(Integer, primary_key=True)
    verdict: Mapped[str]
    problem: Mapped[str] = mapped_column(server_default="")
    masked: Mapped[str]
    card_key_id: Mapped[UUID | None]
    secret: Mapped[bytes | None] = mapped_column(LargeBinary, info=sealed("card_key_id", table="card_key"))
    fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary)
    tail_fingerprint: Mapped[bytes | None] = mapped_column(LargeBinary)


class KeyState(StrEnum):
    """What becomes of a key. Nothing leads out of `voided`: such a key is kept to be looked at, and never handed out."""

    FREE = "free"
    DELIVERED = "delivered"
    VOIDED = "voided"
    QUARANTINED = "quarantined"
    EXPIRED = "expired"


class CardKey(TenantBase):
    """One secret to hand out. `pos` is random: a claim starts anywhere, so buyers do not queue for the same first key.

    `fingerprint` is the blind index of the normalised key, unique per SKU. `masked` shows at most the last four characters.
    """

    __tablename__ = "card_key"
    __table_args__ = (
        one_of("state", KeyState),
        Index("uq_card_key_fingerprint", "sku_id", "fingerprint", unique=True),
        Index("ix_card_key_free", "sku_id", "expires_on", "pos", postgresql_where=text("state = 'free'")),
        Index("ix_card_key_batch", "batch_id"),
        Index("ix_card_key_tail", "tail_fingerprint"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    sku_id: Mapped[UUID]
    batch_id: Mapped[UUID]
    state: Mapped[str] = mapped_column(server_default=KeyState.FREE)
    pos: Mapped[int] = mapped_column(Integer)
    expires_on: Mapped[date] = mapped_column(Date)
    masked: Mapped[str]
    secret: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    tail_fingerprint: Mapped[bytes] = mapped_column(LargeBinary)
    """Blind index of the last four characters, so that support can search by them."""
    unit_cost: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    changed_at: Mapped[datetime | None]
