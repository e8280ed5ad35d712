"""What the pages of catalog and card pools share."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from litestar import Response
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog.models import DeliveryKind, ProductState
from app.kernel.errors import N_, NotFound
from app.kernel.templating import register_states
from app.kernel.web import AnyRequest, fragment, is_partial, page
from app.storefront.shelf import forget_shelf
from tenants.directory import Tenant
from tenants.session import raw

register_states(
    "product",
    {
        ProductState.DRAFT: (N_("Draft"), ""),
        ProductState.ON_SALE: (N_("On sale"), "ok"),
        ProductState.OFF_SALE: (N_("Off sale"), "warn"),
    },
)

KINDS = {
    DeliveryKind.CARD_KEY: (N_("Card-key"), N_("Keys you import, handed out by themselves")),
    DeliveryKind.DIRECT_TOP_UP: (N_("Direct top-up"), N_("Credits the buyer's account through a supplier")),
    DeliveryKind.VOUCHER: (N_("Voucher"), N_("A code we make, redeemed at your counter")),
    DeliveryKind.SERIAL: (N_("Serial number"), N_("A licence we make for the order")),
    DeliveryKind.LINK: (N_("Link or file"), N_("A course, e-book, music or ticket, opened by its buyer alone")),
    DeliveryKind.BUNDLE: (N_("Bundle"), N_("Several products in one")),
    DeliveryKind.SUBSCRIPTION: (N_("Subscription"), N_("Delivered again each cycle")),
    DeliveryKind.MANUAL: (N_("By hand"), N_("Your team hands it over or ships it")),
}


def base(tenant: Tenant) -> str:
    """Where a merchant's pages begin."""
    return f"/m/{tenant.slug}"


def either(request: AnyRequest, whole: str, part: str, **context: Any) -> Response[str]:
    """The page `whole`, or where htmx asked for a part of it the fragment `part`, which the page includes."""
    return fragment(request, part, **context) if is_partial(request) else page(request, whole, **context)


def maybe_id(text: str | None) -> UUID | None:
    """An id that an address may name. Raises: NotFound for what is none."""
    if not text:
        return None
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


async def shop_changed(session: AsyncSession, tenant: Tenant) -> None:
    """Let the shop show what this transaction changed as soon as it is committed."""
    (await raw(session)).after_commit(partial(forget_shelf, tenant))
