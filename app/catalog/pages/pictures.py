"""Pictures, as the merchant's own pages show them."""

from __future__ import annotations

from uuid import UUID

from litestar import Controller, Response, get
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.catalog import queries

KEPT = {"Cache-Control": "private, max-age=31536000, immutable", "Content-Disposition": "inline"}
"""A picture never changes: another one has another address."""


class PicturePages(Controller):
    path = "/m/{tenant_slug:str}/pictures"
    guards = (may(Permission.CATALOG_VIEW),)

    @get("/{picture_id:uuid}")
    async def show(self, session: AsyncSession, picture_id: FromPath[UUID]) -> Response[bytes]:
        picture = await queries.picture_or_404(session, picture_id)
        return Response(picture.body, media_type=picture.media_type, headers=KEPT)
