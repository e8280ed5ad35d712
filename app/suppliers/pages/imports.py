"""Imports of a catalog into products: the rules of prices, how far one is, what became of each of the goods."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.catalog import queries as catalog
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import InvalidForm, RawForm, parse
from app.kernel.i18n import gettext
from app.kernel.web import AnyRequest, fragment, is_partial, page, see_other
from app.suppliers import importing, offering, queries
from app.suppliers.forms import ImportForm, ids_sent
from app.suppliers.importing import LINES_PAGE, ImportRules
from app.suppliers.models import ImportResult
from app.suppliers.offering import MOST_CHOSEN
from app.suppliers.pages.offers import list_address, wanted_of
from app.suppliers.pages.shared import shared
from tenants.directory import Tenant
from tenants.session import raw

_FORM = "suppliers/import_form.html"
_MOST_IDS = 60


class ImportFormPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/connections/{supply_id:uuid}/imports"
    guards = (may(Permission.SUPPLY_EDIT),)

    @get()
    async def new(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, supply_id: FromPath[UUID]
    ) -> Response[str]:
        """The rules, for the goods chosen by `ids`, or for all that match q and show. Raises: NotFound."""
        given = request.query_params
        chosen = RawForm({"ids": given.getall("ids", [])[:_MOST_IDS], **_kept(given)}, {})
        return page(request, _FORM, **await _context(request, session, tenant, supply_id, chosen))

    @post()
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
        """Begin the import; a worker does it. Raises: NotFound, NothingChosen, TooManyChosen."""
        context = await _context(request, session, tenant, supply_id, sent)
        form = parse(ImportForm, sent, retry=_FORM, **context)
        category_id = form.category
        if category_id is not None and str(category_id) not in {value for value, _ in context["category_options"]}:
            fault = {"category": gettext(N_("Choose one of the options."))}
            raise InvalidForm(fault, sent.values(), _FORM, context)
        rules = ImportRules(
            form.markup, form.sku_name, form.add, form.ending, form.floor, category_id, is_put_on_sale=form.is_put_on_sale
        )
        chosen = None if context["is_all"] else context["ids"]
        import_id = await importing.start(session, context["wanted"], chosen, rules, actor=actor)
        return see_other(request, f"{context['home']}/imports/{import_id}")


class ImportPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/imports/{import_id:uuid}"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def show(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, import_id: FromPath[UUID]
    ) -> Response[str]:
        """How far it is and what became of each line; `?result=` chooses, `?after=` goes on. Raises: NotFound."""
        tx, given = await raw(session), request.query_params
        job = await importing.import_or_404(tx, import_id)
        counts = await importing.results(tx, import_id)
        asked, after = given.get("result", ""), given.get("after", "")
        result = ImportResult(asked) if asked in set(ImportResult) else None
        start = int(after) if after.isascii() and after.isdigit() and len(after) < 6 else 0
        lines = await importing.lines_of(tx, import_id, result=result, after=start)
        base = shared(request, tenant)
        context = {
            **base,
            "job": job,
            "here": f"{base['home']}/imports/{import_id}",
            "connection_href": f"{base['home']}/connections/{job['connection_id']}",
            "counts": counts,
            "total": sum(counts.values()),
            "waiting": counts.get(ImportResult.WAITING, 0),
            "made": counts.get(ImportResult.MADE, 0),
            "result": result,
            "results": [one for one in ImportResult if counts.get(one)],
            "lines": lines[:LINES_PAGE],
            "next_after": lines[LINES_PAGE - 1]["line_no"] if len(lines) > LINES_PAGE else 0,
            "after": start,
        }
        if is_partial(request) and given.get("progress"):
            headers = {} if context["waiting"] else {"HX-Refresh": "true"}
            return fragment(request, "suppliers/_import_progress.html", headers=headers, **context)
        return page(request, "suppliers/import.html", **context)


def _kept(given: Any) -> dict[str, list[str]]:
    return {name: [given[name]] for name in ("q", "show", "all_matching") if name in given}


async def _context(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, connection_id: UUID, chosen: RawForm
) -> dict[str, Any]:
    connection = await queries.connection_or_404(session, connection_id)
    wanted, tx = wanted_of(chosen, connection_id), await raw(session)
    ids = ids_sent(chosen, "ids")[:_MOST_IDS]
    is_all = chosen.get("all_matching") == "yes" or not ids
    number = (await offering.counts(tx, wanted))[wanted.shown] if is_all else len(ids)
    sample = (await offering.offers(tx, wanted)).rows[:1]
    return {
        **shared(request, tenant),
        "connection": connection,
        "here": f"/m/{tenant.slug}/suppliers/connections/{connection_id}",
        "back": list_address(tenant, wanted),
        "wanted": wanted,
        "ids": ids,
        "is_all": is_all,
        "number": number,
        "most": MOST_CHOSEN,
        "sample": sample[0] if sample else None,
        "category_options": [(str(one.id), one.name) for one in await catalog.categories(session)],
    }
