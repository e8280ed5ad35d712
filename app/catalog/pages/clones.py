"""Cloning a product, with a supplier's offer for each SKU where one is chosen, or a whole category."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import cloning, queries
from app.catalog.models import Category, Product
from app.catalog.pages.shared import base
from app.catalog.service import CategoryNameTaken, TypeRetired
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Form, InvalidForm, Line, RawForm, parse
from app.kernel.i18n import gettext, said
from app.kernel.web import AnyRequest, page, see_other
from app.pricing.copying import copy_rules
from app.suppliers import queries as suppliers
from app.suppliers import service as routing
from app.suppliers.models import RoutePolicy
from app.suppliers.service import RouteTerms
from tenants.directory import Tenant
from tenants.session import raw

_PRODUCT, _CATEGORY = "catalog/clone.html", "catalog/clone_category.html"
_DEADLINE_S = 1800
NOT_AN_OFFER = N_("Choose one of the offers of this list.")


class ProductCloneForm(Form):
    name: Line


class CategoryCloneForm(Form):
    name: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\n\r]*$")]


class ProductClonePages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/clone"
    guards = (may(Permission.CATALOG_EDIT),)

    @get()
    async def ask(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """What the clone is called and who delivers it; `?q=` searches the offers of all suppliers."""
        product = await queries.product_or_404(session, product_id)
        return page(request, _PRODUCT, **await _context(request, session, tenant, product))

    @post()
    async def clone(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
    ) -> Response[Any]:
        product = await queries.product_or_404(session, product_id)
        context = await _context(request, session, tenant, product, text=sent.get("q"))
        form = parse(ProductCloneForm, sent, retry=_PRODUCT, **context)
        offers = _chosen(sent, context)
        try:
            made = await cloning.clone_product(session, product_id, name=form.name, actor=actor)
        except TypeRetired as refusal:
            raise InvalidForm({"name": said(refusal)}, sent.values(), _PRODUCT, context) from None
        await copy_rules(session, product_id, made.id, actor=actor)
        for sku in await queries.skus_of(session, made.id):
            if offer_id := offers.get(sku.name):
                terms = RouteTerms([(offer_id, 1)], RoutePolicy.FIXED_ORDER, 0, _DEADLINE_S)
                await routing.route(session, sku.id, terms, actor=actor)
        return see_other(
            request,
            f"{base(tenant)}/products/{made.id}",
            flash=N_("Cloned as a draft. Look over its prices, then put it on sale."),
        )


class CategoryClonePages(Controller):
    path = "/m/{tenant_slug:str}/categories/{category_id:uuid}/clone"
    guards = (may(Permission.CATALOG_EDIT),)

    @get()
    async def ask(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, category_id: FromPath[UUID]) -> Response[str]:
        category = await queries.category_or_404(session, category_id)
        return page(request, _CATEGORY, **await _category_context(session, tenant, category))

    @post()
    async def clone(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        category_id: FromPath[UUID],
    ) -> Response[Any]:
        category = await queries.category_or_404(session, category_id)
        context = await _category_context(session, tenant, category)
        form = parse(CategoryCloneForm, sent, retry=_CATEGORY, **context)
        try:
            made = await cloning.clone_category(session, category_id, name=form.name, actor=actor)
        except (CategoryNameTaken, cloning.NothingToClone) as refusal:
            raise InvalidForm({"name": said(refusal)}, sent.values(), _CATEGORY, context) from None
        for first, clone in made.pairs:
            await copy_rules(session, first, clone, actor=actor)
        return see_other(
            request, f"{base(tenant)}/products?category={made.category.id}&state=draft", flash=N_("Cloned as drafts.")
        )


async def _context(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product, *, text: str | None = None
) -> dict[str, Any]:
    words = (request.query_params.get("q", "") if text is None else text).strip()[:60].replace("\x00", "")
    may_supply = may_do(request, Permission.SUPPLY_EDIT) and product.delivery_kind in ("card_key", "direct_top_up")
    return {
        "base": base(tenant),
        "product": product,
        "skus": product.on_shelf,
        "q": words,
        "may_supply": may_supply,
        "offers": await suppliers.offers_named(await raw(session), words, product.delivery_kind) if may_supply else (),
    }


def _chosen(sent: RawForm, context: dict[str, Any]) -> dict[str, UUID]:
    """The offer chosen for each SKU, by its name. Raises: InvalidForm for one that is not on the list."""
    known = {str(offer["id"]): offer["id"] for offer in context["offers"]}
    chosen = {sku.name: sent.get(f"offer-{sku.id}") for sku in context["skus"] if sent.get(f"offer-{sku.id}")}
    wrong = {f"offer-{sku.id}": gettext(NOT_AN_OFFER) for sku in context["skus"] if chosen.get(sku.name, "") not in {"", *known}}
    if wrong:
        raise InvalidForm(wrong, sent.values(), _PRODUCT, context)
    return {name: known[offer] for name, offer in chosen.items()}


async def _category_context(session: AsyncSession, tenant: Tenant, category: Category) -> dict[str, Any]:
    return {
        "base": base(tenant),
        "category": category,
        "size": (await queries.category_sizes(session)).get(category.id, 0),
        "most": cloning.MOST_AT_ONCE,
    }
