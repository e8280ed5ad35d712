"""Sales channels: naming them and their links, and what differs of a product in each."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import AfterValidator, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.catalog import channels
from app.catalog.channels import STOREFRONT, ChannelTaken, TooManyChannels, channel_code
from app.catalog.models import SalesChannel
from app.catalog.pages.shared import base, shop_changed
from app.catalog.queries import product_or_404, ranges_of
from app.kernel import links
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Checked, Form, InvalidForm, OptionalAmount, RawForm, fail, parse, parse_part
from app.kernel.i18n import said
from app.kernel.web import AnyRequest, page, see_other
from app.pricing.channels import ByValueHere, Differs, set_listings
from app.pricing.floors import BelowFloor
from tenants.directory import Tenant

_INDEX = "pricing/channels.html"
_PRODUCT = "pricing/channel_listings.html"


def _code(value: str) -> str:
    try:
        return channel_code(value)
    except ValueError:
        raise fail(N_("2 to 32 small letters, digits and hyphens, such as mini-program.")) from None


def _above_zero(value: int | None) -> int | None:
    if value == 0:
        raise fail(N_("Type a price above zero."))
    return value


class ChannelForm(Form):
    code: Annotated[str, AfterValidator(_code)]
    name: Annotated[str, StringConstraints(min_length=1, max_length=60, pattern=r"^[^\n\r]*$")]


class SwitchForm(Form):
    is_on: Checked = False


class ListingForm(Form):
    """What differs of one SKU. An empty price is the shop's."""

    price: Annotated[OptionalAmount, AfterValidator(_above_zero)] = None
    sold: Checked = False


class ChannelPages(Controller):
    path = "/m/{tenant_slug:str}/channels"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        return page(request, _INDEX, **await _index_context(request, session, tenant))

    @post(guards=[may(Permission.CATALOG_EDIT)])
    async def add(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        context = await _index_context(request, session, tenant)
        form = parse(ChannelForm, sent, retry=_INDEX, **context)
        try:
            await channels.add_channel(session, code=form.code, name=form.name, actor=actor)
        except (ChannelTaken, TooManyChannels) as refusal:
            raise InvalidForm({"code": said(refusal)}, sent.values(), _INDEX, context) from None
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/channels", flash=N_("The channel is open. Its link leads to your shop."))

    @post("/{code:str}/switch", guards=[may(Permission.CATALOG_EDIT)])
    async def switch(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        code: FromPath[str],
    ) -> Response[Any]:
        await channels.switch_channel(session, code, is_on=parse(SwitchForm, sent).is_on, actor=actor)
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/channels", flash=N_("Saved."))


class ChannelListingPages(Controller):
    path = "/m/{tenant_slug:str}/products/{product_id:uuid}/channels"
    guards = (may(Permission.CATALOG_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, product_id: FromPath[UUID]) -> Response[str]:
        """What differs in one channel; `?channel=` names it, else it is the first. Raises: NotFound."""
        code = request.query_params.get("channel", "")
        return page(request, _PRODUCT, **await _product_context(request, session, tenant, product_id=product_id, code=code))

    @post("/{code:str}", guards=[may(Permission.CATALOG_EDIT)])
    async def change(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        product_id: FromPath[UUID],
        code: FromPath[str],
    ) -> Response[Any]:
        context = await _product_context(request, session, tenant, product_id=product_id, code=code)
        wanted, errors = _read(sent, context)
        if errors:
            raise InvalidForm(errors, sent.values(), _PRODUCT, context)
        try:
            await set_listings(session, code, product_id, wanted, actor=actor)
        except (BelowFloor, ByValueHere) as refusal:
            raise InvalidForm({"form": said(refusal)}, sent.values(), _PRODUCT, context) from None
        await shop_changed(session, tenant)
        return see_other(request, f"{base(tenant)}/products/{product_id}/channels?channel={code}", flash=N_("Saved."))


def _read(sent: RawForm, context: dict[str, Any]) -> tuple[dict[UUID, Differs], dict[str, str]]:
    wanted: dict[UUID, Differs] = {}
    errors: dict[str, str] = {}
    for row in context["rows"]:
        sku_id = row["sku"].id
        try:
            form = parse_part(ListingForm, sent, f"{sku_id}-")
        except InvalidForm as refusal:
            errors |= refusal.errors
            continue
        wanted[sku_id] = Differs(form.price, form.sold)
    return wanted, errors


async def _index_context(request: AnyRequest, session: AsyncSession, tenant: Tenant) -> dict[str, Any]:
    return {
        "base": base(tenant),
        "channels": [(one, links.shop(tenant, f"/c/{one.code}")) for one in await channels.channels(session)],
        "storefront": STOREFRONT,
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
    }


async def _product_context(
    request: AnyRequest, session: AsyncSession, tenant: Tenant, *, product_id: UUID, code: str
) -> dict[str, Any]:
    product = await product_or_404(session, product_id)
    named: list[SalesChannel] = [one for one in await channels.channels(session) if one.code != STOREFRONT]
    chosen = await channels.channel_or_404(session, code) if code else next(iter(named), None)
    known = await channels.listings_of(session, chosen.code) if chosen else {}
    ranges = await ranges_of(session, product_id)
    rows = [{"sku": sku, "listing": known.get(sku.id), "by_value": sku.id in ranges} for sku in product.on_shelf]
    return {
        "base": base(tenant),
        "product": product,
        "channels": named,
        "chosen": chosen,
        "rows": rows,
        "link": links.shop(tenant, f"/c/{chosen.code}/{product_id}") if chosen else "",
        "may_edit": may_do(request, Permission.CATALOG_EDIT),
    }
