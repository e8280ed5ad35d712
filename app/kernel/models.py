"""Base classes of all tables, and the tables every home has: a tenant's schema and the platform's own.

A home is where work, audit and history are kept. Both histories of migrations create these tables, so the same code serves both.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from advanced_alchemy.base import CommonTableAttributes
from advanced_alchemy.types import DateTimeUTC
from sqlalchemy import BigInteger, CheckConstraint, Index, LargeBinary, MetaData, SmallInteger, Text, Uuid, false, func, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.kernel.ids import new_id

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

Instant = DateTimeUTC(timezone=True)
_TYPES: dict[Any, Any] = {
    UUID: Uuid(),
    datetime: Instant,
    dict[str, Any]: JSONB(),
    bytes: LargeBinary(),
    str: Text(),
    int: BigInteger(),
}


class Row:
    """A UUIDv7 key and the instants a row was made and last changed."""

    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id, sort_order=-100)
    created_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now(), sort_order=900)
    updated_at: Mapped[datetime] = mapped_column(Instant, server_default=func.now(), onupdate=func.now(), sort_order=901)


class HomeBase(CommonTableAttributes, DeclarativeBase):
    """A table of every home: each tenant's schema and the platform's."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = _TYPES


class TenantBase(CommonTableAttributes, DeclarativeBase):
    """A table of every tenant's schema."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = _TYPES


class PlatformBase(CommonTableAttributes, DeclarativeBase):
    """A table of the platform's own schema."""

    metadata = MetaData(naming_convention=_NAMES)
    type_annotation_map = _TYPES


def sealed(row: str = "id", *, table: str = "") -> dict[str, Any]:
    """A column's `info` that says it holds what a home's data key sealed: for the row whose id stands in the column `row`, of `table` or its own."""
    return {"sealed": (row, table)}


def one_of(column: str, states: type[StrEnum]) -> CheckConstraint:
    """The CHECK that holds a text column to the words of an enum."""
    words = ", ".join(f"'{state.value}'" for state in states)
    return CheckConstraint(f"{column} in ({words})", name=f"{column}_known")


class TaskState(StrEnum):
    """`waiting` until due, `running` under a lease, `failed` when its tries are used up and a person must look. Done is deleted."""

    WAITING = "waiting"
    RUNNING = "running"
    FAILED = "failed"


class Task(HomeBase):
    """What must happen later, written in the transaction that wants it. The queue only rings."""

    __tablename__ = "task"
    __table_args__ = (
        one_of("state", TaskState),
        Index("ix_task_due", "lane", "run_at", postgresql_where=text("state = 'waiting'")),
        Index("ix_task_leased", "lease_until", postgresql_where=text("state = 'running'")),
        Index("uq_task_dedupe", "dedupe", unique=True),
        Index("ix_task_failed", "created_at", postgresql_where=text("state = 'failed'")),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    kind: Mapped[str]
    lane: Mapped[str]
    subject_id: Mapped[UUID | None]
    dedupe: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default=TaskState.WAITING)
    run_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(SmallInteger, server_default="0")
    lease_until: Mapped[datetime | None]
    lease_token: Mapped[UUID | None]
    last_error: Mapped[str | None]
    wanted_again: Mapped[bool] = mapped_column(server_default=false())
    """Asked for once more while it ran: it goes back to waiting when it is done."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AuditEntry(HomeBase):
    """One privileged act. Rows are only inserted, and each holds the hash of the one before it."""

    __tablename__ = "audit_entry"
    __table_args__ = (Index("ix_audit_entry_subject", "subject_kind", "subject_id"),)
    seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[str]
    action: Mapped[str]
    subject_kind: Mapped[str]
    subject_id: Mapped[UUID | None]
    reason: Mapped[str]
    facts: Mapped[dict[str, Any]]
    previous_hash: Mapped[bytes]
    hash: Mapped[bytes]


class History(HomeBase):
    """What happened to a thing, in the order it happened: each change of state and each note."""

    __tablename__ = "history"
    __table_args__ = (Index("ix_history_subject", "subject_id", "at"),)
    id: Mapped[UUID] = mapped_column(primary_key=True, default=new_id)
    subject_kind: Mapped[str]
    subject_id: Mapped[UUID]
    event: Mapped[str]
    from_state: Mapped[str | None]
    to_state: Mapped[str | None]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[str]
    note: Mapped[str] = mapped_column(server_default="")
    facts: Mapped[dict[str, Any]] = mapped_column(server_default="{}")
    at: Mapped[datetime] = mapped_column(server_default=func.now())


class RateCounter(HomeBase):
    """How often something was tried in a window. Unlogged: a crash forgets it, and that is all it costs."""

    __tablename__ = "rate_counter"
    __table_args__ = ({"prefixes": ["UNLOGGED"]},)
    key: Mapped[str] = mapped_column(primary_key=True)
    window_starts_at: Mapped[datetime]
    tries: Mapped[int]


class KeyPurpose(StrEnum):
    SEAL = "seal"
    INDEX = "index"
    LINK = "link"


class DataKey(HomeBase):
    """A key that seals this home's secrets, itself sealed by a key-encryption key that the database never sees."""

    __tablename__ = "data_key"
    __table_args__ = (one_of("purpose", KeyPurpose),)
    purpose: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    wrapped: Mapped[bytes]
    kek_name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    uses: Mapped[int] = mapped_column(server_default="0")
    """How many texts were sealed under it, counted in steps."""


class TimerRun(PlatformBase):
    """When a worker last did what is done by the clock: whoever moves the instant on does it, and no other worker."""

    __tablename__ = "timer_run"
    name: Mapped[str] = mapped_column(primary_key=True)
    ran_at: Mapped[datetime]
