"""Tables of buying from suppliers: one row for each call that may buy a unit."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Date,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import Row, TenantBase, one_of, sealed


class AttemptState(StrEnum):
    """`sending` from the commit before the call until its outcome is written. `unknown` is asked about, never bought again or elsewhere.

    `succeeded_late`: the supplier delivered what it had definitely refused or never known; what it sold is recovered stock, not the buyer's.
    `replaced`: what it delivered was no good, and something else is owed for it.
    """

    PLANNED = "planned"
    SENDING = "sending"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SUCCEEDED_LATE = "succeeded_late"
    REPLACED = "replaced"


ATTEMPT_EDGES: dict[AttemptState, frozenset[AttemptState]] = {
    AttemptState.PLANNED: frozenset({AttemptState.SENDING, AttemptState.FAILED}),
    AttemptState.SENDING: frozenset(
        {AttemptState.ACCEPTED, AttemptState.UNKNOWN, AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.PLANNED}
    ),
    AttemptState.ACCEPTED: frozenset({AttemptState.UNKNOWN, AttemptState.SUCCEEDED, AttemptState.FAILED}),
    AttemptState.UNKNOWN: frozenset({AttemptState.ACCEPTED, AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.PLANNED}),
    AttemptState.SUCCEEDED: frozenset({AttemptState.REPLACED}),
    AttemptState.FAILED: frozenset({AttemptState.SUCCEEDED_LATE}),
    AttemptState.SUCCEEDED_LATE: frozenset(),
    AttemptState.REPLACED: frozenset(),
}
"""Back to `planned` only when no byte was sent, or when a supplier that promises idempotency knows nothing of the number after its grace."""

OPEN_STATES = (AttemptState.SENDING, AttemptState.ACCEPTED, AttemptState.UNKNOWN)
"""What has been sent and may still turn out either way."""


class OverrideState(StrEnum):
    """What became of a person's word that a purchase never took place."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    DECLINED = "declined"


OVERRIDE_EDGES: dict[OverrideState, frozenset[OverrideState]] = {
    OverrideState.PROPOSED: frozenset({OverrideState.APPROVED, OverrideState.DECLINED}),
    OverrideState.APPROVED: frozenset(),
    OverrideState.DECLINED: frozenset(),
}


class MintedState(StrEnum):
    VALID = "valid"
    REVOKED = "revoked"


MINTED_EDGES: dict[MintedState, frozenset[MintedState]] = {
    MintedState.VALID: frozenset({MintedState.REVOKED}),
    MintedState.REVOKED: frozenset(),
}


class MintedGood(Row, TenantBase):
    """A code we made for one delivered unit, with the rules it was sold under. It is used `most_uses` times at most."""

    __tablename__ = "minted_good"
    __table_args__ = (
        one_of("state", MintedState),
        ForeignKeyConstraint(["order_line_id", "unit_no"], ["delivery_unit.order_line_id", "delivery_unit.unit_no"]),
        CheckConstraint("uses between 0 and most_uses", name="no_use_too_many"),
        Index("uq_minted_good_unit", "order_line_id", "unit_no", unique=True, postgresql_where=text("state = 'valid'")),
        Index("ix_minted_good_unit", "order_line_id", "unit_no"),
    )
    order_line_id: Mapped[UUID]
    unit_no: Mapped[int] = mapped_column(Integer)
    sku_id: Mapped[UUID]
    kind: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=MintedState.VALID)
    secret: Mapped[bytes] = mapped_column(LargeBinary, info=sealed())
    code_fingerprint: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    masked: Mapped[str]
    rules: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default="{}")
    """Where and when it may be used, as its product said when it was delivered."""
    most_uses: Mapped[int] = mapped_column(Integer)
    uses: Mapped[int] = mapped_column(Integer, server_default="0")
    ends_on: Mapped[date | None] = mapped_column(Date)
    revoked_at: Mapped[datetime | None]


class MintedUse(TenantBase):
    """One use of a minted good: the how many-th, when, where and by whom. Of a link, `place` says what was opened."""

    __tablename__ = "minted_use"
    __table_args__ = (
        Index("uq_minted_use_live", "minted_id", "use_no", unique=True, postgresql_where=text("voided_at is null")),
        Index("uq_minted_use_reference", "who_id", "reference", unique=True, postgresql_where=text("reference <> ''")),
        Index("ix_minted_use_minted", "minted_id"),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    minted_id: Mapped[UUID] = mapped_column(ForeignKey("minted_good.id"))
    use_no: Mapped[int] = mapped_column(Integer)
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))
    place: Mapped[str]
    who: Mapped[str]
    who_id: Mapped[UUID | None]
    reference: Mapped[str] = mapped_column(server_default="")
    """A till's own number of it, each once."""
    voided_at: Mapped[datetime | None]
    """When it was taken back. It stands in the ledger and does not count."""
    void_reason: Mapped[str] = mapped_column(server_default="")
    address_mark: Mapped[str] = mapped_column(server_default="")
    """Stands for the network address a link was opened from: the same for the same address, and nothing else is learnt."""


class Handover(Row, TenantBase):
    """How somebody delivered one unit by hand: a text its buyer opens, a parcel's number, or both. `created_at` is when."""

    __tablename__ = "handover"
    __table_args__ = (
        ForeignKeyConstraint(["order_line_id", "unit_no"], ["delivery_unit.order_line_id", "delivery_unit.unit_no"]),
        CheckConstraint("secret is not null or tracking_no <> ''", name="something_handed_over"),
    )
    order_line_id: Mapped[UUID]
    unit_no: Mapped[int] = mapped_column(Integer)
    secret: Mapped[bytes | None] = mapped_column(LargeBinary, info=sealed())
    masked: Mapped[str] = mapped_column(server_default="")
    carrier: Mapped[str] = mapped_column(server_default="")
    tracking_no: Mapped[str] = mapped_column(server_default="")
    actor_name: Mapped[str]
    actor_id: Mapped[UUID | None]


