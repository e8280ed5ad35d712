"""What stands around a page of the back office: navigation, bottom bar, palette, switcher and account menu, of what this person may open.

Pure: it is given who asks and where, and asks nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.access.models import MemberRole
from app.access.permissions import Permission, allows
from app.access.sessions import Identity
from app.kernel import i18n, links
from app.kernel.errors import N_
from app.settings import settings
from tenants.directory import Tenant

Shell = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """One page of the back office. `path` is below the tenant's address; `group` is its quiet heading.

    Whoever has the right `within` finds it as a tab of another page, and not in the sidebar besides.
    """

    label: str
    path: str
    icon: str
    permission: Permission
    group: str = ""
    within: Permission | None = None


@dataclass(frozen=True, slots=True)
class Membership:
    """One tenant somebody works for, and as what."""

    slug: str
    name: str
    role: MemberRole


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for which page: `role` is None for an operator who looks at the merchant."""

    path: str
    identity: Identity
    memberships: Sequence[Membership]
    role: MemberRole | None = None
    unread: int = 0
    """Alerts he has not read."""

    def may(self, permission: Permission) -> bool:
        """Whether the page of this right is open to him: an operator who looks sees every page."""
        return self.role is None or allows(self.role, permission)


_GOODS, _SHOP, _PEOPLE = N_("Goods and supply"), N_("Shop"), N_("People")
PLACES = (
    Place(N_("Overview"), "", "layout-dashboard", Permission.DASHBOARD_VIEW),
    Place(N_("Orders"), "/orders", "receipt", Permission.ORDERS_VIEW),
    Place(N_("Products"), "/products", "package", Permission.CATALOG_VIEW, _GOODS),
    Place(N_("Card pools"), "/card-pools", "key-round", Permission.INVENTORY_VIEW, _GOODS),
    Place(N_("Suppliers"), "/suppliers", "plug-zap", Permission.SUPPLY_VIEW, _GOODS),
    Place(N_("Team"), "/team", "users", Permission.TEAM_VIEW, _PEOPLE),
    Place(N_("Audit log"), "/audit", "shield-check", Permission.AUDIT_VIEW, _PEOPLE),
    Place(N_("Shop settings"), "/settings", "store", Permission.SETTINGS_VIEW, _SHOP),
    Place(N_("Payments"), "/settings/payments", "wallet", Permission.PAYMENTS_VIEW, _SHOP, within=Permission.SETTINGS_VIEW),
)
"""The sidebar, eight items at most."""
COMMANDS = (
    Place(N_("New product"), "/products/new", "plus", Permission.CATALOG_EDIT),
    Place(N_("Batches for companies"), "/issues", "building-2", Permission.ISSUE_VIEW),
    Place(N_("Redeem a code"), "/redeem", "ticket", Permission.REDEEM),
    Place(N_("Import keys"), "/card-pools", "upload", Permission.INVENTORY_IMPORT),
    Place(N_("Supplier health"), "/suppliers/board", "activity", Permission.SUPPLY_VIEW),
    Place(N_("Replenishments"), "/suppliers/replenishments", "truck", Permission.SUPPLY_VIEW),
    Place(N_("Buyer levels"), "/buyer-levels", "crown", Permission.CATALOG_VIEW),
    Place(N_("Exchange rates"), "/exchange-rates", "coins", Permission.SUPPLY_VIEW),
    Place(N_("Profit"), "/profit", "chart-line", Permission.PAYMENTS_VIEW),
    Place(N_("Stock report"), "/stock-report", "chart-column", Permission.INVENTORY_VIEW),
    Place(N_("Subscriptions"), "/subscriptions", "repeat", Permission.ORDERS_VIEW),
    Place(N_("To hand over"), "/handovers", "package", Permission.ORDERS_VIEW),
    Place(N_("After-sales"), "/after-sales", "headset", Permission.ORDERS_VIEW),
    Place(N_("Failure rates"), "/after-sales/rates", "activity", Permission.SUPPLY_VIEW),
    Place(N_("Cases"), "/cases", "circle-help", Permission.ORDERS_VIEW),
    Place(N_("Categories"), "/categories", "tags", Permission.CATALOG_VIEW),
    Place(N_("Sales channels"), "/channels", "share-2", Permission.CATALOG_VIEW),
    Place(N_("Product types"), "/product-types", "layers", Permission.CATALOG_VIEW),
    Place(N_("Own domain"), "/settings/domain", "globe", Permission.SETTINGS_VIEW),
    Place(N_("API keys"), "/settings/api-keys", "key-round", Permission.API_EDIT),
    Place(N_("Group robots"), "/settings/robots", "megaphone", Permission.SETTINGS_VIEW),
    Place(N_("Webhooks"), "/settings/webhooks", "webhook", Permission.SETTINGS_VIEW),
    Place(N_("Notices"), "/notices", "bell", Permission.DASHBOARD_VIEW),
    Place(N_("Invite a colleague"), "/team#invite", "user-plus", Permission.TEAM_EDIT),
)
"""More that the palette finds."""
_MINE = ((N_("My profile"), "/me", "user-round"), (N_("Security"), "/me/security", "shield"))


