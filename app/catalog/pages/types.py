"""The merchant's own types of goods: built from fields without code, listed, changed, retired, deleted while nothing is of them."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import AfterValidator, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import accounts, forms, product_types, queries
from app.catalog.accounts import AccountField
from app.catalog.models import DeliveryKind, ProductType, TypeState
from app.catalog.pages.fields import BUYER_KINDS, PRODUCT_KINDS, context_of, read_fields, redrawn, rows_of
from app.catalog.pages.shared import KINDS, base, either, shop_changed
from app.catalog.product_types import TYPED, TypeTerms
from app.catalog.service import NoAccountFields
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Checked, Form, InvalidForm, RawForm, fail, parse
from app.kernel.i18n import said
from app.kernel.templating import register_states
from app.kernel.web import AnyRequest, page, see_other
from app.suppliers import queries as suppliers
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "catalog/type.html"
_SEVERAL = ("row", "about")
"""The two lists of a type: what its buyers state, and what is said of its products."""
register_states("product_type", {TypeState.ACTIVE: (N_("In use"), "ok"), TypeState.RETIRED: (N_("Retired"), "warn")})


def _typed(kind: DeliveryKind) -> DeliveryKind:
    if kind not in TYPED:
        raise fail(N_("Choose one of the options."))
    return kind


class TypeForm(Form):
    """A type without its fields."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\n\r]*$")]
    kind: Annotated[DeliveryKind, AfterValidator(_typed)]
    icon: Annotated[str, AfterValidator(forms.known_icon)] = "ticket"
    refuses_virtual: Checked = False


