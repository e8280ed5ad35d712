"""The gate of the addresses for machines: an access token of one tenant, with the scope the address names, so many requests a minute."""

from __future__ import annotations

from functools import cache
from typing import Any

import structlog
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.types import Guard

from app.access import credentials
from app.access.api_clients import Machine, machine_of
from app.access.guards import TenantClosed
from app.access.models import Scope
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import N_, DomainError
from app.kernel.rates import Limit, RateWindow
from tenants import routing
from tenants.directory import PLATFORM, Tenant, TenantState

PER_MINUTE = 600


class NotAuthorised(DomainError):
    status = 401
    message = N_("Send an access token that works, as Authorization: Bearer. Ask for one at /api/v1/token.")


class MissingScope(DomainError):
    status = 403
    message = N_("This key may not do that: it lacks the scope %(scope)s. The shop's owner can make one that has it.")


def machine(scope: Scope) -> Guard:
    """Only requests with a token of a tenant that is not closed, with this scope. Raises: NotAuthorised, MissingScope, TenantClosed, TooMany."""

    async def gate(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        state = connection.scope["state"]
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        tenant = await home_of(token, credentials.TOKEN) if kind.lower() == "bearer" else None
        found = await machine_of(tenant, token, address=state["address"]) if tenant else None
        if tenant is None or found is None:
            raise NotAuthorised
        if tenant.state is TenantState.CLOSED:
            raise TenantClosed
        if scope not in found.scopes:
            raise MissingScope(scope=scope.value)
        _window().count(tenant, str(found.client_id))
        state.update(tenant=tenant, machine=found, actor=Actor(ActorKind.MACHINE, found.client_id, found.name))
        structlog.contextvars.bind_contextvars(tenant=tenant.slug, client=str(found.client_id))

    return gate


async def home_of(credential: str, kind: str) -> Tenant | None:
    """The tenant a credential says it is of; None for what is none. The platform has no programs."""
    tenant_id = credentials.tenant_of(credential, kind)
    return await routing.by_id(tenant_id) if tenant_id and tenant_id != PLATFORM.id else None


def machine_in(connection: ASGIConnection[Any, Any, Any, Any]) -> Machine:
    """Whose request this is, as the gate found it."""
    found: Machine = connection.scope["state"]["machine"]
    return found


@cache
def _window() -> RateWindow:
    return RateWindow(Limit("api.client", PER_MINUTE, 60))
