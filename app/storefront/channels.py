"""Links of sales channels: who comes by one sees the channel's prices and stock for a week, and his orders carry its code."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get
from litestar.params import FromPath

from app.catalog.channels import STOREFRONT
from app.kernel.errors import NotFound
from app.kernel.web import AnyRequest, see_other, set_cookie
from app.storefront.shelf import Shelf, shelf_of
from tenants.directory import Tenant

COOKIE = "__Host-q_channel"
_KEPT_S = 7 * 86_400


def asked(request: AnyRequest, shelf: Shelf) -> str:
    """The sales channel this browser came by, while it is open; else the shop itself."""
    code = request.cookies.get(COOKIE, STOREFRONT)
    return code if code in shelf.channels else STOREFRONT


class ChannelLinks(Controller):
    """A link of a channel leads to the shop or to one product. One that is closed or unknown leads nowhere."""

    path = "/c/{code:str}"

    @get()
    async def enter(self, request: AnyRequest, tenant: Tenant, code: FromPath[str]) -> Response[Any]:
        return await _enter(request, tenant, code, "/")

    @get("/{product_id:uuid}")
    async def enter_at(
        self, request: AnyRequest, tenant: Tenant, code: FromPath[str], product_id: FromPath[UUID]
    ) -> Response[Any]:
        if product_id not in (await shelf_of(tenant)).products:
            raise NotFound
        return await _enter(request, tenant, code, f"/products/{product_id}")


async def _enter(request: AnyRequest, tenant: Tenant, code: str, target: str) -> Response[Any]:
    if code not in (await shelf_of(tenant)).channels:
        raise NotFound
    set_cookie(request, COOKIE, "" if code == STOREFRONT else code, max_age=_KEPT_S)
    return see_other(request, target)