class Attempt(Row, TenantBase):
    """One call that may buy one unit from one supplier under one number of ours. The partial index allows one live attempt per unit:
    even wrong code cannot buy elsewhere before a definite refusal.
    """

    __tablename__ = "attempt"
    __table_args__ = (
        one_of("state", AttemptState),
        ForeignKeyConstraint(["order_line_id", "unit_no"], ["delivery_unit.order_line_id", "delivery_unit.unit_no"]),
        CheckConstraint("(state = 'sending') = (fence is not null)", name="fence_while_sending"),
        CheckConstraint("(rate is null) = (rate_id is null)", name="rate_is_of_a_row"),
        Index(
            "uq_attempt_live",
            "order_line_id",
            "unit_no",
            unique=True,
            postgresql_where=text("state in ('planned', 'sending', 'accepted', 'unknown', 'succeeded')"),
        ),
        Index("ix_attempt_planned", "connection_id", "priority", "id", postgresql_where=text("state = 'planned'")),
        Index("ix_attempt_sending", "connection_id", postgresql_where=text("state = 'sending'")),
        Index("ix_attempt_open", "sent_at", postgresql_where=text("state in ('sending', 'accepted', 'unknown')")),
        Index("ix_attempt_order", "order_id"),
    )
    order_id: Mapped[UUID]
    order_line_id: Mapped[UUID]
    unit_no: Mapped[int] = mapped_column(Integer)
    sku_id: Mapped[UUID]
    seq: Mapped[int] = mapped_column(SmallInteger)
    offer_id: Mapped[UUID]
    connection_id: Mapped[UUID]
    supplier_sku: Mapped[str]
    out_no: Mapped[str] = mapped_column(unique=True)
    state: Mapped[str] = mapped_column(server_default=AttemptState.PLANNED)
    priority: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """Lower goes first: 0 for a buyer who waits, 1 for a batch."""
    expected_cost: Mapped[Decimal] = mapped_column(Numeric(18, 6))
    unit_cost: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    """What the supplier says it took."""
    currency: Mapped[str]
    """The supplier's: of its costs, and of what is settled with him."""
    rate_id: Mapped[UUID | None] = mapped_column(ForeignKey("exchange_rate.id"))
    rate: Mapped[Decimal | None] = mapped_column(Numeric(18, 6))
    """What 1 of its currency cost in the shop's when it was planned; None where it is the shop's."""
    why: Mapped[str]
    """Why this supplier was chosen, as a msgid."""
    policy_of: Mapped[str] = mapped_column(server_default="")
    """The category whose policy chose; empty where the SKU has its own."""
    passed_over: Mapped[list[Any]] = mapped_column(JSONB, server_default="[]")
    """The rivals and why each was passed over: pairs of an offer's id and a msgid."""
    fence: Mapped[UUID | None]
    """Of the call that runs: an outcome is written only by the call that still holds it."""
    sent_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    took_ms: Mapped[int | None] = mapped_column(Integer)
    supplier_ref: Mapped[str | None]
    reason: Mapped[str] = mapped_column(server_default="")
    says: Mapped[str] = mapped_column(server_default="")
    evidence: Mapped[str] = mapped_column(server_default="")
    times_sent: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    times_asked: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    times_not_found: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    """How often in a row the supplier knew nothing of it when it was asked."""
    answered_at: Mapped[datetime | None]
    """When a question about it was last answered, whatever the answer."""


class ToldUse(Row, TenantBase):
    """One message of a supplier that what an attempt bought was used, or that such a use was taken back. Only added to: the newest by its own time counts."""

    __tablename__ = "told_use"
    __table_args__ = (UniqueConstraint("connection_id", "event_key"), Index("ix_told_use_attempt", "attempt_id"))
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("attempt.id"))
    connection_id: Mapped[UUID] = mapped_column(ForeignKey("supplier_connection.id"))
    event_key: Mapped[str]
    is_taken_back: Mapped[bool]
    used_at: Mapped[datetime]
    """The supplier's time of it, or when it was told where he gives none."""
    place: Mapped[str]


class AttemptOverride(Row, TenantBase):
    """One person's word, against the supplier's silence, that a purchase never took place; it counts once another person approves it.

    It is about one sending of its attempt: sent again, the attempt needs another word.
    """

    __tablename__ = "attempt_override"
    __table_args__ = (
        one_of("state", OverrideState),
        CheckConstraint("reviewer_id is null or reviewer_id <> maker_id", name="two_people"),
        CheckConstraint("(state = 'proposed') = (reviewer_id is null)", name="decided_by_somebody"),
        Index(
            "uq_attempt_override_proposed", "attempt_id", "times_sent", unique=True, postgresql_where=text("state = 'proposed'")
        ),
    )
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("attempt.id"))
    times_sent: Mapped[int] = mapped_column(SmallInteger)
    state: Mapped[str] = mapped_column(server_default=OverrideState.PROPOSED)
    reason: Mapped[str]
    maker_id: Mapped[UUID]
    maker_name: Mapped[str]
    reviewer_id: Mapped[UUID | None]
    reviewer_name: Mapped[str | None]
    decided_at: Mapped[datetime | None]
