"""Tables of replenishment: what was asked of a supplier, the batches that brought it, what was said, his private desk, and SKUs that ask by themselves."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Date,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Row, TenantBase, one_of, sealed

MOST_LINES = 50
MOST_UNITS = 1_000_000


class ReplenishmentState(StrEnum):
    """`asked` waits for the supplier's word, `confirmed` for his goods, `sent` for their arrival. What arrives is counted, never typed."""

    ASKED = "asked"
    CONFIRMED = "confirmed"
    SENT = "sent"
    PARTLY_RECEIVED = "partly_received"
    DONE = "done"
    DECLINED = "declined"
    CANCELLED = "cancelled"


_S = ReplenishmentState
REPLENISHMENT_EDGES: dict[ReplenishmentState, frozenset[ReplenishmentState]] = {
    _S.ASKED: frozenset({_S.CONFIRMED, _S.DECLINED, _S.CANCELLED}),
    _S.CONFIRMED: frozenset({_S.SENT, _S.PARTLY_RECEIVED, _S.DONE, _S.CANCELLED}),
    _S.SENT: frozenset({_S.PARTLY_RECEIVED, _S.DONE, _S.CANCELLED}),
    _S.PARTLY_RECEIVED: frozenset({_S.DONE}),
    _S.DONE: frozenset(),
    _S.DECLINED: frozenset(),
    _S.CANCELLED: frozenset(),
}
OPEN = (_S.ASKED, _S.CONFIRMED, _S.SENT, _S.PARTLY_RECEIVED)
TAKES_GOODS = (_S.CONFIRMED, _S.SENT, _S.PARTLY_RECEIVED)
"""In these goods may come: a batch is imported for it, or linked to it."""


class Replenishment(Row, TenantBase):
    """Goods asked of one supplier. Of those a SKU asked for by itself, one is open at a time."""

    __tablename__ = "replenishment"
    __table_args__ = (
        one_of("state", ReplenishmentState),
        CheckConstraint("state <> 'declined' or reason <> ''", name="declined_with_reason"),
        Index(
            "uq_replenishment_by_itself",
            "rule_sku_id",
            unique=True,
            postgresql_where=text("state in ('asked', 'confirmed', 'sent', 'partly_received')"),
        ),
        Index("ix_replenishment_state", "state", "created_at"),
        Index("ix_replenishment_supplier", "supplier_id", "created_at"),
    )
    replenishment_no: Mapped[str] = mapped_column(unique=True)
    supplier_id: Mapped[UUID] = mapped_column(ForeignKey("supplier.id"))
    state: Mapped[str] = mapped_column(server_default=ReplenishmentState.ASKED)
    wanted_on: Mapped[date | None] = mapped_column(Date)
    note: Mapped[str] = mapped_column(server_default="")
    """What the merchant writes to the supplier with it."""
    promised_on: Mapped[date | None] = mapped_column(Date)
    reason: Mapped[str] = mapped_column(server_default="")
    """Why it was declined or cancelled."""
    asked_by: Mapped[str]
    rule_sku_id: Mapped[UUID | None] = mapped_column(ForeignKey("sku.id"))
    """The SKU whose low stock asked for it by itself."""


class ReplenishmentLine(TenantBase):
    """So many units of one SKU at an agreed cost, in major units. `confirmed` is what the supplier promised of them."""

    __tablename__ = "replenishment_line"
    __table_args__ = (
        UniqueConstraint("replenishment_id", "sku_id"),
        CheckConstraint(f"units between 1 and {MOST_UNITS}", name="units_bounded"),
        CheckConstraint("confirmed between 0 and units", name="confirmed_of_units"),
        CheckConstraint("unit_cost >= 0 and unit_cost < 'Infinity'", name="unit_cost_plain"),
        Index("ix_replenishment_line_sku", "sku_id"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    replenishment_id: Mapped[UUID] = mapped_column(ForeignKey("replenishment.id"))
    position: Mapped[int] = mapped_column(SmallInteger)
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"))
    units: Mapped[int] = mapped_column(Integer)
    confirmed: Mapped[int | None] = mapped_column(Integer)
    unit_cost: Mapped[Decimal] = mapped_column(Numeric(18, 6))


class Side(StrEnum):
    """The two who talk: the merchant's staff, and the supplier."""

    STAFF = "staff"
    SUPPLIER = "supplier"


class ReplenishmentBatch(TenantBase):
    """A batch that brings goods of a line, at the line's cost. A batch is of one line; what it brought are its card-keys."""

    __tablename__ = "replenishment_batch"
    __table_args__ = (one_of("brought_by", Side), Index("ix_replenishment_batch_line", "line_id"))
    batch_id: Mapped[UUID] = mapped_column(ForeignKey("import_batch.id"), primary_key=True)
    line_id: Mapped[UUID] = mapped_column(ForeignKey("replenishment_line.id"))
    brought_by: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class ReplenishmentMessage(TenantBase):
    """One thing said about a replenishment, sealed."""

    __tablename__ = "replenishment_message"
    __table_args__ = (one_of("author", Side), Index("ix_replenishment_message_thread", "replenishment_id", "created_at"))
    id: Mapped[UUID] = mapped_column(primary_key=True)
    replenishment_id: Mapped[UUID] = mapped_column(ForeignKey("replenishment.id"))
    author: Mapped[str]
    author_name: Mapped[str]
    body: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class SupplierDesk(TenantBase):
    """A supplier's private link. Its token is signed for `id` under a key the database does not hold; only the token's hash is kept."""

    __tablename__ = "supplier_desk"
    supplier_id: Mapped[UUID] = mapped_column(ForeignKey("supplier.id"), primary_key=True)
    id: Mapped[UUID] = mapped_column(unique=True)
    """Drawn anew with each link."""
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    made_by: Mapped[str]
    made_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    opened_at: Mapped[datetime | None]
    """When it was last opened, to the minute or so."""


class RestockRule(TenantBase):
    """A SKU that asks its supplier for more when it runs low."""

    __tablename__ = "restock_rule"
    __table_args__ = (
        CheckConstraint(f"units between 1 and {MOST_UNITS}", name="units_bounded"),
        CheckConstraint("unit_cost >= 0 and unit_cost < 'Infinity'", name="unit_cost_plain"),
        Index("ix_restock_rule_supplier", "supplier_id"),
    )
    sku_id: Mapped[UUID] = mapped_column(ForeignKey("sku.id"), primary_key=True)
    supplier_id: Mapped[UUID] = mapped_column(ForeignKey("supplier.id"))
    units: Mapped[int] = mapped_column(Integer)
    unit_cost: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    updated_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
