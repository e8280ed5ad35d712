"""Products: the list, the form, putting on and taking off sale, pictures."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from litestar import Controller, Request, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import bundles, forms, pictures, plans, queries, richtext
from app.catalog import service as catalog
from app.catalog.forms import Chosen
from app.catalog.models import DeliveryKind, Product, ProductState, ProductType, Sku, TypeState
from app.catalog.pages.shared import KINDS, base, either, shop_changed
from app.catalog.product_types import TYPED
from app.inventory import queries as inventory
from app.kernel.actor import Actor
from app.kernel.errors import N_, BadRequest, DomainError, NotFound
from app.kernel.forms import InvalidForm, RawForm, invalid
from app.kernel.i18n import said
from app.kernel.web import page, see_other
from app.pricing import floors
from app.pricing.floors import BelowFloor
from app.suppliers import queries as suppliers
from tenants.directory import Tenant
from tenants.session import raw

AnyRequest = Request[Any, Any, Any]
PAGE = 50
_PICTURE_BODY = pictures.LARGEST_BYTES + 64 * 1024
_FORM = "catalog/form.html"
_GONE = N_("A category or SKU of this form is gone. Reload the page and choose again.")
_NO_PICTURE = N_("Choose a picture.")


class NoSupplier(DomainError):
    status = 422
    message = N_("Give each SKU a supplier first: a top-up is bought from one for every order.")


class ProductPages(Controller):
    path = "/m/{tenant_slug:str}/products"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """The list. Filters are in the address: state, q, category, page."""
        chosen = _filters(request)
        counts = await queries.counts_by_state(session, text=chosen["q"], category_id=chosen["category"])
        products = await queries.products(
            session,
            state=chosen["state"],
            text=chosen["q"],
            category_id=chosen["category"],
            page=((chosen["page"] - 1) * PAGE, PAGE),
        )
        context = {
            "base": base(tenant),
            "products": products,
            "stock": await inventory.stock_by_sku(session, [sku.id for product in products for sku in product.skus]),
            "ranges": await queries.ranges_of(session, *(product.id for product in products)),
            "categories": await queries.categories(session),
            "counts": counts,
            "chosen": chosen,
            "total": sum(counts.values()) if chosen["state"] is None else counts[chosen["state"]],
            "everything": sum((await queries.counts_by_state(session)).values()),
            "address": _address,
            "kinds": KINDS,
            "may_edit": may_do(request, Permission.CATALOG_EDIT),
            "page_size": PAGE,
        }
        return either(request, "catalog/index.html", "catalog/_list.html", **context)

    @get("/new", guards=[may(Permission.CATALOG_EDIT)])
    async def new(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        return page(request, _FORM, **await _form_context(request, session, tenant))

    @post(guards=[may(Permission.CATALOG_EDIT)])
    async def create(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        context = await _form_context(request, session, tenant, sent=sent)
        if act := sent.get("act"):
            return _redrawn(request, sent, act, context)
        terms, new_category = _read(sent, context)
        try:
            terms = await _with_category(session, terms, new_category)
            product = await catalog.create_product(session, terms, actor=actor)
        except (NotFound, catalog.SkuNameTwice, catalog.TypeRetired) as refusal:
            raise _as_fault(sent, refusal, context) from None
        if sent.get("then") == "sell" and product.delivery_kind == DeliveryKind.CARD_KEY:
            return await _sell(request, session, tenant, product, actor=actor)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product.id}", flash=N_("Saved as a draft."))

    @get("/{product_id:uuid}")
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        product = await queries.product_or_404(session, product_id)
        return page(request, _FORM, **await _form_context(request, session, tenant, product))

    @post("/{product_id:uuid}", guards=[may(Permission.CATALOG_EDIT)])
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
        product = await queries.product_or_404(session, product_id)
        context = await _form_context(request, session, tenant, product, sent=sent)
        if act := sent.get("act"):
            return _redrawn(request, sent, act, context)
        terms, new_category = _read(sent, context)
        try:
            terms = await _with_category(session, terms, new_category)
            await catalog.change_product(session, product_id, terms, actor=actor)
            await floors.hold(session, product_id)
        except (NotFound, catalog.SkuNameTwice, catalog.NothingToSell, BelowFloor) as refusal:
            raise _as_fault(sent, refusal, context) from None
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}", flash=N_("Saved."))

    @post("/{product_id:uuid}/publication", guards=[may(Permission.CATALOG_EDIT)])
    async def publish(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, product_id: FromPath[UUID]
    ) -> Response[Any]:
        await _refuse_without_supplier(session, product_id)
        await catalog.publish(session, product_id, actor=actor)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}", flash=N_("On sale now."))

    @post("/{product_id:uuid}/withdrawal", guards=[may(Permission.CATALOG_EDIT)])
    async def withdraw(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, product_id: FromPath[UUID]
    ) -> Response[Any]:
        await catalog.withdraw(session, product_id, actor=actor)
        await shop_changed(session, tenant)
        return see_other(
            request, f"{base(tenant)}/products/{product_id}", flash=N_("Off sale. Orders already placed are delivered.")
        )

    @post("/{product_id:uuid}/picture", guards=[may(Permission.CATALOG_EDIT)], request_max_body_size=_PICTURE_BODY)
    async def picture(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
    ) -> Response[Any]:
        """Take a picture in, or with `act=remove` go back to the drawn cover."""
        product = await queries.product_or_404(session, product_id)
        context = await _form_context(request, session, tenant, product)
        made = None if sent.get("act") == "remove" else await _picture(sent, context)
        await catalog.set_picture(session, product_id, made, actor=actor)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}", flash=N_("Saved."))


async def _refuse_without_supplier(session: AsyncSession, product_id: UUID) -> None:
    """A top-up has no stock of its own: it is sold when each SKU has a supplier. Raises: NotFound, NoSupplier."""
    product = await queries.product_or_404(session, product_id)
    on_shelf = [sku.id for sku in product.on_shelf]
    if product.delivery_kind == DeliveryKind.DIRECT_TOP_UP and not await suppliers.has_routes(await raw(session), on_shelf):
        raise NoSupplier


async def _sell(request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product, *, actor: Actor) -> Response[Any]:
    """Put a new product on sale at once, and go where its keys come from: without them it is shown as sold out."""
    await catalog.publish(session, product.id, actor=actor)
    await shop_changed(session, tenant)
    words = N_("On sale now. Import its keys, and it can be bought.")
    return see_other(request, f"{base(tenant)}/card-pools/{product.skus[0].id}/imports", flash=words)


async def _picture(sent: RawForm, context: dict[str, Any]) -> Any:
    upload = sent.files.get("picture")
    body = await upload.read() if upload else b""
    if not body:
        raise invalid(sent, {"picture": _NO_PICTURE}, retry=_FORM, **context)
    try:
        return await asyncio.to_thread(pictures.encoded, body)
    except (pictures.NotAPicture, pictures.PictureTooLarge) as refusal:
        raise invalid(RawForm({}, {}), {"picture": refusal.message}, retry=_FORM, **context) from None


def _filters(request: AnyRequest) -> dict[str, Any]:
    given = request.query_params
    state, category, number = given.get("state", ""), given.get("category", ""), given.get("page", "")
    text = given.get("q", "").strip()[:120]
    if "\x00" in text:
        raise BadRequest
    try:
        category_id = UUID(category) if category else None
    except ValueError:
        raise NotFound from None
    return {
        "state": ProductState(state) if state in set(ProductState) else None,
        "q": text,
        "category": category_id,
        "page": int(number) if number.isascii() and number.isdigit() and 0 < len(number) < 6 and int(number) else 1,
    }


def _address(chosen: dict[str, Any], **other: Any) -> str:
    """The list's address with some filters changed; a changed filter starts at the first page."""
    wanted = {**chosen, "page": 1, **other}
    kept = {name: str(value) for name, value in wanted.items() if value and not (name == "page" and value == 1)}
    return f"?{urlencode(kept)}" if kept else "?"


