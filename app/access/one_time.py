"""Links in mails that work once: to confirm an address, to choose a new password, to join a team. Only the hash of a link's token is kept."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from app.access.models import LinkPurpose, MemberRole
from app.access.sessions import hash_of
from app.kernel import clock
from app.kernel.errors import N_, DomainError
from app.kernel.ids import new_id
from tenants.session import Tx

LIVES = {
    LinkPurpose.VERIFY_EMAIL: timedelta(hours=24),
    LinkPurpose.RESET_PASSWORD: timedelta(minutes=30),
    LinkPurpose.INVITATION: timedelta(days=7),
}


class LinkOver(DomainError):
    """Unknown, used, replaced by a newer one, or too old: all the same to whoever holds it."""

    status = 410
    message = N_("This link has been used already or is too old. Ask for a new one.")


@dataclass(frozen=True, slots=True)
class Link:
    """What a live link stands for."""

    id: UUID
    email: str
    user_id: UUID | None
    tenant_id: UUID | None
    role: MemberRole | None
    invited_by: str


async def make(tx: Tx, purpose: LinkPurpose, link: Link) -> str:
    """A new link's token; earlier ones for the same person and purpose (and team) die."""
    await tx.execute(_REPLACE, purpose, link.email, link.tenant_id if purpose is LinkPurpose.INVITATION else None)
    token = secrets.token_urlsafe(32)
    await tx.execute(
        _MAKE, link.id, hash_of(token), purpose, link.email, link.user_id, link.tenant_id, link.role, link.invited_by,
        clock.now() + LIVES[purpose],
    )  # fmt: skip
    return token


def to(
    email: str,
    *,
    user_id: UUID | None = None,
    tenant_id: UUID | None = None,
    role: MemberRole | None = None,
    invited_by: str = "",
) -> Link:
    """What a link to be made shall stand for."""
    return Link(new_id(), email, user_id, tenant_id, role, invited_by)


async def look(tx: Tx, purpose: LinkPurpose, token: str) -> Link:
    """What a link stands for, without using it: mail scanners open links too. Raises: LinkOver."""
    return _link(await tx.fetchrow(_LOOK, hash_of(token), purpose, clock.now()))


async def use(tx: Tx, purpose: LinkPurpose, token: str) -> Link:
    """Use a link up. Of several at once exactly one succeeds. Locks: its row. Raises: LinkOver."""
    return _link(await tx.fetchrow(_USE, hash_of(token), purpose, clock.now()))


def _link(row: asyncpg.Record | None) -> Link:
    if row is None:
        raise LinkOver
    role = MemberRole(row["role"]) if row["role"] else None
    return Link(row["id"], row["email"], row["user_id"], row["tenant_id"], role, row["invited_by"])


_REPLACE = """
update one_time_link set expires_at = now()
where purpose = $1 and email = $2 and used_at is null and expires_at > now() and ($3::uuid is null or tenant_id = $3)
"""
_MAKE = """
insert into one_time_link (id, token_hash, purpose, email, user_id, tenant_id, role, invited_by, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_LOOK = """
select id, email, user_id, tenant_id, role, invited_by from one_time_link
where token_hash = $1 and purpose = $2 and used_at is null and expires_at > $3
"""
_USE = """
update one_time_link set used_at = $3
where token_hash = $1 and purpose = $2 and used_at is null and expires_at > $3
returning id, email, user_id, tenant_id, role, invited_by
"""
