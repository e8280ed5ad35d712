"""Test orders of a connection: the form, how far one is, and what it brought."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.inventory.pages.proving import count_reveal
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import InvalidForm, RawForm, parse
from app.kernel.web import NO_STORE, AnyRequest, fragment, is_partial, page, see_other
from app.suppliers import offering, testing
from app.suppliers.connectors.port import AccountField
from app.suppliers.forms import ACCOUNT, RevealForm, read_test
from app.suppliers.offering import Shown, Wanted
from app.suppliers.pages.connections import connection_context
from app.suppliers.pages.offers import account_fields
from app.suppliers.pages.shared import shared
from tenants.directory import Tenant
from tenants.session import Tx, raw, tenant_tx

_FORM = "suppliers/test_form.html"
_REVEAL = "suppliers/reveal.html"


class TestOrderPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/connections/{supply_id:uuid}/tests"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def progress(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, supply_id: FromPath[UUID]
    ) -> Response[str]:
        """How far the newest test orders are; asked again each second while one is under way. Raises: NotFound."""
        context = await connection_context(request, await raw(session), tenant, supply_id)
        if not is_partial(request):
            return page(request, "suppliers/connection.html", **context)
        if request.query_params.get("waiting") and not context["is_testing"]:
            return fragment(request, "suppliers/_tests.html", headers={"HX-Refresh": "true"}, **context)
        return fragment(request, "suppliers/_tests.html", **context)

    @get("/new", guards=[may(Permission.SUPPLY_EDIT)])
    async def new(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, supply_id: FromPath[UUID]
    ) -> Response[str]:
        """First the goods to choose from, then with `?offer=` what they ask for. Raises: NotFound."""
        tx = await raw(session)
        context = await _context(request, tx, tenant, supply_id, request.query_params.get("offer", ""))
        return page(request, _FORM, **context)

    @post(guards=[may(Permission.SUPPLY_EDIT)])
    async def create(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        supply_id: FromPath[UUID],
    ) -> Response[Any]:
        """Buy one unit. One test order of a connection runs at a time. Raises: NotFound, TestRunning, NotForTest."""
        tx = await raw(session)
        context = await _context(request, tx, tenant, supply_id, sent.get("offer"))
        offer: asyncpg.Record | None = context["offer"]
        if offer is None:
            raise testing.NotForTest
        try:
            asked = read_test(sent, context["fields"], offer["least_minor"], offer["most_minor"])
        except InvalidForm as refusal:
            refusal.retry, refusal.context = _FORM, context
            raise
        terms = testing.TestTerms(offer["id"], asked.account, asked.face_value_minor)
        await testing.start(session, supply_id, terms, actor=actor)
        words = N_("The test order is on its way; its outcome appears below.")
        return see_other(request, f"{context['here']}#tests", flash=words)


class TestRevealPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/tests/{test_id:uuid}/reveal"
    guards = (may(Permission.ORDERS_REVEAL),)

    @get()
    async def ask(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, test_id: FromPath[UUID]) -> Response[str]:
        """Asks why it is to be shown. Raises: NotFound."""
        return page(request, _REVEAL, **await _reveal_context(request, await raw(session), tenant, test_id))

    @post()
    async def reveal(
        self, request: AnyRequest, tenant: Tenant, *, actor: Actor, sent: RawForm, test_id: FromPath[UUID]
    ) -> Response[str]:
        """What the test order brought, written down with who read it and why; counted among the keys he may see. Raises: NotFound, TooManyReveals."""
        async with tenant_tx(tenant) as tx:
            context = await _reveal_context(request, tx, tenant, test_id)
        form = parse(RevealForm, sent, retry=_REVEAL, **context)
        await count_reveal(request, tenant, actor=actor, sent=sent, retry=_REVEAL, context=context)
        async with tenant_tx(tenant) as tx:
            context["issued"] = await testing.reveal(tx, test_id, reason=form.reason, actor=actor)
        return page(request, _REVEAL, headers=NO_STORE, **context)


async def _context(request: AnyRequest, tx: Tx, tenant: Tenant, connection_id: UUID, offer: str) -> dict[str, Any]:
    context = await connection_context(request, tx, tenant, connection_id)
    chosen = await _chosen(tx, connection_id, offer)
    text = request.query_params.get("q", "").replace("\x00", "")[:120]
    found = await offering.offers(tx, Wanted(connection_id, text, Shown.ALL)) if chosen is None else None
    fields: list[AccountField] = account_fields(chosen) if chosen is not None else []
    on_sale = [row for row in found.rows if row["is_on_sale"]] if found else []
    return {**context, "offer": chosen, "fields": fields, "account_prefix": ACCOUNT, "q": text, "offers": on_sale}


async def _chosen(tx: Tx, connection_id: UUID, offer: str) -> asyncpg.Record | None:
    try:
        offer_id = UUID(offer) if offer else None
    except ValueError:
        raise NotFound from None
    if offer_id is None:
        return None
    row = await offering.offer_or_404(tx, offer_id)
    if row["connection_id"] != connection_id:
        raise NotFound
    return row


async def _reveal_context(request: AnyRequest, tx: Tx, tenant: Tenant, test_id: UUID) -> dict[str, Any]:
    test = await testing.bought_or_404(tx, test_id)
    base = shared(request, tenant)
    return {**base, "test": test, "back": f"{base['home']}/connections/{test['connection_id']}", "issued": None}
