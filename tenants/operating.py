"""Changing the directory: states and domains of tenants. Every change is told to all processes when it commits."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from tenants import routing
from tenants.directory import COLUMNS, Tenant, TenantState, tenant_of
from tenants.session import Tx


class DomainTaken(RuntimeError):
    """Another tenant has verified this domain."""


async def set_state(tx: Tx, tenant: Tenant, state: TenantState, *, reason: str) -> Tenant:
    """Suspend, reopen or close a tenant. Idempotent."""
    row = await tx.fetchrow(
        f"update tenant set state = $2, state_reason = $3 where id = $1 returning {COLUMNS}", tenant.id, state, reason
    )
    assert row is not None
    await _tell(tx)
    return tenant_of(row)


async def set_paused(tx: Tx, tenant: Tenant, *, is_paused: bool) -> bool:
    """Stop or start the sales of a tenant that wants to be stopped when a rule does not hold; whether that changed anything. Idempotent."""
    changed = bool(await tx.fetchval(_PAUSE, tenant.id, is_paused))
    if changed:
        await _tell(tx)
    return changed


async def set_reconciled(tx: Tx, tenant: Tenant) -> None:
    """Let a tenant that was restored sell and send again. Idempotent."""
    await tx.execute("update tenant set reconciling_since = null where id = $1", tenant.id)
    await _tell(tx)


async def set_pauses_on_breach(tx: Tx, tenant: Tenant, *, wanted: bool) -> None:
    """Choose whether a tenant's sales stand still while a rule does not hold. Idempotent; no longer wanted, they go on at the next look."""
    await tx.execute("update tenant set pauses_on_breach = $2 where id = $1", tenant.id, wanted)


async def rename(tx: Tx, tenant: Tenant, *, name: str) -> None:
    """Give a tenant another display name."""
    await tx.execute("update tenant set name = $2 where id = $1", tenant.id, name)
    await _tell(tx)


async def claim_domain(tx: Tx, tenant: Tenant, *, host: str, token: str) -> None:
    """Note that a tenant wants a domain; it leads nowhere until it is verified. A claim nobody verified passes to the next claimant.

    Raises: DomainTaken.
    """
    claimed = await tx.execute(_CLAIM_DOMAIN, host, tenant.id, token)
    if not claimed:
        raise DomainTaken(host)
    await _tell(tx)


async def verify_domain(tx: Tx, tenant: Tenant, *, host: str) -> None:
    """The domain's DNS record was seen: it leads to the tenant's shop from now on. Idempotent."""
    await tx.execute(
        "update tenant_domain set verified_at = coalesce(verified_at, now()) where host = $1 and tenant_id = $2", host, tenant.id
    )
    await _tell(tx)


async def note_look(tx: Tx, tenant: Tenant, *, host: str, served: str) -> None:
    """Write down what a look at a tenant's domain found. Idempotent but for its time."""
    await tx.execute(
        "update tenant_domain set served = $3, looked_at = now() where host = $1 and tenant_id = $2", host, tenant.id, served
    )


async def drop_domain(tx: Tx, tenant: Tenant, *, host: str) -> None:
    """Give a domain up. Idempotent."""
    await tx.execute("delete from tenant_domain where host = $1 and tenant_id = $2", host, tenant.id)
    await _tell(tx)


async def domains_of(tx: Tx, tenant_id: UUID) -> list[asyncpg.Record]:
    """A tenant's own domains: host, token, verified_at, served, looked_at."""
    return await tx.fetch(_DOMAINS, tenant_id)


async def _tell(tx: Tx) -> None:
    await tx.execute(routing.NOTIFY)
    tx.after_commit(routing.forget)


_PAUSE = """
update tenant set paused_since = case when $2 then now() end
where id = $1 and (paused_since is not null) <> $2 and (pauses_on_breach or not $2)
returning true
"""
_DOMAINS = "select host, token, verified_at, served, looked_at from tenant_domain where tenant_id = $1 order by host"
_CLAIM_DOMAIN = """
insert into tenant_domain (host, tenant_id, token)
values ($1, $2, $3)
on conflict (host) do update
set tenant_id = excluded.tenant_id,
    token = case when tenant_domain.tenant_id = excluded.tenant_id then tenant_domain.token else excluded.token end
where tenant_domain.verified_at is null or tenant_domain.tenant_id = excluded.tenant_id
"""
