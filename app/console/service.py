"""Verbs of the platform's operators. Each stands in two audit chains, the platform's and the tenant's, or does not happen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from app.access import sessions
from app.access.sessions import Identity
from app.console import lookout
from app.kernel import audit, clock, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task
from tenants import operating, routing
from tenants.directory import PLATFORM, Tenant, TenantState
from tenants.session import Tx, tenant_tx

VIEW_LASTS = timedelta(minutes=30)


class TenantIsClosed(DomainError):
    message = N_("This business is closed for good. It can be neither suspended nor reopened.")


class TaskNotFailed(DomainError):
    message = N_("This task is not waiting for a person any more: it was done or put back meanwhile.")


@dataclass(frozen=True, slots=True)
class _Both:
    """The transactions of the platform and of one tenant, open together."""

    platform: Tx
    tenant: Tx


async def suspend(tenant: Tenant, *, reason: str, actor: Actor) -> Tenant:
    """Close a tenant's shops at once; its staff may still work. Idempotent. Locks: its directory row. Raises: TenantIsClosed."""
    return await _turn(tenant, TenantState.SUSPENDED, reason=reason, actor=actor)


async def reopen(tenant: Tenant, *, reason: str, actor: Actor) -> Tenant:
    """Let a suspended tenant's shops sell again. Idempotent. Locks: its directory row. Raises: TenantIsClosed."""
    return await _turn(tenant, TenantState.ACTIVE, reason=reason, actor=actor)


async def choose_pausing(tenant: Tenant, *, wanted: bool, actor: Actor) -> None:
    """Choose whether a tenant's sales stand still while a standing rule does not hold for it. Idempotent."""
    async with _both(tenant) as both:
        await operating.set_pauses_on_breach(both.platform, tenant, wanted=wanted)
        for tx in (both.tenant, both.platform):
            await audit.record(
                tx, actor, "tenant.pausing_chosen", subject=("tenant", tenant.id), facts={"pauses_on_breach": wanted}
            )


async def start_view(tenant: Tenant, identity: Identity, *, reason: str, actor: Actor) -> datetime:
    """Let an operator look at a tenant's pages, read-only; the instant it ends by itself. Starting again starts the time over."""
    until = clock.now() + VIEW_LASTS
    facts = {"operator": identity.email, "until": until.isoformat(timespec="seconds")}
    async with _both(tenant) as both:
        for tx in (both.tenant, both.platform):
            await audit.record(tx, actor, "tenant.view_started", subject=("tenant", tenant.id), reason=reason, facts=facts)
        await sessions.start_viewing(both.platform, identity.session_id, tenant_id=tenant.id, reason=reason, until=until)
    return until


async def end_view(identity: Identity, *, actor: Actor) -> Tenant | None:
    """Stop looking; the tenant that was looked at, if any. Idempotent."""
    tenant = await routing.by_id(identity.viewing_tenant_id) if identity.viewing_tenant_id else None
    if tenant is None:
        async with tenant_tx(PLATFORM) as tx:
            await sessions.end_viewing(tx, identity.session_id)
        return None
    async with _both(tenant) as both:
        for tx in (both.tenant, both.platform):
            await audit.record(tx, actor, "tenant.view_ended", subject=("tenant", tenant.id), facts={"operator": identity.email})
        await sessions.end_viewing(both.platform, identity.session_id)
    return tenant


async def retry_task(home: Tenant, task_id: UUID, *, actor: Actor) -> str:
    """Have a failed task tried again from its first try; its kind. Locks: its row. Raises: NotFound, TaskNotFailed."""
    async with _both(home) as both:
        row = await both.tenant.fetchrow("select kind, lane, subject_id, state from task where id = $1 for update", task_id)
        if row is None:
            raise NotFound
        if row["state"] != "failed":
            raise TaskNotFailed
        await add_task(both.tenant, row["kind"], lane=Lane(row["lane"]), subject_id=row["subject_id"])
        facts = {"kind": row["kind"], "about": str(row["subject_id"])}
        for tx in {both.tenant, both.platform}:
            await audit.record(tx, actor, "task.retried", subject=("task", task_id), facts={**facts, "home": home.slug})
    lookout.forget()
    return str(row["kind"])


async def _turn(tenant: Tenant, to: TenantState, *, reason: str, actor: Actor) -> Tenant:
    async with _both(tenant) as both:
        tx = both.platform
        before = TenantState(await tx.fetchval("select state from tenant where id = $1 for update", tenant.id))
        if before is TenantState.CLOSED:
            raise TenantIsClosed
        if before is to:
            return tenant
        turned = await operating.set_state(tx, tenant, to, reason=reason)
        facts = {"slug": tenant.slug, "from": before.value, "to": to.value}
        for home in (both.tenant, tx):
            await audit.record(home, actor, f"tenant.{to}", subject=("tenant", tenant.id), reason=reason, facts=facts)
        await history.record(tx, Happened("tenant", tenant.id, f"tenant.{to}", before, to, reason), actor=actor)
    return turned


@asynccontextmanager
async def _both(tenant: Tenant) -> AsyncIterator[_Both]:
    """Both transactions, the platform's committed first: a tenant's chain that cannot be written stops the act before it counts."""
    if tenant.id == PLATFORM.id:
        async with tenant_tx(PLATFORM) as tx:
            yield _Both(tx, tx)
        return
    async with tenant_tx(tenant) as inner, tenant_tx(PLATFORM) as outer:
        yield _Both(outer, inner)


async def tenant_or_404(tenant_id: UUID) -> Tenant:
    """The tenant an operator acts on. Raises: NotFound."""
    tenant = await routing.by_id(tenant_id)
    if tenant is None or tenant.id == PLATFORM.id:
        raise NotFound
    return tenant


async def home_or_404(home_id: UUID) -> Tenant:
    """A tenant, or the platform itself by its own id. Raises: NotFound."""
    home = await routing.by_id(home_id)
    if home is None:
        raise NotFound
    return home