async def _form_context(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product | None = None, sent: RawForm | None = None
) -> dict[str, Any]:
    skus: list[Sku] = product.on_shelf if product else []
    types = [] if product else await queries.types(session, state=TypeState.ACTIVE)
    chosen = _chosen(
        product, types, request.query_params.get("kind") or DeliveryKind.CARD_KEY if sent is None else sent.get("kind")
    )
    rows = forms.rows_of(sent) if sent is not None else list(range(len(skus) or 1))
    return {
        "base": base(tenant),
        "product": product,
        "skus": skus,
        "rows": rows,
        "chosen": chosen,
        "kind": chosen.kind,
        "about": {one["name"]: one["value"] for one in product.attributes} if product else {},
        "typed": TYPED,
        "types": types,
        "kinds": KINDS,
        "icons": forms.ICONS,
        "hues": forms.HUES,
        "category_options": [(str(category.id), category.name) for category in await queries.categories(session)],
        "description": richtext.to_plain(product.description_html) if product else "",
        "usage": richtext.to_plain(product.usage_html) if product else "",
        "stock": await inventory.stock_by_sku(session, [sku.id for sku in skus]),
        "ranges": await queries.ranges_of(session, product.id) if product else {},
        "contents": await _contents(session, product),
        "plans": await _plans(session, product),
        "prices": await queries.price_changes(session, product.id) if product else (),
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
        "may_supply": may_do(request, Permission.SUPPLY_VIEW),
    }


