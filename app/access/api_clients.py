"""API clients: machines that act for one tenant within their scopes. Secrets are shown once and kept as hashes; ending one is felt by its next request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from app.access import credentials
from app.access.models import Scope
from app.access.sessions import hash_of
from app.kernel import audit, clock
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

MOST_CLIENTS = 50
TOKEN_LIVES = timedelta(hours=1)
_USED_EVERY = timedelta(minutes=1)


class TooManyClients(DomainError):
    message = N_("At most %(most)s keys at a time. Revoke one that is not used any more.")


class ClientOver(DomainError):
    message = N_("This key was revoked, or its time is over. Make a new one.")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a merchant decides about a client."""

    name: str
    scopes: Sequence[Scope]
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """A client with a secret just made: the only time it is seen."""

    client_id: UUID
    client_key: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Proven:
    """A client that proved itself by a secret that works now."""

    client_id: UUID
    client_key: str
    scopes: tuple[Scope, ...]
    secrets: tuple[tuple[UUID, bytes], ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Machine:
    """Whose request an access token makes: of one tenant, within these scopes."""

    client_id: UUID
    name: str
    scopes: frozenset[Scope]


async def clients_of(tx: Tx) -> list[asyncpg.Record]:
    """A tenant's clients, those that work first, then the newest: with their scopes, secrets that work and when they were used last."""
    return await tx.fetch(_CLIENTS, clock.now())


async def create(tx: Tx, terms: Terms, *, actor: Actor) -> Issued:
    """A new client with its first secret. Locks: others who make one. Raises: TooManyClients."""
    await tx.execute("lock table api_client in share row exclusive mode")
    if await tx.fetchval(_WORKING, clock.now()) >= MOST_CLIENTS:
        raise TooManyClients(most=MOST_CLIENTS)
    client_id, client_key = new_id(), credentials.new_client_key(tx.tenant.id)
    scopes = " ".join(sorted(terms.scopes))
    await tx.execute(_NEW, client_id, client_key, terms.name, scopes, terms.expires_at, actor.name)
    secret = await _add_secret(tx, client_id)
    facts = {"name": terms.name, "client_key": client_key, "scopes": scopes}
    await audit.record(tx, actor, "api_client.created", subject=("api_client", client_id), facts=facts)
    return Issued(client_id, client_key, secret)


async def roll(tx: Tx, client_id: UUID, *, overlap: timedelta, actor: Actor) -> Issued:
    """A new secret; the ones before work for `overlap` longer, and their tokens with them. Locks: the client. Raises: NotFound, ClientOver."""
    row, at = await _lock(tx, client_id), clock.now()
    if row["revoked_at"] is not None or (row["expires_at"] and row["expires_at"] <= at):
        raise ClientOver
    await tx.execute(_END_SECRETS, client_id, at + overlap)
    secret = await _add_secret(tx, client_id)
    facts = {"name": row["name"], "overlap_s": int(overlap.total_seconds())}
    await audit.record(tx, actor, "api_client.rolled", subject=("api_client", client_id), facts=facts)
    return Issued(client_id, row["client_key"], secret)


async def revoke(tx: Tx, client_id: UUID, *, actor: Actor) -> None:
    """End a client: its secrets and tokens are dead at once. Idempotent. Locks: the client. Raises: NotFound."""
    row = await _lock(tx, client_id)
    if row["revoked_at"] is not None:
        return
    await tx.execute("update api_client set revoked_at = $2, updated_at = now() where id = $1", client_id, clock.now())
    await audit.record(tx, actor, "api_client.revoked", subject=("api_client", client_id), facts={"name": row["name"]})


async def _lock(tx: Tx, client_id: UUID) -> asyncpg.Record:
    row = await tx.fetchrow(_LOCK, client_id)
    if row is None:
        raise NotFound
    return row


async def _add_secret(tx: Tx, client_id: UUID) -> str:
    secret = credentials.new_secret(tx.tenant.id)
    await tx.execute(_SECRET, new_id(), client_id, hash_of(secret), secret[-4:])
    return secret


async def find_client(tx: Tx, client_key: str) -> Proven | None:
    """A client that works now, with the hashes of the secrets that do; None for any other."""
    rows = await tx.fetch(_BY_KEY, client_key, clock.now())
    if not rows:
        return None
    scopes = tuple(Scope(word) for word in rows[0]["scopes"].split())
    return Proven(rows[0]["id"], client_key, scopes, tuple((row["secret_id"], row["secret_hash"]) for row in rows))


async def keep_token(tx: Tx, token: str, *, secret_id: UUID, scopes: str) -> None:
    """Let a token work for an hour, or for as long as the secret it was given for. Old ones of the same secret are forgotten."""
    at = clock.now()
    await tx.execute("delete from api_token where secret_id = $1 and expires_at <= $2", secret_id, at)
    await tx.execute(_TOKEN, hash_of(token), secret_id, scopes, at + TOKEN_LIVES)


async def machine_of(tenant: Tenant, token: str, *, address: str) -> Machine | None:
    """Whose an access token is; None when it is unknown, over, or its client or secret is. Notes when and from where, once a minute."""
    at = clock.now()
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(_MACHINE, hash_of(token), at)
        if row is None:
            return None
        is_new = row["last_used_at"] is None or row["last_used_at"] < at - _USED_EVERY or row["last_used_address"] != address
        if is_new:
            await tx.execute(_USED, row["id"], at, address)
    return Machine(row["id"], row["name"], frozenset(Scope(word) for word in row["scopes"].split()))


_CLIENTS = """
select c.id, c.client_key, c.name, c.scopes, c.expires_at, c.revoked_at, c.created_by, c.created_at, c.last_used_at, c.last_used_address,
       c.revoked_at is null and (c.expires_at is null or c.expires_at > $1) as works,
       (select array_agg('…' || s.hint order by s.created_at desc) from api_secret s
        where s.client_id = c.id and (s.ends_at is null or s.ends_at > $1)) as hints,
       (select min(s.ends_at) from api_secret s where s.client_id = c.id and s.ends_at > $1) as overlap_ends_at
from api_client c
order by works desc, c.created_at desc
limit 200
"""
_WORKING = "select count(*) from api_client where revoked_at is null and (expires_at is null or expires_at > $1)"
_NEW = "insert into api_client (id, client_key, name, scopes, expires_at, created_by) values ($1, $2, $3, $4, $5, $6)"
_SECRET = "insert into api_secret (id, client_id, secret_hash, hint) values ($1, $2, $3, $4)"  # noqa: S105  # a statement
_END_SECRETS = "update api_secret set ends_at = least(ends_at, $2), updated_at = now() where client_id = $1"
_LOCK = "select id, client_key, name, revoked_at, expires_at from api_client where id = $1 for update"
_BY_KEY = """
select c.id, c.scopes, s.id as secret_id, s.secret_hash
from api_client c join api_secret s on s.client_id = c.id
where c.client_key = $1 and c.revoked_at is null and (c.expires_at is null or c.expires_at > $2) and (s.ends_at is null or s.ends_at > $2)
limit 20
"""
_TOKEN = "insert into api_token (token_hash, secret_id, scopes, expires_at) values ($1, $2, $3, $4)"  # noqa: S105
_MACHINE = """
select c.id, c.name, c.last_used_at, c.last_used_address, t.scopes
from api_token t join api_secret s on s.id = t.secret_id join api_client c on c.id = s.client_id
where t.token_hash = $1 and t.expires_at > $2 and c.revoked_at is null and (c.expires_at is null or c.expires_at > $2)
  and (s.ends_at is null or s.ends_at > $2)
"""
_USED = "update api_client set last_used_at = $2, last_used_address = $3 where id = $1"
