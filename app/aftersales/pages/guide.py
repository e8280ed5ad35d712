"""A product's help: the steps its buyers try before they complain, how often they helped, and whether its cases settle themselves."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import AfterValidator
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.aftersales import guiding
from app.aftersales import queries as cases
from app.aftersales.pages.settings import lines
from app.catalog import queries
from app.catalog.pages.shared import base
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Checked, Form, RawForm, Text, fail, parse
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "aftersales/guide.html"
_LONGEST_STEP = 300


def _steps(value: str) -> str:
    found = lines(value)
    if len(found) > guiding.MOST_STEPS:
        raise fail(N_("At most %(most)s steps."), most=guiding.MOST_STEPS)
    if any(len(one) > _LONGEST_STEP for one in found):
        raise fail(N_("A step has at most %(most)s characters."), most=_LONGEST_STEP)
    return value


class GuideForm(Form):
    """Steps stand one to a line."""

    steps: Annotated[Text, AfterValidator(_steps)] = ""
    settles_itself: Checked = False


class GuidePages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/help"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """The steps. Raises: NotFound."""
        return page(request, _PAGE, **await _context(request, session, tenant, product_id))

    @post(guards=[may(Permission.CATALOG_EDIT)])
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
    ) -> Response[Any]:
        context = await _context(request, session, tenant, product_id)
        form = parse(GuideForm, sent, retry=_PAGE, **context)
        steps = lines(form.steps)
        await guiding.set_guide(await raw(session), product_id, steps=steps, settles_itself=form.settles_itself, actor=actor)
        return see_other(request, f"{base(tenant)}/products/{product_id}/help", flash=N_("Saved."))


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: UUID) -> dict[str, Any]:
    product = await queries.product_or_404(session, product_id)
    tx = await raw(session)
    return {
        "base": base(tenant),
        "product": product,
        "guide": await guiding.guide_for(tx, product_id, product.delivery_kind),
        "solved": await cases.self_solved(tx, [product_id]),
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
    }
