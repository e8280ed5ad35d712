"""The frame of the console's pages: its places, the one that is open, and the operator's own menu."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.console import lookout
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.i18n import gettext

_PLACES = (
    ("/console", N_("Tenants"), "building-2"),
    ("/console/tasks", N_("Tasks"), "list-checks"),
    ("/console/migrations", N_("Migrations"), "git-branch"),
    ("/console/health", N_("Health"), "activity"),
    ("/console/audit", N_("Platform audit"), "file-check"),
)
_RECORDS = N_("Records")


async def enter(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Put the frame into the request, so that refusals are shown in it too. Runs after the guard that found the actor."""
    state = connection.scope["state"]
    state["shell"] = {**state.get("shell", {}), **_frame(connection.scope["path"], state["actor"])}


def _frame(path: str, actor: Actor) -> dict[str, Any]:
    places = [_place(href, gettext(label), icon, path) for href, label, icon in _PLACES]
    return {
        "layout": "layouts/console.html",
        "home_href": "/console",
        "nav": [{"label": "", "items": places[:4]}, {"label": gettext(_RECORDS), "items": places[4:]}],
        "tabbar": places[:4],
        "palette": places,
        "account": {
            "name": actor.name,
            "initial": actor.name[:1].upper(),
            "links": [{"href": "/me/security", "label": gettext(N_("Security")), "icon": "shield"}],
            "sign_out_url": "/log-out",
        },
    }


def _place(href: str, label: str, icon: str, path: str) -> dict[str, Any]:
    is_open = (
        path == href or path.startswith(href + "/") if href != "/console" else path == href or path.startswith("/console/tenants")
    )
    failed = lookout.last_failed() if href == "/console/tasks" else 0
    return {"href": href, "label": label, "icon": icon, "current": is_open, "count": failed, "tone": "bad"}
