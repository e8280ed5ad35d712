"""One import through its states: checked, confirmed, imported, quarantined and released."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog.pages.shared import base, either
from app.inventory import importing, quarantining, queries
from app.inventory.forms import ReasonForm
from app.inventory.models import NEVER, BatchState, ImportBatch, LineVerdict
from app.kernel import clock, csvfile, history
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import RawForm, parse
from app.kernel.i18n import gettext
from app.kernel.money import line_minor
from app.kernel.web import fragment, is_partial, page, see_other
from app.replenishment.queries import number_of_batch
from tenants.directory import Tenant
from tenants.session import raw

AnyRequest = Request[Any, Any, Any]
_TURNS = (BatchState.QUARANTINING, BatchState.RELEASING)
_WORKING = (BatchState.CHECKING, BatchState.IMPORTING, *_TURNS)
_OFF_SALE, _ON_SALE = N_("Quarantined: no key of this batch is sold now."), N_("Released: its keys are for sale again.")
_TURNING = N_("Begun. This batch is large: the page shows how far it is, and goes on by itself.")
_SHOWN_LINES = 100
_SHOWN_KEYS = 50
_MOST_BAD_LINES = 100_000
_VIEWS = {
    "bad": (LineVerdict.BAD,),
    "duplicate": (LineVerdict.DUPLICATE_IN_POOL, LineVerdict.DUPLICATE_IN_FILE),
    "new": (LineVerdict.NEW,),
}


class BatchPages(Controller):
    path = "/m/{tenant_slug:str}/imports/{batch_no:str}"
    guards = (may(Permission.INVENTORY_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, batch_no: FromPath[str]) -> Response[str]:
        """The batch as its state asks for: progress, preview, result. `?lines=bad|duplicate|new` chooses the lines shown."""
        batch = await queries.batch_or_404(session, batch_no)
        context = await _context(request, session, tenant, batch)
        return either(request, "inventory/batch.html", "inventory/_batch.html", **context)

    @get("/progress")
    async def progress(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, batch_no: FromPath[str]
    ) -> Response[str]:
        """How far the work is; when it is done htmx is told to open the page again."""
        batch = await queries.batch_or_404(session, batch_no)
        context = await _context(request, session, tenant, batch)
        if not is_partial(request):
            return page(request, "inventory/batch.html", **context)
        if batch.state not in _WORKING:
            return fragment(request, "inventory/_progress.html", headers={"HX-Refresh": "true"}, **context)
        return fragment(request, "inventory/_progress.html", **context)

    @get("/bad-lines")
    async def bad_lines(self, session: AsyncSession, batch_no: FromPath[str]) -> Response[bytes]:
        """The bad lines as CSV: numbers, masks and reasons, never what stood there."""
        batch = await queries.batch_or_404(session, batch_no)
        lines = await queries.lines_of(session, batch.id, LineVerdict.BAD, limit=_MOST_BAD_LINES)
        head = [gettext(N_("Line")), gettext(N_("Content, masked")), gettext(N_("Problem"))]
        body = csvfile.write(head, [(line.line_no, line.masked, gettext(line.problem)) for line in lines])
        name = f"{batch.batch_no}-bad-lines.csv"
        return Response(body, media_type=csvfile.MEDIA_TYPE, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    @post("/confirmation", guards=[may(Permission.INVENTORY_IMPORT)])
    async def confirm(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, batch_no: FromPath[str]
    ) -> Response[Any]:
        await importing.confirm(session, batch_no=batch_no, actor=actor)
        return see_other(request, _address(tenant, batch_no))

    @post("/abandonment", guards=[may(Permission.INVENTORY_IMPORT)])
    async def abandon(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, batch_no: FromPath[str]
    ) -> Response[Any]:
        batch = await importing.abandon(session, batch_no=batch_no, actor=actor)
        return see_other(
            request, f"{base(tenant)}/card-pools/{batch.sku_id}", flash=N_("Import abandoned. Nothing was put on sale.")
        )

    @get("/quarantine", guards=[may(Permission.INVENTORY_VOID)])
    async def ask_quarantine(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, batch_no: FromPath[str]
    ) -> Response[str]:
        """Asks why, and says who is affected."""
        context = await _reason_context(request, session, tenant, batch_no)
        return either(request, "inventory/reason.html", "inventory/_reason.html", **context)

    @post("/quarantine", guards=[may(Permission.INVENTORY_VOID)])
    async def quarantine(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm, batch_no: FromPath[str]
    ) -> Response[Any]:
        context = await _reason_context(request, session, tenant, batch_no)
        form = parse(ReasonForm, sent, retry="inventory/reason.html", **context)
        batch = await quarantining.quarantine(session, batch_no=batch_no, reason=form.reason, actor=actor)
        told = _OFF_SALE if batch.state == BatchState.QUARANTINED else _TURNING
        return see_other(request, _address(tenant, batch_no), flash=told)

    @post("/release", guards=[may(Permission.INVENTORY_VOID)])
    async def release(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm, batch_no: FromPath[str]
    ) -> Response[Any]:
        context = await _reason_context(request, session, tenant, batch_no)
        form = parse(ReasonForm, sent, retry="inventory/reason.html", **context)
        batch = await quarantining.unquarantine(session, batch_no=batch_no, reason=form.reason, actor=actor)
        told = _ON_SALE if batch.state == BatchState.IMPORTED else _TURNING
        return see_other(request, _address(tenant, batch_no), flash=told)


def _address(tenant: Tenant, batch_no: str) -> str:
    return f"{base(tenant)}/imports/{batch_no}"


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, batch: ImportBatch) -> dict[str, Any]:
    sku, product, stock = await queries.pool_or_404(session, batch.sku_id)
    context = {
        "base": base(tenant),
        "here": _address(tenant, batch.batch_no),
        "batch": batch,
        "sku": sku,
        "product": product,
        "stock": stock,
        "never": NEVER,
        "cost_minor": line_minor(batch.unit_cost, batch.new_count),
        "may_import": may_do(request, Permission.INVENTORY_IMPORT),
        "may_void": may_do(request, Permission.INVENTORY_VOID),
        "may_replace": may_do(request, Permission.AFTERSALES_DECIDE) and may_do(request, Permission.INVENTORY_VOID),
        "may_reveal": may_do(request, Permission.ORDERS_REVEAL),
        "replenishment_no": await number_of_batch(await raw(session), batch.id),
        "now": clock.now(),
    }
    if batch.state == BatchState.READY:
        return context | await _lines(request, session, batch)
    if batch.state in _TURNS:
        by_state = await queries.counts_by_state(await raw(session), batch.id)
        return context | {"left": by_state.get("free" if batch.state == BatchState.QUARANTINING else "quarantined", 0)}
    if batch.state in (BatchState.IMPORTED, BatchState.QUARANTINED):
        return context | await _contents(session, batch)
    return context


async def _lines(request: AnyRequest, session: AsyncSession, batch: ImportBatch) -> dict[str, Any]:
    duplicates = batch.duplicate_in_pool + batch.duplicate_in_file
    counts = {"bad": batch.bad_count, "duplicate": duplicates, "new": batch.new_count}
    asked = request.query_params.get("lines", "")
    view = asked if asked in _VIEWS else next((name for name, count in counts.items() if count), "new")
    lines = [line for verdict in _VIEWS[view] for line in await queries.lines_of(session, batch.id, verdict, limit=_SHOWN_LINES)]
    lines.sort(key=lambda line: line.line_no)
    return {"view": view, "counts": counts, "lines": lines[:_SHOWN_LINES], "duplicates": duplicates}


async def _contents(session: AsyncSession, batch: ImportBatch) -> dict[str, Any]:
    tx = await raw(session)
    return {
        "by_state": await queries.counts_by_state(tx, batch.id),
        "keys": await queries.keys_of_batch(tx, batch.id, limit=_SHOWN_KEYS),
        "buyers": await queries.buyers_of_batch(tx, batch.id, limit=200) if batch.state == BatchState.QUARANTINED else [],
        "story": await history.of_subjects(session, [batch.id], limit=30),
    }


async def _reason_context(request: AnyRequest, session: AsyncSession, tenant: Tenant, batch_no: str) -> dict[str, Any]:
    batch = await queries.batch_or_404(session, batch_no)
    releasing = batch.state == BatchState.QUARANTINED
    by_state = await queries.counts_by_state(await raw(session), batch.id)
    return {
        "base": base(tenant),
        "back": _address(tenant, batch_no),
        "target": _address(tenant, batch_no) + ("/release" if releasing else "/quarantine"),
        "what": "release" if releasing else "quarantine",
        "batch": batch,
        "key": None,
        "free": by_state.get("quarantined" if releasing else "free", 0),
        "delivered": by_state.get("delivered", 0),
    }
