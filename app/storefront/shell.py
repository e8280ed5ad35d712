"""What every page of a shop is given before it runs: the shop's face and shelf; or the news that the shop is closed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from litestar import Response

from app.kernel.errors import DomainError
from app.kernel.web import AnyRequest, on_refusal, page
from app.storefront import carts, channels
from app.storefront.files import sheet_address
from app.storefront.shelf import Shelf, kept_shelf, shelf_of

ORDERS_HREF = "/orders"


async def enter(request: AnyRequest) -> Response[str] | None:
    """Put shelf and shell into the request; a closed shop answers here, with 503. Its state comes from the directory, so it holds at once."""
    state = request.scope["state"]
    tenant = state["tenant"]
    if not tenant.is_open and "open_when_closed" not in request.route_handler.opt:
        return page(request, "closed.html", status=503, shop_name=tenant.name, orders_href=ORDERS_HREF)
    whole = await shelf_of(tenant)
    state["channel"] = channels.asked(request, whole)
    state["shelf"] = whole.seen_from(state["channel"])
    state["shell"] = shell_of(state["shelf"], request)
    return None


def on_shop_refusal(request: AnyRequest, refusal: DomainError) -> Response[Any]:
    """A refusal in the shop's own shell, even one that came before `enter` ran."""
    state = request.scope["state"]
    if "shell" not in state and state["tenant"] is not None and (shelf := kept_shelf(state["tenant"])):
        state["shell"] = shell_of(shelf, request)
    return on_refusal(request, refusal)


def shell_of(shelf: Shelf, request: AnyRequest) -> Mapping[str, Any]:
    """What the shop's layout reads."""
    face = shelf.face
    shop = {
        "name": face.name,
        "tagline": face.tagline,
        "initial": initial_of(face.name),
        "logo_url": f"/pictures/{face.logo_id}" if face.logo_id else "",
        "brand_url": sheet_address(face.brand_color),
        "support_contact": face.support_contact,
        "cart_count": carts.count_in(request),
    }
    return {"shop": shop, "layout": "layouts/shop.html", "home_href": "/", "orders_href": ORDERS_HREF}


def initial_of(name: str) -> str:
    """The sign on the shop's tile."""
    return next((sign.upper() for sign in name if sign.isalnum()), "·")
