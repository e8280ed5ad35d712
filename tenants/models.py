"""The directory's tables, in the platform's schema, and the node-local bell."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKey, Index, MetaData, Text, Uuid, false, func, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tenants.directory import TenantState

_STATES = ", ".join(f"'{state}'" for state in TenantState)


class DirectoryBase(DeclarativeBase):
    """A table of the directory."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar = {UUID: Uuid(), datetime: DateTime(timezone=True), str: Text()}


class TenantRow(DirectoryBase):
    """One tenant, or a spare that waits for a sign-up. `revision` is what the migrator last left it at."""

    __tablename__ = "tenant"
    __table_args__ = (
        CheckConstraint(f"state in ({_STATES})", name="state_known"),
        CheckConstraint("(state = 'spare') = (slug is null)", name="spare_is_unnamed"),
        Index("ix_tenant_spare", "created_at", postgresql_where=text("state = 'spare'")),
        Index("ix_tenant_trial", "trial_ends_at", postgresql_where=text("trial_ends_at is not null")),
        Index("ix_tenant_name", text("lower(name)")),
    )
    id: Mapped[UUID] = mapped_column(primary_key=True)
    slug: Mapped[str | None] = mapped_column(unique=True)
    name: Mapped[str | None]
    state: Mapped[str]
    database: Mapped[str] = mapped_column(server_default="main")
    schema_name: Mapped[str] = mapped_column(unique=True)
    role_name: Mapped[str] = mapped_column(unique=True)
    revision: Mapped[str]
    state_reason: Mapped[str] = mapped_column(server_default="")
    opened_at: Mapped[datetime | None]
    pauses_on_breach: Mapped[bool] = mapped_column(server_default=false())
    """Whether its sales stop by themselves while a standing rule does not hold for it."""
    paused_since: Mapped[datetime | None]
    """A rule does not hold since then, and sales stand still."""
    reconciling_since: Mapped[datetime | None]
    """It was restored from a backup then, and nothing is sold or sent until its books were compared with the gateways'."""
    trial_ends_at: Mapped[datetime | None]
    """It is a trial, and deleted with all it holds from then on."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class TenantDomain(DirectoryBase):
    """A merchant's own domain. It leads to the shop once the DNS record with `token` was seen."""

    __tablename__ = "tenant_domain"
    host: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[UUID] = mapped_column(ForeignKey("tenant.id"), index=True)
    token: Mapped[str]
    verified_at: Mapped[datetime | None]
    served: Mapped[str] = mapped_column(server_default="")
    """What the last look at it found; empty before the first. What it found is said by who looks."""
    looked_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Bell(DirectoryBase):
    """Says that a home, by its schema, has work due in a lane. Losing one delays work until the sweep, and loses nothing."""

    __tablename__ = "bell"
    __table_args__ = (Index("ix_bell_due", "lane", "ring_at"), {"schema": "work"})
    home: Mapped[str] = mapped_column(primary_key=True)
    lane: Mapped[str] = mapped_column(primary_key=True)
    ring_at: Mapped[datetime] = mapped_column(primary_key=True)
