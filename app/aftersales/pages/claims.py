"""Claims against whoever sold us bad goods: what is open, what was accepted and booked, what was turned down."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.aftersales import claiming, queries
from app.aftersales.models import ClaimState
from app.aftersales.words import CLAIM_STATES
from app.catalog.pages.shared import base
from app.kernel import i18n
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadRequest
from app.kernel.forms import Form, RawForm, parse
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant
from tenants.session import Tx, raw

_PAGE = "aftersales/claims.html"


class DecisionForm(Form):
    """What the seller said."""

    decision: Literal["accepted", "rejected"]
    note: Annotated[str, StringConstraints(min_length=1, max_length=300)]


class ClaimPages(Controller):
    path = "/m/{tenant_slug:str}/after-sales/claims"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """One page of claims. Raises: BadRequest for a state or page that is none."""
        return page(request, _PAGE, **await _context(request, await raw(session), tenant))

    @post("/{claim_id:uuid}/decision", guards=[may(Permission.SUPPLY_EDIT)])
    async def decide(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, claim_id: FromPath[UUID]
    ) -> Response[None]:
        """Accepted, its credit is booked once. Pressed twice, the first word stands. Raises: NotFound."""
        tx = await raw(session)
        form = parse(DecisionForm, sent, retry=_PAGE, **await _context(request, tx, tenant))
        is_new = await claiming.decide_claim(tx, claim_id, is_accepted=form.decision == "accepted", note=form.note, actor=actor)
        told = N_("Written down.") if is_new else N_("This was done already; nothing was added.")
        return see_other(request, f"{base(tenant)}/after-sales/claims", flash=told)


async def _context(request: AnyRequest, tx: Tx, tenant: Tenant) -> dict[str, Any]:
    home = f"{base(tenant)}/after-sales/claims"
    number = request.query_params.get("page", "1")
    try:
        state = ClaimState(request.query_params.get("state") or ClaimState.OPEN)
    except ValueError:
        raise BadRequest from None
    if not (number.isascii() and number.isdecimal() and 1 <= int(number) <= 1000):
        raise BadRequest
    page_no, counts = int(number), await queries.claim_counts(tx)
    rows = await queries.claims(tx, state, page_no)
    return {
        "base": base(tenant),
        "home": f"{base(tenant)}/after-sales",
        "here": home,
        "claims": rows,
        "state": state,
        "views": [
            {"label": i18n.gettext(CLAIM_STATES[one][0]), "href": f"{home}?state={one}", "current": one is state, "count": counts.get(one)}
            for one in ClaimState
        ],
        "total": counts.get(state, 0),
        "first": (page_no - 1) * queries.PAGE + 1,
        "newer": f"{home}?state={state}&page={page_no - 1}" if page_no > 1 else "",
        "older": f"{home}?state={state}&page={page_no + 1}" if len(rows) == queries.PAGE else "",
        "may_decide": may_do(request, Permission.SUPPLY_EDIT),
    }  # fmt: skip
