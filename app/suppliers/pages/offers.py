"""A connection's goods: filtered, fifty a page; one with its prices so far; the exclusion list; imports into products."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.catalog.pages.shared import either
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadRequest, NotFound
from app.kernel.forms import InvalidForm, RawForm, invalid, parse
from app.kernel.i18n import gettext
from app.kernel.web import AnyRequest, page, see_other
from app.suppliers import offering, queries, syncing
from app.suppliers.connectors import CONNECTORS
from app.suppliers.connectors.port import AccountField, FieldKind
from app.suppliers.forms import OfferForm, ids_sent
from app.suppliers.models import SupplierConnection
from app.suppliers.offering import Shown, TypedOffer, Wanted
from app.suppliers.pages.shared import TYPED_KINDS, shared
from tenants.directory import Tenant
from tenants.session import raw, tenant_tx

_TYPED = "suppliers/offer_form.html"
SHOWN_WORDS = {
    Shown.ALL: N_("All"),
    Shown.FRESH: N_("To import"),
    Shown.MAPPED: N_("Serving a SKU"),
    Shown.EXCLUDED: N_("Excluded"),
    Shown.OFF_SALE: N_("Not sold now"),
}


class OfferListPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/connections/{supply_id:uuid}/offers"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def index(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, supply_id: FromPath[UUID]
    ) -> Response[str]:
        """The list. Filters are in the address: q, show, and after or before an offer. Raises: NotFound."""
        connection = await queries.connection_or_404(session, supply_id)
        tx, wanted, given = await raw(session), wanted_of(request.query_params, supply_id), request.query_params
        found = await offering.offers(tx, wanted, after=_id(given.get("after", "")), before=_id(given.get("before", "")))
        counts = await offering.counts(tx, wanted)
        context = {
            **shared(request, tenant),
            **_list_context(tenant, connection, wanted, found),
            "counts": counts,
            "total": counts[wanted.shown],
            "everything": (await offering.counts(tx, Wanted(supply_id)))[Shown.ALL] if wanted.text else counts[Shown.ALL],
        }
        return either(request, "suppliers/offers.html", "suppliers/_offers.html", **context)

    @post("/exclusions", guards=[may(Permission.SUPPLY_EDIT)])
    async def exclude(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        supply_id: FromPath[UUID],
    ) -> Response[Any]:
        """Put the selected goods, or all that match, on the exclusion list or off it (`do=include`). Raises: NotFound."""
        await queries.connection_or_404(session, supply_id)
        tx, wanted = await raw(session), wanted_of(sent, supply_id)
        chosen = None if sent.get("all_matching") == "yes" else ids_sent(sent, "ids")
        offer_ids = await offering.matching(tx, wanted, chosen)
        is_excluded = sent.get("do") != "include"
        changed = await offering.exclude(session, supply_id, offer_ids, is_excluded=is_excluded, actor=actor)
        told = N_("%(number)s goods excluded from imports.") if is_excluded else N_("%(number)s goods may be imported again.")
        return see_other(request, list_address(tenant, wanted), flash=told, number=changed)

    @post("/selection", guards=[may(Permission.SUPPLY_EDIT)])
    async def select(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, sent: RawForm, supply_id: FromPath[UUID]
    ) -> Response[Any]:
        """Go on to the import of the selected goods, or of all that match; nothing is changed yet. Raises: NotFound."""
        await queries.connection_or_404(session, supply_id)
        wanted = wanted_of(sent, supply_id)
        chosen: list[tuple[str, str]] = [("show", wanted.shown.value), ("q", wanted.text)]
        if sent.get("all_matching") == "yes":
            chosen.append(("all_matching", "yes"))
        else:
            chosen += [("ids", str(offer_id)) for offer_id in ids_sent(sent, "ids")[: offering.PAGE]]
        return see_other(request, f"/m/{tenant.slug}/suppliers/connections/{supply_id}/imports?{urlencode(chosen)}")

    @get("/new", guards=[may(Permission.SUPPLY_EDIT)])
    async def new(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, supply_id: FromPath[UUID]
    ) -> Response[str]:
        return page(request, _TYPED, **await _typed_context(request, session, tenant, supply_id))

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
        """Write goods down by hand, for a protocol without a catalog. Raises: NotFound."""
        context = await _typed_context(request, session, tenant, supply_id)
        form = parse(OfferForm, sent, retry=_TYPED, **context)
        if faults := form.faults():
            raise invalid(sent, faults, retry=_TYPED, **context)
        typed = TypedOffer(form.supplier_sku, form.name, form.kind, form.unit_cost, form.currency, sells=form.sells())
        try:
            offer_id = await offering.add_offer(session, supply_id, typed, actor=actor)
        except offering.KnownAlready as refusal:
            raise InvalidForm({"supplier_sku": gettext(refusal.message)}, sent.values(), _TYPED, context) from None
        return see_other(request, f"{context['home']}/offers/{offer_id}", flash=N_("Saved."))


class OfferPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/offers/{offer_id:uuid}"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def show(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, offer_id: FromPath[UUID]
    ) -> Response[str]:
        """One of the goods: what it costs and cost, and what it serves. Raises: NotFound."""
        tx = await raw(session)
        offer = await offering.offer_or_404(tx, offer_id)
        changes = await offering.changes(tx, offer_id)
        costs = [change["before"] for change in changes[-1:]] + [change["after"] for change in reversed(changes)]
        context = {
            **shared(request, tenant),
            "offer": offer,
            "changes": changes,
            "points": [int(cost * 1_000_000) for cost in costs],
            "skus": await offering.skus_of(tx, offer_id),
            "fields": account_fields(offer),
        }
        return page(request, "suppliers/offer.html", **context)

    @post("/exclusion", guards=[may(Permission.SUPPLY_EDIT)])
    async def exclude(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm, offer_id: FromPath[UUID]
    ) -> Response[Any]:
        """Put it on the exclusion list, or off it (`do=include`). Raises: NotFound."""
        offer = await offering.offer_or_404(await raw(session), offer_id)
        is_excluded = sent.get("do") != "include"
        await offering.exclude(session, offer["connection_id"], [offer_id], is_excluded=is_excluded, actor=actor)
        told = N_("Excluded: imports leave it out.") if is_excluded else N_("Imports may take it again.")
        return see_other(request, _offer_address(tenant, offer_id), flash=told)

    @post("/reading", guards=[may(Permission.SUPPLY_EDIT)])
    async def refresh(self, request: AnyRequest, tenant: Tenant, *, offer_id: FromPath[UUID]) -> Response[Any]:
        """Read its price and stock of this moment. The call runs in no transaction. Raises: NotFound."""
        async with tenant_tx(tenant) as tx:
            before = await offering.offer_or_404(tx, offer_id)
        await syncing.refresh(tenant, offer_id)
        async with tenant_tx(tenant) as tx:
            after = await offering.offer_or_404(tx, offer_id)
        back = _offer_address(tenant, offer_id)
        if after["seen_at"] == before["seen_at"]:
            return see_other(request, back, flash=N_("The supplier did not say anything about it."), tone="warn")
        return see_other(request, back, flash=N_("Read just now."))


def wanted_of(given: Mapping[str, str] | RawForm, connection_id: UUID) -> Wanted:
    """The filter of a list, from an address or a form. Raises: BadRequest."""
    text, shown = given.get("q", "") or "", given.get("show", "") or ""
    if "\x00" in text:
        raise BadRequest
    return Wanted(connection_id, text.strip()[:120], Shown(shown) if shown in set(Shown) else Shown.ALL)


def list_address(tenant: Tenant, wanted: Wanted, **more: str) -> str:
    """The list of a connection's goods with its filter."""
    chosen = {"show": "" if wanted.shown is Shown.ALL else wanted.shown.value, "q": wanted.text, **more}
    kept = urlencode({name: value for name, value in chosen.items() if value})
    path = f"/m/{tenant.slug}/suppliers/connections/{wanted.connection_id}/offers"
    return f"{path}?{kept}" if kept else path


