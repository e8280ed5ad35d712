"""The gates of the staff's pages. Each fails closed: no session, no tenant, no membership or no right, no page."""

from __future__ import annotations

from typing import Any

import structlog
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from app.access import accounts, sessions
from app.access.models import MemberRole
from app.access.permissions import Permission, allows
from app.access.sessions import Identity
from app.access.shell import Asked, Membership, merchant_shell, personal_shell
from app.integrations import alerts
from app.kernel import audit
from app.kernel.actor import Actor, ActorKind
from app.kernel.csrf import STAFF_COOKIE
from app.kernel.errors import N_, DomainError, Forbidden, NotFound
from tenants import routing
from tenants.directory import PLATFORM, Tenant, TenantState
from tenants.session import tenant_tx

Connection = ASGIConnection[Any, Any, Any, Any]


class LogInFirst(DomainError):
    """Answered with the log-in page, which leads back here."""

    status = 401
    message = N_("Log in to open this page.")


class VerifyFirst(DomainError):
    """Answered with the page that waits for the verification mail."""

    status = 403
    message = N_("Confirm your e-mail address first: we sent you a link.")


class SecondFactorFirst(DomainError):
    """Answered with a page that leads to turning it on."""

    status = 403
    message = N_("The operator's console opens only to those who have a second factor. Turn yours on under Security first.")


class ReadOnlyView(DomainError):
    status = 403
    message = N_("You are looking at this merchant as an operator: pages can be read, nothing can be changed.")


class NotInTrial(DomainError):
    status = 403
    message = N_("A trial shop reaches nobody outside. Open a shop of your own for this; it costs nothing.")


class TenantClosed(DomainError):
    status = 403
    message = N_("This business is closed.")


async def identify(connection: Connection) -> Identity | None:
    """Whose session this request has, looked up once per request."""
    state = connection.scope["state"]
    if "identity" not in state:
        token = connection.cookies.get(STAFF_COOKIE)
        state["identity"] = await sessions.find(token) if token and not state["is_shop"] else None
    identity: Identity | None = state["identity"]
    return identity


def may_do(connection: Connection, permission: Permission) -> bool:
    """Whether the caller's role includes a right, for what a page offers; the guard of the route is what holds. An operator only looks."""
    role = connection.scope["state"].get("role")
    return role is not None and allows(role, permission)


def may(permission: Permission) -> Guard:
    """Only members of the path's tenant whose role includes the right; operators who view it, read-only."""

    async def gate(connection: Connection, handler: BaseRouteHandler) -> None:
        role = await _enter_tenant(connection)
        if role is None:
            if connection.scope["method"] not in ("GET", "HEAD"):  # type: ignore[typeddict-item]
                raise ReadOnlyView
            if permission is Permission.ORDERS_REVEAL:
                raise ReadOnlyView
        elif not allows(role, permission):
            raise Forbidden

    gate.permission = permission  # type: ignore[attr-defined]  # the route inventory reads it
    return gate


async def outside_trials(connection: Connection, handler: BaseRouteHandler) -> None:
    """What calls, writes to or invites somebody outside: no trial does. Stands behind `may`. Raises: NotInTrial."""
    if connection.scope["state"]["tenant"].trial_ends_at is not None:
        raise NotInTrial


async def logged_in(connection: Connection, handler: BaseRouteHandler) -> None:
    """Anybody with a complete log-in, of no tenant in particular. Raises: LogInFirst."""
    identity = await identify(connection)
    if identity is None or identity.is_second_factor_due:
        raise LogInFirst
    connection.scope["state"]["actor"] = Actor(ActorKind.STAFF, identity.user_id, identity.name)
    asked = Asked(connection.scope["path"], identity, await _memberships(identity))
    connection.scope["state"]["shell"] = personal_shell(asked)


async def operator(connection: Connection, handler: BaseRouteHandler) -> None:
    """The platform's own people, who have a second factor. To others the console is not there.

    Raises: LogInFirst, NotFound, SecondFactorFirst.
    """
    await logged_in(connection, handler)
    identity = await identify(connection)
    assert identity is not None
    if not identity.is_operator:
        raise NotFound
    if not identity.has_second_factor:
        raise SecondFactorFirst
    state = connection.scope["state"]
    state["actor"] = Actor(ActorKind.OPERATOR, identity.user_id, identity.name)
    state["tenant"] = PLATFORM


async def _enter_tenant(connection: Connection) -> MemberRole | None:
    """Find the path's tenant and the caller's role in it, and put both into the request. None for an operator who views it.

    Raises: LogInFirst; NotFound for a tenant that is not his, as for one that never was; VerifyFirst; TenantClosed.
    """
    identity = await identify(connection)
    if identity is None or identity.is_second_factor_due:
        raise LogInFirst
    tenant = await routing.by_slug(str(connection.path_params["tenant_slug"]))
    if tenant is None:
        raise NotFound
    memberships = await _memberships(identity)
    role = next((m.role for m in memberships if m.slug == tenant.slug), None)
    if role is None:  # a closed tenant is not in the list, and a member may still be told that it is closed
        async with tenant_tx(PLATFORM) as tx:
            role = await sessions.role_of(tx, identity.user_id, tenant.id)
    is_viewing = role is None and identity.is_operator and identity.has_second_factor and identity.viewing_tenant_id == tenant.id
    if role is None and not is_viewing:
        raise NotFound
    if not identity.is_email_verified:
        raise VerifyFirst
    if tenant.state is TenantState.CLOSED and not is_viewing:
        raise TenantClosed
    state = connection.scope["state"]
    state.update(
        tenant=tenant,
        role=role,
        actor=Actor(ActorKind.OPERATOR if is_viewing else ActorKind.STAFF, identity.user_id, identity.name),
        shell=merchant_shell(
            Asked(connection.scope["path"], identity, memberships, role, await _unread(connection, tenant, identity)), tenant
        ),
    )
    structlog.contextvars.bind_contextvars(tenant=tenant.slug, user=str(identity.user_id))
    if is_viewing:
        await _record_view(connection, tenant, identity)
    return role


async def _unread(connection: Connection, tenant: Tenant, identity: Identity) -> int:
    """How many alerts wait for him: looked up for whole pages alone."""
    if connection.scope["method"] != "GET" or connection.headers.get("hx-request-type") == "partial":  # type: ignore[typeddict-item]
        return 0
    async with tenant_tx(tenant) as tx:
        return await alerts.unread(tx, identity.user_id)


async def _memberships(identity: Identity) -> list[Membership]:
    async with tenant_tx(PLATFORM) as tx:
        rows = await accounts.places_of(tx, identity.user_id)
    return [Membership(row["slug"], row["name"], MemberRole(row["role"])) for row in rows]


async def _record_view(connection: Connection, tenant: Tenant, identity: Identity) -> None:
    """Each page an operator opens as a merchant is in both audit chains, with both names."""
    actor = Actor(ActorKind.OPERATOR, identity.user_id, identity.name)
    facts = {"path": connection.scope["path"], "tenant": tenant.slug, "operator": identity.email}
    for home in (tenant, PLATFORM):
        async with tenant_tx(home) as tx:
            await audit.record(
                tx, actor, "tenant.viewed", subject=("tenant", tenant.id), reason=identity.viewing_reason, facts=facts
            )
