"""Where, when and how often what we mint for a product may be used, and how many may be sold."""

from __future__ import annotations

from datetime import time
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import AfterValidator, BeforeValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import minting, queries
from app.catalog import service as catalog
from app.catalog.minting import MOST_SHOPS, MOST_USES, WEEK, MintingRules
from app.catalog.models import DeliveryKind, Product
from app.catalog.pages import quotas
from app.catalog.pages.shared import base, shop_changed
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import EMPTY_IS_NONE, Count, Form, OptionalDay, RawForm, Text, fail, invalid, parse
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant

_PAGE = "catalog/rules.html"
_RULED = frozenset({DeliveryKind.VOUCHER, DeliveryKind.SERIAL})
UNTIL_BEFORE_FROM = N_("The last day cannot be before the first.")
CLOSES_BEFORE_OPENS = N_("The end must be after the start.")
NO_DAY = N_("Choose at least one day.")


def _empty(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _shops(value: str) -> str:
    if len(_lines(value)) > MOST_SHOPS:
        raise fail(N_("At most %(most)s shops."), most=MOST_SHOPS)
    return value


def _lines(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(line.strip()[:120] for line in text.splitlines() if line.strip()))


class RulesForm(Form):
    """Shops stand one to a line; what is empty does not narrow. Quotas are read by SKU."""

    shops: Annotated[Text, AfterValidator(_shops)] = ""
    valid_from: OptionalDay = None
    valid_until: OptionalDay = None
    valid_days: Annotated[Annotated[Count, Field(ge=1, le=3650)] | None, EMPTY_IS_NONE] = None
    weekdays: list[str] = Field(default_factory=list)
    opens: Annotated[time | None, BeforeValidator(_empty)] = None
    closes: Annotated[time | None, BeforeValidator(_empty)] = None
    most_uses: Annotated[Count, BeforeValidator(lambda value: value or "1"), Field(ge=1, le=MOST_USES)] = 1


class RulesPages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/rules"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """The rules. Raises: NotFound for kinds that are not minted."""
        product = await _minted_or_404(session, product_id)
        return page(request, _PAGE, **await _context(request, session, tenant, product))

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
        product = await _minted_or_404(session, product_id)
        context = await _context(request, session, tenant, product)
        form = parse(RulesForm, sent, retry=_PAGE, **context)
        if faults := _faults(form):
            raise invalid(sent, faults, retry=_PAGE, **context)
        allowed = quotas.read(sent, retry=_PAGE, context=context)
        await catalog.set_minting(session, product_id, _rules(form, product), actor=actor)
        await quotas.allow(session, allowed)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}/rules", flash=N_("Saved."))


async def _minted_or_404(session: AsyncSession, product_id: UUID) -> Product:
    product = await queries.product_or_404(session, product_id)
    if product.delivery_kind not in _RULED:
        raise NotFound
    return product


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product) -> dict[str, Any]:
    return {
        "base": base(tenant),
        "product": product,
        "rules": minting.rules_of(product.minting),
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
        **await quotas.context_of(session, product),
    }


def _faults(form: RulesForm) -> dict[str, str]:
    faults = {}
    if form.valid_from and form.valid_until and form.valid_until < form.valid_from:
        faults["valid_until"] = UNTIL_BEFORE_FROM
    if form.opens and form.closes and form.closes <= form.opens:
        faults["closes"] = CLOSES_BEFORE_OPENS
    if not _weekdays(form):
        faults["weekdays"] = NO_DAY
    return faults


def _weekdays(form: RulesForm) -> tuple[int, ...]:
    return tuple(day for day in WEEK if str(day) in form.weekdays)


def _rules(form: RulesForm, product: Product) -> MintingRules:
    return MintingRules(
        shops=_lines(form.shops),
        valid_from=form.valid_from,
        valid_until=form.valid_until,
        valid_days=form.valid_days,
        weekdays=_weekdays(form),
        opens=form.opens,
        closes=form.closes,
        most_uses=form.most_uses if product.delivery_kind == DeliveryKind.SERIAL else 1,
    )
