"""The merchant's notices behind the bell."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from litestar import Controller, Response, get, post
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.integrations import alerts
from app.integrations.alerts import EVENTS
from app.kernel.actor import Actor
from app.kernel.errors import NotFound
from app.kernel.forms import RawForm
from app.kernel.web import AnyRequest, fragment, is_partial, page, see_other
from tenants.directory import Tenant
from tenants.session import raw


class NoticePages(Controller):
    path = "/m/{tenant_slug:str}/notices"
    guards = (may(Permission.DASHBOARD_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """What the merchant's people were told, newest first. Raises: NotFound for a place that is no notice's."""
        tx, actor = await raw(session), request.scope["state"]["actor"]
        rows = await alerts.newest(tx, before=_before(request))
        until = await alerts.read_until(tx, actor.id)
        shown = [_shown(tenant, row, is_new=until is None or row["created_at"] > until) for row in rows[: alerts.PAGE]]
        context: dict[str, Any] = {
            "home": f"/m/{tenant.slug}",
            "notices": shown,
            "older": f"/m/{tenant.slug}/notices?before={shown[-1]['id']}" if len(rows) > alerts.PAGE else "",
            "is_first": "before" not in request.query_params,
            "has_new": any(one["is_new"] for one in shown),
            "may_see_robots": may_do(request, Permission.SETTINGS_VIEW),
        }
        if is_partial(request):
            return fragment(request, "integrations/_notices.html", **context)
        return page(request, "integrations/notices.html", **context)

    @post("/read")
    async def read(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        """Mark the notices up to the one named as read by whoever asks. Pressed twice, nothing more happens."""
        assert actor.id
        await alerts.mark_read(await raw(session), actor.id, _id(sent.get("until")))
        return see_other(request, f"/m/{tenant.slug}/notices")


def _before(request: AnyRequest) -> UUID | None:
    text = request.query_params.get("before")
    return None if text is None else _id(text)


def _id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound from None


def _shown(tenant: Tenant, row: Any, *, is_new: bool) -> dict[str, Any]:
    title, lines, params = alerts.words_of(row)
    return {
        "id": row["id"],
        "title": title,
        "note": " ".join(lines),
        "tone": EVENTS[row["template"]][1],
        "at": row["created_at"],
        "href": f"/m/{tenant.slug}{params['path']}" if params.get("path") else "",
        "is_new": is_new,
    }
