"""What a bundle holds: its parts, how many of each, and what happens when one of them cannot be delivered."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import BeforeValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import bundles, queries
from app.catalog.bundles import MOST_OF_ONE, MOST_PARTS, Contents
from app.catalog.models import BundlePolicy, DeliveryKind, Product, Sku
from app.catalog.pages.shared import KINDS, base, shop_changed
from app.inventory.queries import sellable
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Count, Form, InvalidForm, RawForm, parse, parse_part
from app.kernel.i18n import gettext, said
from app.kernel.web import AnyRequest, page, see_other
from app.ordering.rules import Part, share_out
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "catalog/parts.html"
_FEWEST_ROWS = 4
PRICE_TOO_SMALL = N_("Its price is less than one minor unit for each of its units. Raise the price of the bundle first.")
POLICIES = {
    BundlePolicy.PARTIAL: (N_("Deliver the rest"), N_("Exactly its share of the price goes back.")),
    BundlePolicy.WHOLE: (
        N_("Give the whole bundle back"),
        N_("Keys and codes are handed out only once every other part is delivered."),
    ),
}


class PolicyForm(Form):
    policy: BundlePolicy = BundlePolicy.PARTIAL


class RowForm(Form):
    """One part."""

    part: UUID
    quantity: Annotated[Count, BeforeValidator(lambda value: value or "1"), Field(ge=1, le=MOST_OF_ONE)] = 1


class PartsPages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/parts"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """The parts of the SKU in the address, or of the first. Raises: NotFound for other kinds."""
        product = await _bundle_or_404(session, product_id)
        wanted = request.query_params.get("sku", "")
        sku = next((one for one in product.on_shelf if str(one.id) == wanted), product.on_shelf[0])
        return page(request, _PAGE, **await _context(request, session, tenant, product, sku))

    @post("/{sku_id:uuid}", guards=[may(Permission.CATALOG_EDIT)])
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
        sku_id: FromPath[UUID],
    ) -> Response[Any]:
        product = await _bundle_or_404(session, product_id)
        sku = next((one for one in product.on_shelf if one.id == sku_id), None)
        if sku is None:
            raise NotFound
        try:
            contents = read_contents(sent)
            if sku.listing.price_minor < sum(quantity for _, quantity in contents.parts):
                raise InvalidForm({"row-0-part": gettext(PRICE_TOO_SMALL)}, sent.values())
            await bundles.fill(session, product_id, sku_id, contents, actor=actor)
        except InvalidForm as refusal:
            refusal.retry, refusal.context = _PAGE, await _context(request, session, tenant, product, sku)
            raise
        except (bundles.TooFewParts, bundles.TooManyParts, bundles.PartTwice, bundles.NotAPart) as refusal:
            raise InvalidForm(
                {"row-0-part": said(refusal)}, sent.values(), _PAGE, await _context(request, session, tenant, product, sku)
            ) from None
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}/parts?sku={sku_id}", flash=N_("Saved."))


def read_contents(sent: RawForm) -> Contents:
    """The parts as they were chosen; rows without one are left out. Raises: InvalidForm with the faults of every row."""
    errors: dict[str, str] = {}
    parts: list[tuple[UUID, int]] = []
    policy = BundlePolicy.PARTIAL
    try:
        policy = parse(PolicyForm, sent).policy
    except InvalidForm as refusal:
        errors |= refusal.errors
    for number in range(MOST_PARTS):
        at = f"row-{number}-"
        if not sent.get(at + "part").strip():
            continue
        try:
            row = parse_part(RowForm, sent, at)
        except InvalidForm as refusal:
            errors |= refusal.errors
            continue
        parts.append((row.part, row.quantity))
    if errors:
        raise InvalidForm(errors, sent.values())
    return Contents(parts, policy)


async def _bundle_or_404(session: AsyncSession, product_id: UUID) -> Product:
    product = await queries.product_or_404(session, product_id)
    if product.delivery_kind != DeliveryKind.BUNDLE or not product.on_shelf:
        raise NotFound
    return product


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant, product: Product, sku: Sku) -> dict[str, Any]:
    tx = await raw(session)
    parts = (await bundles.parts_of(tx, [sku.id])).get(sku.id, [])
    left = await sellable(tx, [part["sku_id"] for part in parts])
    return {
        "base": base(tenant),
        "product": product,
        "skus": product.on_shelf,
        "sku": sku,
        "parts": parts,
        "left": left,
        "sold_as_often": min((left[part["sku_id"]] // part["quantity"] for part in parts), default=0),
        "alone_minor": sum(part["worth_minor"] * part["quantity"] for part in parts),
        "shares": _shares(sku.listing.price_minor, parts),
        "policy": parts[0]["policy"] if parts else BundlePolicy.PARTIAL,
        "policies": POLICIES,
        "options": _options(await bundles.choices(tx), parts),
        "rows": min(MOST_PARTS, max(_FEWEST_ROWS, len(parts) + 2)),
        "most_of_one": MOST_OF_ONE,
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
    }


def _shares(price_minor: int, parts: list[Any]) -> list[int]:
    """What each part's units come to together in the price of one bundle."""
    asked = [
        Part(p["listing_id"], p["sku_id"], p["product_id"], p["product_name"], p["sku_name"], p["delivery_kind"], p["quantity"], p["worth_minor"])
        for p in parts
    ]  # fmt: skip
    if not asked:
        return []
    shares = iter(share_out(price_minor, asked))
    return [sum(next(shares) for _ in range(part.quantity)) for part in asked]


def _options(choices: list[Any], parts: list[Any]) -> list[tuple[str, str]]:
    """What may be chosen, and what is a part already though it left its shelf."""
    kept = [(str(p["sku_id"]), f"{p['product_name']} {p['sku_name']}") for p in parts]
    found = [(str(row["sku_id"]), f"{row['name']} ({gettext(KINDS[DeliveryKind(row['delivery_kind'])][0])})") for row in choices]
    known = {value for value, _ in found}
    return [("", gettext(N_("Nothing"))), *found, *(one for one in kept if one[0] not in known)]
