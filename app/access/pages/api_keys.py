"""API keys: the machines that may act for this business, within scopes; their secrets are shown once."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import AfterValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import api_clients
from app.access.api_clients import Issued, Terms
from app.access.guards import may, outside_trials
from app.access.models import Scope
from app.access.permissions import SCOPE_WORDS, Permission
from app.kernel import clock, links
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Form, Line, OptionalDay, RawForm, fail, invalid, parse
from app.kernel.web import NO_STORE, AnyRequest, page, see_other
from tenants.directory import Tenant
from tenants.session import Tx, raw

_PAGE = "access/api_keys.html"
OVERLAPS = {
    "0": (timedelta(0), N_("At once")),
    "3600": (timedelta(hours=1), N_("In an hour")),
    "86400": (timedelta(days=1), N_("In a day")),
    "604800": (timedelta(days=7), N_("In a week")),
}
"""When the secret before stops working."""
NO_SCOPE = N_("Choose at least one.")
NOT_A_SCOPE = N_("Choose one of the options.")
IN_THE_PAST = N_("Choose a day that is still to come.")


def _future(value: Any) -> Any:
    if value is not None and value <= clock.business_day():
        raise fail(IN_THE_PAST)
    return value


def _scopes(value: list[str]) -> list[str]:
    if not value:
        raise fail(NO_SCOPE)
    if not set(value) <= set(Scope):
        raise fail(NOT_A_SCOPE)
    return value


class ClientForm(Form):
    """A new key: what it is for, what it may do, and the first day it works no more."""

    name: Line
    scopes: Annotated[list[str], AfterValidator(_scopes)] = Field(default_factory=list, validate_default=True)
    expires_on: Annotated[OptionalDay, AfterValidator(_future)] = None


class RollForm(Form):
    overlap: str = "86400"


class ApiKeyPages(Controller):
    path = "/m/{tenant_slug:str}/settings/api-keys"
    guards = (may(Permission.API_EDIT),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        return page(request, _PAGE, **await _context(await raw(session), tenant))

    @post(guards=[outside_trials])
    async def create(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm
    ) -> Response[str]:
        """Make a key. This answer alone shows its secret. Raises: TooManyClients."""
        tx = await raw(session)
        form = parse(ClientForm, sent, retry=_PAGE, **await _context(tx, tenant))
        ends = datetime.combine(form.expires_on, time(), clock.BUSINESS_ZONE) if form.expires_on else None
        terms = Terms(form.name, [Scope(word) for word in dict.fromkeys(form.scopes)], ends)
        return await _shown(request, tx, tenant, await api_clients.create(tx, terms, actor=actor))

    @post("/{client_id:uuid}/secrets")
    async def roll(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        client_id: FromPath[UUID],
    ) -> Response[str]:
        """Make a new secret; the one before works on for the time chosen. Raises: NotFound, ClientOver."""
        tx = await raw(session)
        form = parse(RollForm, sent)
        if form.overlap not in OVERLAPS:
            raise invalid(sent, {"overlap": NOT_A_SCOPE}, retry=_PAGE, **await _context(tx, tenant))
        issued = await api_clients.roll(tx, client_id, overlap=OVERLAPS[form.overlap][0], actor=actor)
        return await _shown(request, tx, tenant, issued)

    @post("/{client_id:uuid}/revocation")
    async def revoke(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, client_id: FromPath[UUID]
    ) -> Response[None]:
        """End a key at once. Raises: NotFound."""
        await api_clients.revoke(await raw(session), client_id, actor=actor)
        return see_other(request, f"/m/{tenant.slug}/settings/api-keys", flash=N_("Revoked. It works no more, from this moment."))


async def _shown(request: AnyRequest, tx: Tx, tenant: Tenant, issued: Issued) -> Response[str]:
    return page(request, _PAGE, headers=NO_STORE, **{**await _context(tx, tenant), "issued": issued})


async def _context(tx: Tx, tenant: Tenant) -> dict[str, Any]:
    return {
        "home": f"/m/{tenant.slug}",
        "tab": "api",
        "clients": await api_clients.clients_of(tx),
        "scope_words": {scope.value: SCOPE_WORDS[scope] for scope in Scope},
        "overlaps": OVERLAPS,
        "issued": None,
        "token_url": links.app("/api/v1/token"),
        "description_url": links.app("/api/v1/openapi.json"),
    }
