"""The audit chain of a home: one entry per privileged act, in the act's own transaction, each holding the hash of the one before.

If the entry cannot be written, the act does not happen. The application role may insert and read entries, not change or delete them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.history import facts_of
from tenants.session import Tx, raw

GENESIS = b"\0" * 32
_CHAIN_LOCK = 0x51594144  # any constant: the lock is per schema through the second key


async def record(
    on: AsyncSession | Tx,
    actor: Actor,
    action: str,
    *,
    subject: tuple[str, UUID | None],
    reason: str = "",
    facts: Mapping[str, Any] | None = None,
) -> None:
    """Append one entry. Facts name ids, numbers and amounts; secrets and personal data stay out.

    Locks: the home's chain until the transaction ends, so entries are strictly in order.
    """
    tx = await raw(on)
    await tx.execute("select pg_advisory_xact_lock($1, hashtext($2))", _CHAIN_LOCK, tx.tenant.schema)
    last = await tx.fetchrow("select seq, hash from audit_entry order by seq desc limit 1")
    seq, previous = (last["seq"] + 1, last["hash"]) if last else (1, GENESIS)
    at = clock.now()
    entry = [seq, at, actor.kind.value, actor.id, actor.name, action, subject[0], subject[1], reason, dict(facts or {})]
    digest = chain_hash(previous, entry)
    await tx.execute(_INSERT, *entry[:9], json.dumps(entry[9]), previous, digest)


def chain_hash(previous: bytes, entry: list[Any]) -> bytes:
    """SHA-256 over the previous hash and the entry as canonical JSON (sorted keys, no spaces, instants in ISO 8601 UTC)."""
    canonical = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_plain)
    return hashlib.sha256(previous + canonical.encode()).digest()


@dataclass(frozen=True, slots=True)
class Proven:
    """How far a chain was found to hold: its entry `seq`, whose hash is `hash`."""

    seq: int = 0
    hash: bytes = GENESIS


WHOLE = Proven()


async def first_broken(on: AsyncSession | Tx) -> int | None:
    """The `seq` of the first entry that does not fit its chain, or None when the whole chain holds."""
    return (await prove(on, WHOLE))[1]


async def prove(on: AsyncSession | Tx, start: Proven) -> tuple[Proven, int | None]:
    """Follow a chain from where it was found to hold before: how far it holds now, and the `seq` of the first entry that does not fit, if any.

    Where the entry at the start is no longer what it was, the chain is followed from its first entry.
    """
    tx = await raw(on)
    if start.seq and await tx.fetchval("select hash from audit_entry where seq = $1", start.seq) != start.hash:
        start = WHOLE
    async for row in _all(tx, start.seq):
        entry = [row[name] for name in _HASHED]
        fits = row["seq"] == start.seq + 1 and row["previous_hash"] == start.hash
        if not fits or row["hash"] != chain_hash(start.hash, [*entry, facts_of(row)]):
            return start, int(row["seq"])
        start = Proven(row["seq"], row["hash"])
    return start, None


async def _all(tx: Tx, after: int) -> Any:
    while rows := await tx.fetch(_CHAIN, after):
        for row in rows:
            yield row
        after = rows[-1]["seq"]


async def search(
    on: AsyncSession | Tx, *, action: str = "", actor: str = "", before_seq: int | None = None, limit: int = 50
) -> list[asyncpg.Record]:
    """Entries, newest first, by the start of an action's name and a part of an actor's."""
    tx = await raw(on)
    return await tx.fetch(_SEARCH, action, actor, before_seq, limit)


def _plain(value: object) -> str:
    isoformat = getattr(value, "isoformat", None)
    return str(isoformat() if isoformat else value)


_HASHED = ("seq", "at", "actor_kind", "actor_id", "actor_name", "action", "subject_kind", "subject_id", "reason")
_CHAIN = """
select seq, at, actor_kind, actor_id, actor_name, action, subject_kind, subject_id, reason, facts, previous_hash, hash
from audit_entry
where seq > $1
order by seq
limit 1000
"""
_INSERT = """
insert into audit_entry
  (seq, at, actor_kind, actor_id, actor_name, action, subject_kind, subject_id, reason, facts, previous_hash, hash)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::jsonb, $11, $12)
"""
_SEARCH = """
select seq, at, actor_kind, actor_name, action, subject_kind, subject_id, reason, facts
from audit_entry
where starts_with(action, $1)
  and position(lower($2) in lower(actor_name)) > 0
  and ($3::bigint is null or seq < $3)
order by seq desc
limit $4
"""
