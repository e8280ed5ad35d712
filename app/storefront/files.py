"""What pages are dressed in: the shop's colours and its pictures. Both carry a mark or an id and may be kept for ever."""

from __future__ import annotations

import hashlib
from uuid import UUID

from litestar import Controller, Response, get
from litestar.params import FromPath

from app.catalog.colors import parse_color, sheet
from app.kernel.errors import NotFound
from app.kernel.web import AnyRequest
from app.storefront.opening import OPEN_WHEN_CLOSED, shelf_in
from tenants.directory import Tenant
from tenants.session import tenant_tx

_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
_FOR_A_MINUTE = {"Cache-Control": "public, max-age=60"}


class Files(Controller):
    """Sheets and pictures of one shop."""

    opt = OPEN_WHEN_CLOSED

    @get("/brand.css")
    async def colours(self, request: AnyRequest) -> Response[str]:
        color = shelf_in(request).face.brand_color
        is_marked = sheet_address(color).endswith(f"?v={request.query_params.get('v')}")
        return Response(sheet_of(color), media_type="text/css", headers=_FOR_EVER if is_marked else _FOR_A_MINUTE)

    @get("/pictures/{picture_id:uuid}")
    async def picture(self, tenant: Tenant, picture_id: FromPath[UUID]) -> Response[bytes]:
        async with tenant_tx(tenant) as tx:
            row = await tx.fetchrow("select media_type, body from picture where id = $1", picture_id)
        if row is None:
            raise NotFound
        return Response(bytes(row["body"]), media_type=row["media_type"], headers=_FOR_EVER)


def sheet_of(color: str) -> str:
    """A shop's own sheet. What is no colour becomes the house's, and never CSS."""
    return sheet(parse_color(color) or _HOUSE, ".shop")


def sheet_address(color: str) -> str:
    """Where the sheet lies; the address changes when it does."""
    return f"/brand.css?v={hashlib.sha256(sheet_of(color).encode()).hexdigest()[:8]}"


_HOUSE = "#9a3b1b"
