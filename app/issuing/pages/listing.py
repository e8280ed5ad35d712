"""All batches for companies, what each company owes, and the form of a new one."""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from litestar import Controller, Response, get, post
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog.pages.shared import base, either, maybe_id
from app.inventory.files import UnreadableFile
from app.issuing import queries, reading
from app.issuing.forms import MOST_BODY_BYTES, read_batch
from app.issuing.models import IssueState
from app.issuing.reading import Terms
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import LONGEST_VALUE, RawForm, clean, invalid
from app.kernel.ids import id_of, new_id
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant
from tenants.session import Tx, raw

_FORM: Final = "issuing/form.html"
_S = IssueState
VIEWS: Final = {
    "open": (N_("In progress"), (_S.READY, _S.RUNNING, _S.PAUSED)),
    "ended": (N_("All sent"), (_S.ENDED,)),
    "abandoned": (N_("Abandoned"), (_S.ABANDONED,)),
    "all": (N_("All"), tuple(_S)),
}


class IssueListPages(Controller):
    path = "/m/{tenant_slug:str}/issues"
    guards = (may(Permission.ISSUE_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """Batches in one state, of one company or of all, newest first; and what each company owes. Raises: NotFound for a filter that is none, HasInvisibleSign."""
        tx, query = await raw(session), request.query_params
        view, client = query.get("state", "all"), clean({"client": [query.get("client", "")]})["client"][0]
        if view not in VIEWS:
            raise NotFound
        rows = await queries.listed(tx, VIEWS[view][1], client=client, before=maybe_id(query.get("before")))
        counts = await queries.counts(tx)
        context = {
            **shared(request, tenant),
            "rows": rows[: queries.PAGE],
            "older": _address(tenant, view, client, rows[queries.PAGE - 1]["id"]) if len(rows) > queries.PAGE else "",
            "views": [
                {
                    "word": word,
                    "href": _address(tenant, name, client),
                    "count": None if client else sum(counts.get(state, 0) for state in states),
                    "current": name == view,
                }
                for name, (word, states) in VIEWS.items()
            ],
            "client": client,
            "clients": [(row, _address(tenant, "all", row["client"])) for row in await queries.owed_by_client(tx)],
            "everything": sum(counts.values()),
            "has_goods": bool(await queries.skus(tx)),
        }
        return either(request, "issuing/index.html", "issuing/_list.html", **context)

    @get("/new", guards=[may(Permission.ISSUE)])
    async def new(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """The form; `?listing=` chooses a SKU."""
        context = await _context(request, await raw(session), tenant)
        return page(request, _FORM, **context, listing_id=maybe_id(request.query_params.get("listing")))

    @post(guards=[may(Permission.ISSUE)], request_max_body_size=MOST_BODY_BYTES)
    async def create(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        """Read the file; the batch's page shows what it says, and asks. Sent twice, it is read once."""
        tx = await raw(session)
        context = {**await _context(request, tx, tenant), "listing_id": None}
        form, file = await read_batch(sent, _FORM, context)
        goods = await queries.goods_or_none(tx, form.listing)
        if goods is None:
            raise invalid(sent, {"listing": N_("Choose one of the options.")}, retry=_FORM, **context)
        terms = Terms(id_of("issue_batch", form.request_id), form.client, form.reference, form.unit_price, form.locale)
        try:
            batch_no = await reading.start(tx, terms, goods, file, actor=actor)
        except (reading.NoRecipients, reading.TooManyRecipients, UnreadableFile) as refusal:
            raise invalid(sent, {"file": refusal.message}, retry=_FORM, **context) from None
        return see_other(request, f"{home(tenant)}/{batch_no}")


def home(tenant: Tenant) -> str:
    """Where a merchant's batches are listed."""
    return f"{base(tenant)}/issues"


def shared(request: AnyRequest, tenant: Tenant) -> dict[str, Any]:
    """What every page of batches is given."""
    return {"base": base(tenant), "home": home(tenant), "may_issue": may_do(request, Permission.ISSUE)}


def _address(tenant: Tenant, view: str, client: str, before: UUID | None = None) -> str:
    asked = {"state": view, "client": client, "before": before}
    return f"{home(tenant)}?{urlencode({name: str(value) for name, value in asked.items() if value})}"


async def _context(request: AnyRequest, tx: Tx, tenant: Tenant) -> dict[str, Any]:
    return {
        **shared(request, tenant),
        "skus": await queries.skus(tx),
        "request_id": str(new_id()),
        "longest_paste": LONGEST_VALUE,
    }
