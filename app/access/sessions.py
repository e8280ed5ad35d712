"""Log-ins of staff: a random token in a `__Host-` cookie, its SHA-256 in a row. A token that has no row is nobody's.

Tokens are new at log-in, at the second factor, at a change of password or role; the old row is deleted, so the old cookie is dead everywhere.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from app.access.models import MemberRole
from app.kernel import clock
from app.kernel.ids import new_id
from tenants.directory import PLATFORM
from tenants.session import Tx, tenant_tx

LIVES = timedelta(days=14)
IDLE = timedelta(hours=12)
_SEEN_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a valid session belongs to. `viewing_tenant_id` is set while an operator looks at a merchant's pages, and no longer than `viewing_until`."""

    session_id: UUID
    user_id: UUID
    name: str
    email: str
    is_operator: bool
    is_email_verified: bool
    has_second_factor: bool
    is_second_factor_due: bool
    viewing_tenant_id: UUID | None
    viewing_reason: str
    viewing_until: datetime | None


@dataclass(frozen=True, slots=True)
class Browser:
    """Where a session is used, for the list of sessions."""

    address: str
    agent: str


async def open_session(tx: Tx, *, user_id: UUID, browser: Browser, is_second_factor_due: bool = False) -> str:
    """A new session's token, to be set as the staff cookie. Only its hash is stored."""
    token, at = secrets.token_urlsafe(32), clock.now()
    await tx.execute(
        _OPEN, new_id(), hash_of(token), user_id, is_second_factor_due, browser.address, browser.agent[:300], at, at + LIVES
    )
    return token


async def find(token: str) -> Identity | None:
    """Whose session a token is; None when it is unknown, over, idle too long, or its user is gone."""
    at = clock.now()
    async with tenant_tx(PLATFORM) as tx:
        row = await tx.fetchrow(_FIND, hash_of(token), at, at - IDLE)
        if row is None:
            return None
        if row["seen_at"] < at - _SEEN_EVERY:
            await tx.execute("update user_session set seen_at = $2 where id = $1", row["session_id"], at)
    return _identity(row)


async def end(tx: Tx, token: str) -> None:
    """Log out: the token is dead at once. Idempotent."""
    await tx.execute("delete from user_session where token_hash = $1", hash_of(token))


async def end_all(tx: Tx, user_id: UUID, *, but: UUID | None = None) -> int:
    """End a user's sessions, all but one if named; how many ended."""
    return await tx.execute("delete from user_session where user_id = $1 and id is distinct from $2", user_id, but)


async def start_viewing(tx: Tx, session_id: UUID, *, tenant_id: UUID, reason: str, until: datetime) -> None:
    """Let an operator's session look at one tenant's pages, read-only, for a bounded time. The caller writes the audit entries."""
    await tx.execute(
        "update user_session set viewing_tenant_id = $2, viewing_reason = $3, viewing_until = $4 where id = $1",
        session_id,
        tenant_id,
        reason,
        until,
    )


async def end_viewing(tx: Tx, session_id: UUID) -> None:
    """Stop looking. Idempotent."""
    await tx.execute(
        "update user_session set viewing_tenant_id = null, viewing_reason = '', viewing_until = null where id = $1", session_id
    )


async def end_one(tx: Tx, user_id: UUID, session_id: UUID) -> None:
    """End one of a user's own sessions. Idempotent; somebody else's is left alone, as one that never was."""
    await tx.execute("delete from user_session where id = $1 and user_id = $2", session_id, user_id)


async def of_user(tx: Tx, user_id: UUID) -> list[asyncpg.Record]:
    """A user's live sessions, the last used first, at most 50: id, address, agent, seen_at, created_at."""
    at = clock.now()
    return await tx.fetch(_OF_USER, user_id, at, at - IDLE)


async def role_of(tx: Tx, user_id: UUID, tenant_id: UUID) -> MemberRole | None:
    """A user's role in a tenant; None for a stranger or a former member."""
    role = await tx.fetchval(
        "select role from membership where user_id = $1 and tenant_id = $2 and ended_at is null", user_id, tenant_id
    )
    return MemberRole(role) if role else None


def hash_of(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode()).digest()


def _identity(row: asyncpg.Record) -> Identity:
    return Identity(
        session_id=row["session_id"],
        user_id=row["user_id"],
        name=row["name"],
        email=row["email"],
        is_operator=row["is_operator"],
        is_email_verified=row["email_verified_at"] is not None,
        has_second_factor=row["totp_confirmed_at"] is not None,
        is_second_factor_due=row["is_second_factor_due"],
        viewing_tenant_id=row["viewing_tenant_id"],
        viewing_reason=row["viewing_reason"],
        viewing_until=row["viewing_until"],
    )


_OPEN = """
insert into user_session (id, token_hash, user_id, is_second_factor_due, address, agent, seen_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_FIND = """
select s.id as session_id, s.user_id, s.is_second_factor_due, s.viewing_reason, s.viewing_until, s.seen_at,
       case when s.viewing_until > $2 then s.viewing_tenant_id end as viewing_tenant_id,
       u.name, u.email, u.is_operator, u.email_verified_at, u.totp_confirmed_at
from user_session s join app_user u on u.id = s.user_id
where s.token_hash = $1 and s.expires_at > $2 and s.seen_at > $3
"""
_OF_USER = """
select id, address, agent, seen_at, created_at from user_session
where user_id = $1 and expires_at > $2 and seen_at > $3 and not is_second_factor_due
order by seen_at desc
limit 50
"""