def merchant_shell(asked: Asked, tenant: Tenant) -> Shell:
    """The shell of a merchant's pages."""
    root = f"/m/{tenant.slug}"
    places = [place for place in PLACES if asked.may(place.permission)]
    listed = [place for place in places if place.within is None or not asked.may(place.within)]
    current = _current(asked.path, root, listed)
    return {
        **_own(asked),
        "tenant": tenant,
        "may_api": asked.may(Permission.API_EDIT),
        "nav": _nav(listed, root, current),
        "tabbar": [_item(place, root, current) for place in listed[:4]],
        "palette": _palette(asked, tenant, places),
        "palette_search_href": f"{root}/orders?q=" if asked.may(Permission.ORDERS_VIEW) else "",
        "switcher": [{"label": m.name, "href": f"/m/{m.slug}", "current": m.slug == tenant.slug} for m in asked.memberships],
        "home_href": root,
        "view_as": _view_as(asked, tenant) if asked.role is None else None,
        "test_mode": _test_mode(asked, root),
        "trial_ends_at": tenant.trial_ends_at,
        "notices_href": f"{root}/notices",
        "notices_unread": asked.unread,
    }


def _view_as(asked: Asked, tenant: Tenant) -> dict[str, Any]:
    return {"name": tenant.name, "may_write": False, "end_url": "/view/end", "until": asked.identity.viewing_until}


def personal_shell(asked: Asked) -> Shell:
    """The shell of somebody's own pages, which belong to no tenant; his tenants stand in the sidebar."""
    mine = [
        {"label": i18n.gettext(label), "href": href, "icon": icon, "current": asked.path == href} for label, href, icon in _MINE
    ]
    shops = [{"label": m.name, "href": f"/m/{m.slug}", "icon": "store"} for m in asked.memberships[:6]]
    groups = [{"label": i18n.gettext(_ME), "items": mine}]
    if shops:
        groups.append({"label": i18n.gettext(_MY_SHOPS), "items": shops})
    return {**_own(asked), "nav": groups, "tabbar": [*mine, *shops[:2]], "home_href": "/"}


_ME, _MY_SHOPS = N_("My account"), N_("My shops")


def _own(asked: Asked) -> Shell:
    """What every shell has: the person and his menu."""
    menu = [{"label": i18n.gettext(label), "href": href, "icon": icon} for label, href, icon in _MINE]
    if asked.identity.is_operator:
        menu.append({"label": i18n.gettext(N_("Operator's console")), "href": "/console", "icon": "terminal"})
    name = asked.identity.name or asked.identity.email
    return {
        "layout": "layouts/admin.html",
        "account": {"name": name, "initial": name[0].upper(), "links": menu, "sign_out_url": "/log-out"},
    }


_BELONGS = {
    "/imports/": "/card-pools",
    "/categories": "/products",
    "/product-types": "/products",
    "/skus/": "/products",
    "/cases": "/orders",
    "/handovers": "/orders",
    "/stock-report": "/card-pools",
    "/after-sales": "/orders",
    "/subscriptions": "/orders",
    "/channels": "/products",
    "/exchange-rates": "/suppliers",
}
"""Pages without an item of their own, and the one they stand under."""


def _current(path: str, root: str, places: Sequence[Place]) -> Place | None:
    """The place a page belongs to: the one whose address is the longest beginning of its own."""
    inside = [place for place in places if path == root + place.path or (place.path and path.startswith(f"{root}{place.path}/"))]
    found = max(inside, key=lambda place: len(place.path), default=None)
    if found is None and path.startswith(tuple(root + beginning for beginning in _BELONGS)):
        wanted = next(place for beginning, place in _BELONGS.items() if path.startswith(root + beginning))
        found = next((place for place in places if place.path == wanted), None)
    return found


def _nav(places: Sequence[Place], root: str, current: Place | None) -> list[dict[str, Any]]:
    headings = list(dict.fromkeys(place.group for place in places))
    return [
        {
            "label": i18n.gettext(heading) if heading else "",
            "items": [_item(place, root, current) for place in places if place.group == heading],
        }
        for heading in headings
    ]


def _item(place: Place, root: str, current: Place | None) -> dict[str, Any]:
    return {"label": i18n.gettext(place.label), "href": root + place.path, "icon": place.icon, "current": place is current}


def _palette(asked: Asked, tenant: Tenant, places: Sequence[Place]) -> list[dict[str, str]]:
    """Every page and command, each also findable by its name in the other language."""
    other = i18n.ENGLISH if i18n.locale() == i18n.CHINESE else i18n.CHINESE
    found = [(place.label, f"/m/{tenant.slug}{place.path}", place.icon) for place in places]
    found += [(place.label, f"/m/{tenant.slug}{place.path}", place.icon) for place in COMMANDS if asked.may(place.permission)]
    found += [(N_("Open my shop"), links.shop(tenant), "external-link"), *_MINE]
    return [
        {"label": i18n.gettext(label), "href": href, "icon": icon, "hint": i18n.translate(other, label)}
        for label, href, icon in found
    ]


def _test_mode(asked: Asked, root: str) -> dict[str, Any] | None:
    if not settings().sandbox_gateway_url:
        return None
    return {"href": f"{root}/settings/payments" if asked.may(Permission.PAYMENTS_VIEW) else "", "steps_left": 0}
