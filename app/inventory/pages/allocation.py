"""How a SKU's stock is shared out to sales channels: one pool or quotas, moves between them, and when idle quotas go back."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import AfterValidator, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog.channels import STOREFRONT
from app.catalog.pages.shared import base, shop_changed
from app.inventory import allocating, queries
from app.inventory.allocating import NoQuotas, NotThere, SameQuota
from app.inventory.models import Allocation, MoveReason
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import EMPTY_IS_NONE, Count, Form, InvalidForm, RawForm, fail, parse
from app.kernel.i18n import gettext, said
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "inventory/allocation.html"
POOL = "-"
"""In a form: what is anybody's."""
REASON_WORDS = {
    MoveReason.HAND: N_("Moved by hand"),
    MoveReason.MODE: N_("Shared by all again"),
    MoveReason.IDLE: N_("Idle, given back"),
    MoveReason.LOST: N_("Its keys are gone"),
}


def _place(value: str) -> str | None:
    return None if value == POOL else value


def _some(value: int) -> int:
    if value == 0:
        raise fail(N_("At least one."))
    return value


class ModeForm(Form):
    allocation: Allocation


class IdleForm(Form):
    idle: Annotated[Annotated[Count, Field(ge=1, le=2160)] | None, EMPTY_IS_NONE] = None


class MoveForm(Form):
    source: Annotated[str, StringConstraints(min_length=1, max_length=32), AfterValidator(_place)]
    target: Annotated[str, StringConstraints(min_length=1, max_length=32), AfterValidator(_place)]
    units: Annotated[Count, AfterValidator(_some)]


class AllocationPages(Controller):
    path = "/m/{tenant_slug:str}/skus/{sku_id:uuid}/allocation"
    guards = (may(Permission.INVENTORY_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, sku_id: FromPath[UUID]) -> Response[str]:
        """The quotas and the moves between them. Raises: NotFound."""
        return page(request, _PAGE, **await _context(request, session, tenant, sku_id))

    @post(guards=[may(Permission.CATALOG_EDIT)])
    async def change(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm, sku_id: FromPath[UUID]
    ) -> Response[Any]:
        """The mode, and after how many idle hours each quota goes back."""
        context = await _context(request, session, tenant, sku_id)
        form = parse(ModeForm, sent, retry=_PAGE, **context)
        hours, errors = _idle(sent, [row["code"] for row in context["quotas"]])
        if errors:
            raise InvalidForm(errors, sent.values(), _PAGE, context)
        await allocating.split(session, sku_id, form.allocation, actor=actor)
        await allocating.set_idle(session, sku_id, hours, actor=actor)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/skus/{sku_id}/allocation", flash=N_("Saved."))

    @post("/moves", guards=[may(Permission.CATALOG_EDIT)])
    async def move(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm, sku_id: FromPath[UUID]
    ) -> Response[Any]:
        context = await _context(request, session, tenant, sku_id)
        form = parse(MoveForm, sent, retry=_PAGE, **context)
        try:
            await allocating.move(session, sku_id, between=(form.source, form.target), units=form.units, actor=actor)
        except (NotThere, NoQuotas) as refusal:
            raise InvalidForm({"units": said(refusal)}, sent.values(), _PAGE, context) from None
        except SameQuota as refusal:
            raise InvalidForm({"target": gettext(refusal.message)}, sent.values(), _PAGE, context) from None
        except NotFound:
            raise InvalidForm({"target": gettext(_NO_CHANNEL)}, sent.values(), _PAGE, context) from None
        return see_other(request, f"{base(tenant)}/skus/{sku_id}/allocation", flash=N_("Moved."))


_NO_CHANNEL = N_("Choose one of the options.")
_SHOP = N_("Shop")


def _idle(sent: RawForm, codes: list[str]) -> tuple[dict[str, int | None], dict[str, str]]:
    hours, errors = {}, {}
    for code in codes:
        name = f"idle-{code}"
        if name not in sent:
            continue
        try:
            hours[code] = parse(IdleForm, RawForm({"idle": [sent.get(name)]}, {})).idle
        except InvalidForm as fault:
            errors[name] = fault.errors["idle"]
    return hours, errors


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, sku_id: UUID) -> dict[str, Any]:
    sku, product, stock = await queries.pool_or_404(session, sku_id)
    tx = await raw(session)
    quotas = await allocating.quotas_of(tx, sku_id)
    names = {row["code"]: gettext(_SHOP) if row["code"] == STOREFRONT else row["name"] for row in quotas}
    return {
        "base": base(tenant),
        "sku": sku,
        "product": product,
        "stock": stock,
        "quotas": quotas,
        "places": [(POOL, gettext(N_("The pool"))), *names.items()],
        "names": names,
        "moves": await allocating.moves_of(tx, sku_id),
        "reasons": REASON_WORDS,
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
    }