def account_fields(offer: asyncpg.Record) -> list[AccountField]:
    """What a buyer states of the account to credit, as the supplier's catalog said it."""
    found = offer["account_fields"]
    rows = json.loads(found) if isinstance(found, str) else found
    return [
        AccountField(
            row["name"], row["label"], FieldKind(row["kind"]), row["is_required"], row["pattern"], row["depends_on"],
            {value: tuple(choices) for value, choices in row["choices"].items()},
        )
        for row in rows
    ]  # fmt: skip


def _offer_address(tenant: Tenant, offer_id: UUID) -> str:
    return f"/m/{tenant.slug}/suppliers/offers/{offer_id}"


def _id(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise NotFound from None


def _list_context(tenant: Tenant, connection: SupplierConnection, wanted: Wanted, found: offering.OfferPage) -> dict[str, Any]:
    rows = found.rows
    views = [
        (shown, gettext(word), list_address(tenant, Wanted(wanted.connection_id, wanted.text, shown)))
        for shown, word in SHOWN_WORDS.items()
    ]
    return {
        "connection": connection,
        "here": f"/m/{tenant.slug}/suppliers/connections/{connection.id}",
        "wanted": wanted,
        "offers": rows,
        "views": views,
        "clear": list_address(tenant, Wanted(wanted.connection_id)),
        "newer": list_address(tenant, wanted, before=str(rows[0]["id"])) if rows and found.has_before else "",
        "older": list_address(tenant, wanted, after=str(rows[-1]["id"])) if rows and found.has_after else "",
    }


async def _typed_context(request: AnyRequest, session: AsyncSession, tenant: Tenant, connection_id: UUID) -> dict[str, Any]:
    connection = await queries.connection_or_404(session, connection_id)
    return {
        **shared(request, tenant),
        "connection": connection,
        "here": f"/m/{tenant.slug}/suppliers/connections/{connection_id}",
        "traits": CONNECTORS[connection.connector].traits,
        "typed_kinds": TYPED_KINDS,
    }
