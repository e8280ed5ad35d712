"""Browsers whose buyer proved a contact: a random token in a `__Host-` cookie, its SHA-256 in a row. Each proof makes a new token."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

from app.kernel import clock
from app.kernel.ids import new_id
from tenants.session import Tx

SHORT = timedelta(minutes=30)
LONG = timedelta(days=30)
"""For a browser its owner said is his own."""


@dataclass(frozen=True, slots=True)
class Buyer:
    """Who a valid session belongs to."""

    customer_id: UUID
    contact_kind: str
    contact_masked: str
    contact_fingerprint: bytes
    level_id: UUID | None = None


async def open_session(tx: Tx, customer_id: UUID, *, lives: timedelta, instead_of: str = "") -> str:
    """A new session's token; the one it replaces is dead from now on."""
    await end(tx, instead_of)
    token = secrets.token_urlsafe(32)
    await tx.execute(
        "insert into buyer_session (id, token_hash, customer_id, expires_at) values ($1, $2, $3, $4)",
        new_id(), _hash_of(token), customer_id, clock.now() + lives,
    )  # fmt: skip
    return token


async def find(tx: Tx, token: str) -> Buyer | None:
    """Whose session a token is; None when it is unknown or over."""
    row = await tx.fetchrow(_FIND, _hash_of(token), clock.now()) if token else None
    return (
        Buyer(row["id"], row["contact_kind"], row["contact_masked"], row["contact_fingerprint"], row["level_id"]) if row else None
    )


async def end(tx: Tx, token: str) -> None:
    """Log out: the token is dead at once. Idempotent."""
    if token:
        await tx.execute("delete from buyer_session where token_hash = $1", _hash_of(token))


async def forget_ended(tx: Tx) -> int:
    """Delete sessions that are over; the number deleted."""
    return await tx.execute("delete from buyer_session where expires_at < $1", clock.now())


def _hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


_FIND = """
select c.id, c.contact_kind, c.contact_masked, c.contact_fingerprint, c.level_id
from buyer_session s join customer c on c.id = s.customer_id
where s.token_hash = $1 and s.expires_at > $2
"""
