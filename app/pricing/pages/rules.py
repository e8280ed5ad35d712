"""One price rule: whom, when and for how many it is, and what it does."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog.models import Product
from app.catalog.pages.shared import base, shop_changed
from app.catalog.queries import product_or_404
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.forms import InvalidForm, RawForm
from app.kernel.i18n import gettext, said
from app.kernel.web import AnyRequest, page, see_other
from app.pricing import queries
from app.pricing import service as pricing
from app.pricing.floors import BelowFloor
from app.pricing.models import PriceRule
from app.pricing.pages.forms import Kind, kind_of, read_rule, typed
from app.pricing.rules import Audience
from app.pricing.service import ManyValues, RuleTerms, TooManyRules
from tenants.directory import Tenant

_PAGE = "pricing/rule.html"
KINDS = {
    Kind.UNIT_PRICE: N_("One costs exactly"),
    Kind.SHARE_LESS: N_("Less by a percentage"),
    Kind.SHARE_MORE: N_("More by a percentage"),
    Kind.AMOUNT_LESS: N_("Less by an amount"),
    Kind.AMOUNT_MORE: N_("More by an amount"),
    Kind.NONE: N_("The price stays"),
}
_GONE = N_("This SKU is gone. Reload the page and choose again.")


class RulePages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/price-rules"
    guards = (may(Permission.CATALOG_EDIT),)

    @get("/new")
    async def new(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        product = await product_or_404(session, product_id)
        return page(request, _PAGE, **await _context(request, session, tenant, product))

    @post()
    async def add(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
    ) -> Response[Any]:
        context = await _context(request, session, tenant, await product_or_404(session, product_id))
        terms = _read(sent, context)
        try:
            await pricing.add_rule(session, product_id, terms, actor=actor)
        except (NotFound, TooManyRules, ManyValues, BelowFloor) as refusal:
            raise _as_fault(sent, refusal, context) from None
        await shop_changed(session, tenant)
        return see_other(request, f"{context['here']}/prices", flash=N_("The rule applies from now on."))

    @get("/{rule_id:uuid}")
    async def show(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID], rule_id: FromPath[UUID]
    ) -> Response[str]:
        """The rule. Raises: NotFound."""
        product = await product_or_404(session, product_id)
        rule = next((one for one in await queries.rules_of(session, product_id) if one.id == rule_id), None)
        if rule is None:
            raise NotFound
        return page(request, _PAGE, **await _context(request, session, tenant, product, rule))

    @post("/{rule_id:uuid}")
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
        rule_id: FromPath[UUID],
    ) -> Response[Any]:
        product = await product_or_404(session, product_id)
        context = await _context(request, session, tenant, product, await queries.rule_or_404(session, product_id, rule_id))
        terms = _read(sent, context)
        try:
            await pricing.change_rule(session, product_id, rule_id, terms, actor=actor)
        except (NotFound, ManyValues, BelowFloor) as refusal:
            raise _as_fault(sent, refusal, context) from None
        await shop_changed(session, tenant)
        return see_other(request, f"{context['here']}/prices", flash=N_("Saved."))

    @post("/{rule_id:uuid}/switch")
    async def switch(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
        rule_id: FromPath[UUID],
    ) -> Response[Any]:
        """Switch the rule on with `is_on=yes`, else off."""
        is_on = sent.get("is_on") == "yes"
        await pricing.switch_rule(session, product_id, rule_id, is_on=is_on, actor=actor)
        await shop_changed(session, tenant)
        told = N_("The rule applies from now on.") if is_on else N_("Switched off. The price is at once what it was without it.")
        return see_other(request, f"{base(tenant)}/products/{product_id}/prices", flash=told)


async def _context(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product, rule: PriceRule | None = None
) -> dict[str, Any]:
    levels = await queries.levels(session)
    return {
        "base": base(tenant),
        "here": f"{base(tenant)}/products/{product.id}",
        "product": product,
        "rule": rule,
        "kind": kind_of(rule.effect, rule.value) if rule else Kind.UNIT_PRICE,
        "kinds": KINDS,
        "typed": typed,
        "level_ids": [level.id for level in levels],
        "audiences": [
            (Audience.EVERYONE.value, gettext(N_("Everybody"))),
            (Audience.REGISTERED.value, gettext(N_("Buyers who are logged in"))),
            *((str(level.id), gettext(N_("Level %(name)s")) % {"name": level.name}) for level in levels),
        ],
        "sku_options": [("", gettext(N_("All SKUs"))), *((str(sku.id), sku.name) for sku in product.on_shelf)],
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
    }


def _read(sent: RawForm, context: dict[str, Any]) -> RuleTerms:
    try:
        return read_rule(sent, context["level_ids"])
    except InvalidForm as refusal:
        refusal.retry, refusal.context = _PAGE, context
        raise


def _as_fault(sent: RawForm, refusal: DomainError, context: dict[str, Any]) -> InvalidForm:
    if isinstance(refusal, NotFound):
        return InvalidForm({"sku": gettext(_GONE)}, sent.values(), _PAGE, context)
    field = "value" if isinstance(refusal, BelowFloor) else "kind"
    return InvalidForm({field: said(refusal)}, sent.values(), _PAGE, context)
