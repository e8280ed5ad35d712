"""Tables of people and their sessions, which belong to the platform, for a person may work for several tenants; and of a tenant's API clients, which are its own."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, SmallInteger, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from app.kernel.models import PlatformBase, Row, TenantBase, one_of, sealed


class MemberRole(StrEnum):
    """What a member is for; the permissions of each are in `app.access.permissions`."""

    OWNER = "owner"
    OPERATOR = "operator"
    FINANCE_MAKER = "finance_maker"
    FINANCE_CHECKER = "finance_checker"
    SUPPORT = "support"
    READ_ONLY = "read_only"


class Scope(StrEnum):
    """What an API client may be allowed."""

    REDEMPTIONS_READ = "redemptions:read"
    REDEMPTIONS_WRITE = "redemptions:write"


class LinkPurpose(StrEnum):
    """What a one-time link from a mail may do."""

    VERIFY_EMAIL = "verify_email"
    RESET_PASSWORD = "reset_password"  # noqa: S105  # a purpose, not a password
    INVITATION = "invitation"


class User(Row, PlatformBase):
    """A person with a log-in. `email` is lower case and unique; `totp_last_step` refuses a second use of one code."""

    __tablename__ = "app_user"
    email: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    password_hash: Mapped[str]
    email_verified_at: Mapped[datetime | None]
    totp_secret: Mapped[bytes | None] = mapped_column(LargeBinary, info=sealed())
    totp_confirmed_at: Mapped[datetime | None]
    totp_last_step: Mapped[int | None]
    is_operator: Mapped[bool] = mapped_column(server_default="false")
    locale: Mapped[str] = mapped_column(server_default="zh_CN")


class Membership(Row, PlatformBase):
    """One person's place in one tenant."""

    __tablename__ = "membership"
    __table_args__ = (
        UniqueConstraint("tenant_id", "user_id"),
        one_of("role", MemberRole),
        Index("ix_membership_user", "user_id"),
    )
    tenant_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("app_user.id"))
    role: Mapped[str]
    ended_at: Mapped[datetime | None]


class UserSession(Row, PlatformBase):
    """One log-in on one browser. Only the SHA-256 of the cookie's token is kept; a row that is not here is no session."""

    __tablename__ = "user_session"
    __table_args__ = (Index("ix_user_session_user", "user_id"), Index("ix_user_session_expires", "expires_at"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("app_user.id"))
    is_second_factor_due: Mapped[bool] = mapped_column(server_default="false")
    viewing_tenant_id: Mapped[UUID | None]
    """Set while an operator looks at a tenant as its merchant, read-only."""
    viewing_reason: Mapped[str] = mapped_column(server_default="")
    viewing_until: Mapped[datetime | None]
    """When the look ends by itself."""
    address: Mapped[str]
    agent: Mapped[str]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]


class OneTimeLink(Row, PlatformBase):
    """A link in a mail that works once. Only the SHA-256 of its token is kept."""

    __tablename__ = "one_time_link"
    __table_args__ = (one_of("purpose", LinkPurpose), Index("ix_one_time_link_email", "email"))
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    purpose: Mapped[str]
    email: Mapped[str]
    user_id: Mapped[UUID | None]
    tenant_id: Mapped[UUID | None]
    role: Mapped[str | None]
    invited_by: Mapped[str] = mapped_column(server_default="")
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class RecoveryCode(Row, PlatformBase):
    """One of ten codes that stand in for the second factor, once each. Only its hash is kept."""

    __tablename__ = "recovery_code"
    __table_args__ = (Index("ix_recovery_code_user", "user_id", postgresql_where=text("used_at is null")),)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("app_user.id"))
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    used_at: Mapped[datetime | None]
    position: Mapped[int] = mapped_column(SmallInteger)


class ApiClient(Row, TenantBase):
    """A program that acts for its tenant. `scopes` are parted by blanks; once revoked or over it is nobody."""

    __tablename__ = "api_client"
    client_key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    scopes: Mapped[str]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    created_by: Mapped[str]
    last_used_at: Mapped[datetime | None]
    last_used_address: Mapped[str] = mapped_column(server_default="")


class ApiSecret(Row, TenantBase):
    """A client's secret: its SHA-256 and its last signs. One that was replaced works until `ends_at`, and its tokens too."""

    __tablename__ = "api_secret"
    client_id: Mapped[UUID] = mapped_column(ForeignKey("api_client.id"), index=True)
    secret_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    hint: Mapped[str]
    ends_at: Mapped[datetime | None]


class ApiToken(TenantBase):
    """An access token, by its SHA-256."""

    __tablename__ = "api_token"
    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    secret_id: Mapped[UUID] = mapped_column(ForeignKey("api_secret.id"), index=True)
    scopes: Mapped[str]
    expires_at: Mapped[datetime]


class ApiAnswer(TenantBase):
    """What a request was answered, under the key its client gave it. `sent` is the SHA-256 of what was asked; no answer while it is being worked out."""

    __tablename__ = "api_answer"
    __table_args__ = (Index("ix_api_answer_created", "created_at"),)
    client_id: Mapped[UUID] = mapped_column(ForeignKey("api_client.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    sent: Mapped[bytes] = mapped_column(LargeBinary)
    status: Mapped[int | None] = mapped_column(SmallInteger)
    answer: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))
