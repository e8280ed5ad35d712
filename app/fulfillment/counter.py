"""The counter: a code typed or scanned on a phone is used once, or refused with what happened to it before; and taking a code back."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.fulfillment import minting
from app.fulfillment.minting import CannotUseNow, GivenBack, NoSuchCode, Revoked, UsedUp
from app.kernel import i18n
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Count, Form, RawForm, parse
from app.kernel.rates import Limit, count
from app.kernel.web import AnyRequest, fragment, is_partial, page, see_other, set_cookie
from app.ordering import queries as orders
from tenants.directory import Tenant
from tenants.session import raw, tenant_session

_PAGE = "fulfillment/redeem.html"
_PLACE_COOKIE = "__Host-q_counter"
_TRIES = Limit("minted.use", 120, 60)
_KEPT_S = 90 * 86_400


class UseForm(Form):
    """A code and the shop it is used in."""

    code: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    place: Annotated[str, StringConstraints(min_length=1, max_length=120, pattern=r"^[^\n\r]*$")]


class RevokeForm(Form):
    line: UUID
    unit: Count
    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class RedeemPages(Controller):
    path = "/m/{tenant_slug:str}/redeem"
    guards = (may(Permission.REDEEM),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """The counter's page. The code of a scanned link stands behind its `#`, which no server is sent."""
        return _answer(request, **await _context(request, session, tenant))

    @post()
    async def use(self, request: AnyRequest, tenant: Tenant, *, actor: Actor, sent: RawForm) -> Response[str]:
        """Use a code once. A refusal says when, where and by whom it was used before."""
        async with tenant_session(tenant, read_only=True) as session:
            context = await _context(request, session, tenant)
        form = parse(UseForm, sent, retry=_PAGE, **context)
        await count(tenant, _TRIES, str(actor.id))
        set_cookie(request, _PLACE_COOKIE, form.place.encode().hex(), max_age=_KEPT_S)
        context["place"] = form.place
        try:
            async with tenant_session(tenant) as session:
                used = await minting.use(await raw(session), typed=form.code, place=form.place, actor=actor)
        except (NoSuchCode, UsedUp, CannotUseNow, Revoked, GivenBack) as refusal:
            return _answer(request, status=refusal.status, **{**context, "refusal": i18n.said(refusal)})
        return _answer(request, **{**context, "used": used})


class RevocationPages(Controller):
    path = "/m/{tenant_slug:str}/orders/{order_no:str}/revocations"
    guards = (may(Permission.ORDERS_REFUND),)

    @post()
    async def revoke(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, order_no: FromPath[str]
    ) -> Response[None]:
        """Take one unit's code back. Raises: NotFound, NoSuchCode, ReasonMissing."""
        tx = await raw(session)
        order = await orders.order_or_404(tx, order_no)
        form = parse(RevokeForm, sent)
        await minting.revoke(
            tx, order_id=order["id"], order_line_id=form.line, unit_no=form.unit, reason=form.reason, actor=actor
        )
        return see_other(request, f"/m/{tenant.slug}/orders/{order_no}", flash=N_("Taken back. It is good for nothing now."))


def _answer(request: AnyRequest, *, status: int = 200, **context: Any) -> Response[str]:
    if is_partial(request):
        return fragment(request, "fulfillment/_redeem.html", status=status, **context)
    return page(request, _PAGE, status=status, **context)


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant) -> dict[str, Any]:
    try:
        place = bytes.fromhex(request.cookies.get(_PLACE_COOKIE, "")).decode()[:120]
    except ValueError:
        place = ""
    return {
        "base": f"/m/{tenant.slug}",
        "place": place,
        "shops": await minting.shops(await raw(session)),
        "refusal": "",
        "used": None,
    }
