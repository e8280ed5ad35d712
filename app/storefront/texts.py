"""The shop's own small print, the same honest words for every shop, with its merchant's contact."""

from __future__ import annotations

from litestar import Controller, Response, get

from app.kernel.web import AnyRequest, page
from app.settings import settings
from app.storefront.opening import OPEN_WHEN_CLOSED


class Texts(Controller):
    """After-sale rules, privacy, help."""

    opt = OPEN_WHEN_CLOSED

    @get("/terms")
    async def terms(self, request: AnyRequest) -> Response[str]:
        return page(request, "storefront/terms.html", minutes=settings().reservation_minutes)

    @get("/privacy")
    async def privacy(self, request: AnyRequest) -> Response[str]:
        return page(request, "storefront/privacy.html")

    @get("/help")
    async def help(self, request: AnyRequest) -> Response[str]:
        return page(request, "storefront/help.html", minutes=settings().reservation_minutes)