async def _contents(session: AsyncSession, product: Product | None) -> dict[UUID, list[Any]]:
    """What a bundle's SKUs hold; nothing for any other product."""
    if product is None or product.delivery_kind != DeliveryKind.BUNDLE:
        return {}
    return await bundles.parts_of(await raw(session), [sku.id for sku in product.skus])


async def _plans(session: AsyncSession, product: Product | None) -> dict[UUID, Any]:
    """The plans of a subscription's SKUs; nothing for any other product."""
    if product is None or product.delivery_kind != DeliveryKind.SUBSCRIPTION:
        return {}
    return await plans.plans_of(await raw(session), [sku.id for sku in product.skus])


def _chosen(product: Product | None, types: Sequence[ProductType], named: str) -> Chosen:
    """What a product is, or what was picked for a new one: its kind or one of the merchant's types; what is neither is gone."""
    if product is not None:
        return Chosen(DeliveryKind(product.delivery_kind), product.type)
    if named in set(DeliveryKind):
        return Chosen(DeliveryKind(named))
    own = next((one for one in types if str(one.id) == named), None)
    return Chosen(DeliveryKind(own.delivery_kind), own) if own else Chosen(DeliveryKind.CARD_KEY, is_gone=True)


def _read(sent: RawForm, context: dict[str, Any]) -> tuple[catalog.ProductTerms, str]:
    try:
        return forms.read_product(sent, context["chosen"])
    except InvalidForm as refusal:
        refusal.retry = _FORM
        refusal.context = context
        raise


def _as_fault(sent: RawForm, refusal: DomainError, context: dict[str, Any]) -> InvalidForm:
    """A refusal of the service that is a fault of the form: a category or SKU that went away meanwhile, or a name used twice."""
    if isinstance(refusal, NotFound):
        return invalid(sent, {"category": _GONE}, retry=_FORM, **context)
    return InvalidForm({"skus": said(refusal)}, sent.values(), _FORM, context)


def _redrawn(request: AnyRequest, sent: RawForm, act: str, context: dict[str, Any]) -> Response[str]:
    """The form again with a row more or fewer, or for another kind; nothing is saved."""
    values, rows = sent.values(), list(context["rows"])
    verb, _, number = act.partition(":")
    if verb == "add_row" and len(rows) < forms.MOST_ROWS:
        rows.append(max(rows, default=-1) + 1)
    if verb == "remove_row" and number.isdigit() and int(number) in rows and len(rows) > 1:
        rows.remove(int(number))
        values = {name: value for name, value in values.items() if not name.startswith(f"sku-{number}-")}
    shown = {**context, "rows": rows, "values": values}
    return either(request, _FORM, "catalog/_skus.html", **shown)


async def _with_category(session: AsyncSession, terms: catalog.ProductTerms, named: str) -> catalog.ProductTerms:
    if not named:
        return terms
    return replace(terms, category_id=(await catalog.category_named(session, named)).id)