class TypePages(Controller):
    path = "/m/{tenant_slug:str}/product-types"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        context: dict[str, Any] = {
            "base": base(tenant),
            "types": await queries.types(session),
            "sizes": await queries.type_sizes(session),
            "kinds": KINDS,
            "may_edit": may_do(request, Permission.CATALOG_EDIT),
        }
        return page(request, "catalog/types.html", **context)

    @get("/new", guards=[may(Permission.CATALOG_EDIT)])
    async def new(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """An empty type; with `?offer=` its buyer fields are those a supplier's offer asks for, with `?product=` those a product has."""
        return page(request, _PAGE, **await _context(request, session, tenant))

    @post(guards=[may(Permission.CATALOG_EDIT)])
    async def create(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        context = await _context(request, session, tenant, sent=sent)
        if act := sent.get("act"):
            return _redrawn(request, sent, act, context)
        terms = _read(sent, context)
        try:
            made = await product_types.create_type(session, terms, actor=actor)
        except (product_types.TypeNameTaken, NoAccountFields) as refusal:
            raise _as_fault(sent, refusal, context) from None
        return see_other(
            request, f"{base(tenant)}/product-types/{made.id}", flash=N_("Saved. Choose it when you make a product.")
        )

    @get("/{type_id:uuid}")
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, type_id: FromPath[UUID]) -> Response[str]:
        found = await queries.type_or_404(session, type_id)
        return page(request, _PAGE, **await _context(request, session, tenant, found))

    @post("/{type_id:uuid}", guards=[may(Permission.CATALOG_EDIT)])
    async def change(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm, type_id: FromPath[UUID]
    ) -> Response[Any]:
        found = await queries.type_or_404(session, type_id)
        context = await _context(request, session, tenant, found, sent=sent)
        if act := sent.get("act"):
            return _redrawn(request, sent, act, context)
        terms = _read(sent, context)
        try:
            await product_types.change_type(session, type_id, terms, actor=actor)
        except (product_types.TypeNameTaken, NoAccountFields) as refusal:
            raise _as_fault(sent, refusal, context) from None
        await shop_changed(session, tenant)
        return see_other(
            request,
            f"{base(tenant)}/product-types/{type_id}",
            flash=N_("Saved. Orders already placed keep what they were sold with."),
        )

    @post("/{type_id:uuid}/retirement", guards=[may(Permission.CATALOG_EDIT)])
    async def retire(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm, type_id: FromPath[UUID]
    ) -> Response[Any]:
        """Retire a type, or with `act=undo` take it up again."""
        state = TypeState.ACTIVE if sent.get("act") == "undo" else TypeState.RETIRED
        await product_types.move_type(session, type_id, state, actor=actor)
        words = N_("In use again.") if state is TypeState.ACTIVE else N_("Retired. Products of this type are sold on.")
        return see_other(request, f"{base(tenant)}/product-types/{type_id}", flash=words)

    @post("/{type_id:uuid}/deletion", guards=[may(Permission.CATALOG_EDIT)])
    async def delete(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, type_id: FromPath[UUID]
    ) -> Response[Any]:
        await product_types.delete_type(session, type_id, actor=actor)
        return see_other(request, f"{base(tenant)}/product-types", flash=N_("Deleted."))


async def _context(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, found: ProductType | None = None, *, sent: RawForm | None = None
) -> dict[str, Any]:
    asked, said = await _fields(request, session, found)
    return {
        "base": base(tenant),
        "form_path": f"{base(tenant)}/product-types" + (f"/{found.id}" if found else ""),
        "type": found,
        "products": await queries.products_of_type(session, found.id) if found else (),
        "offers": await suppliers.offers_that_ask(await raw(session)) if found is None else (),
        "kinds": {kind: words for kind, words in KINDS.items() if kind in TYPED},
        "icons": forms.ICONS,
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
        **context_of(rows_of("row", asked, BUYER_KINDS, sent), rows_of("about", said, PRODUCT_KINDS, sent)),
    }


async def _fields(
    request: AnyRequest, session: AsyncSession, found: ProductType | None
) -> tuple[tuple[AccountField, ...], tuple[AccountField, ...]]:
    """The fields to show: of the type, or those a new one begins with."""
    if found is not None:
        return accounts.fields_of(found.buyer_fields), accounts.fields_of(found.product_fields)
    offer, product = request.query_params.get("offer", ""), request.query_params.get("product", "")
    try:
        if product:
            return accounts.fields_of((await queries.product_or_404(session, UUID(product))).buyer_fields), ()
        if offer:
            offered = await suppliers.offers_that_ask(await raw(session), UUID(offer))
            return (accounts.from_offer(json.loads(offered[0]["account_fields"])) if offered else ()), ()
    except ValueError:
        raise NotFound from None
    return (), ()


def _redrawn(request: AnyRequest, sent: RawForm, act: str, context: dict[str, Any]) -> Response[str]:
    values, rows = redrawn(sent, act, *(context[f"{name}_rows"] for name in _SEVERAL))
    named = rows[1] if act.partition(":")[2].startswith("about") else rows[0]
    return either(request, _PAGE, "catalog/_fields.html", **{**context, **context_of(*rows), "rows": named, "values": values})


def _read(sent: RawForm, context: dict[str, Any]) -> TypeTerms:
    """The type as it was typed, every fault of it and of its fields at once. Raises: InvalidForm."""
    errors: dict[str, str] = {}
    form, lists = None, []
    try:
        form = parse(TypeForm, sent)
    except InvalidForm as refusal:
        errors |= refusal.errors
    for prefix, kinds in zip(_SEVERAL, (BUYER_KINDS, PRODUCT_KINDS), strict=True):
        try:
            lists.append(read_fields(sent, prefix, kinds))
        except InvalidForm as refusal:
            errors |= refusal.errors
    if errors or form is None:
        raise InvalidForm(errors, sent.values(), _PAGE, context)
    return TypeTerms(form.name, form.kind, form.icon, lists[0], lists[1], form.refuses_virtual)


def _as_fault(sent: RawForm, refusal: product_types.TypeNameTaken | NoAccountFields, context: dict[str, Any]) -> InvalidForm:
    place = "name" if isinstance(refusal, product_types.TypeNameTaken) else "row"
    return InvalidForm({place: said(refusal)}, sent.values(), _PAGE, context)
