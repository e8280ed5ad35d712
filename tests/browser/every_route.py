"""Pages that no hand-written list names: every address of the application that shows one, for a merchant who has one of everything."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from tests.attacks.table import ROWS
from tests.browser.conftest import Shop
from tests.browser.every_page import Surface

NO_PAGES = (
    "/static/", "/healthz", "/readyz", "/metrics", "/api/", "/pictures/", "brand.css", ".csv", "/events", "/progress", "/timeline", "/status",
    "/bad-lines", "/picture", "/.well-known/",
)  # fmt: skip
"""Files, machines' answers and parts of pages."""
ELSEWHERE = {
    "/verify/{token}": "asked for with a dead link by `every_page`",
    "/log-in/second-factor": "only after a password: tests/browser/test_opening_a_shop.py",
    "/password/reset/{token}": "only by a mail's link: tests/browser/test_opening_a_shop.py",
    "/me/security/second-factor": "shows a new secret at each visit",
    "/m/{tenant_slug}/orders/{order_no}/attempts/{attempt_id}/decision": "wants a purchase nobody knows the end of",
    "/s/products/{product_id}/proof": "leads to the product when nothing is to be proved",
    "/s/c/{code}": "leads to the shop's home",
    "/s/c/{code}/{product_id}": "leads to the product",
    "/m/{tenant_slug}/products/{product_id}/parts": "of bundles alone",
    "/m/{tenant_slug}/products/{product_id}/plan": "of subscriptions alone",
    "/m/{tenant_slug}/products/{product_id}/content": "of links alone",
    "/m/{tenant_slug}/products/{product_id}/by-hand": "of goods handed over alone",
}


def further(shop: Shop, known: Mapping[str, Surface]) -> dict[str, Surface]:
    """Who sees which pages that `known` does not have, each named by its route."""
    values = shop.hands.ask("one_of_everything", slug=shop.slug)
    paths = [urlsplit(address).path for surface in known.values() for address in surface.pages.values()]
    pages: dict[str, dict[str, str]] = {"merchant": {}, "buyer": {}}
    for route in unseen(paths):
        path = route.format(**values)
        if route.startswith("/m/"):
            pages["merchant"][route] = f"{shop.system.app_url}{path}"
        else:
            pages["buyer"][route] = shop.front(path.removeprefix("/s") or "/")
    return {who: Surface(found, shop.token if who == "merchant" else "") for who, found in pages.items()}


def unseen(paths: list[str]) -> list[str]:
    """The routes of merchants' and shops' pages that none of these addresses is of."""
    routes = [row.removeprefix("GET ") for row in ROWS if row.startswith("GET ")]
    wanted = [route for route in routes if route.startswith(("/m/", "/s/")) and not any(part in route for part in NO_PAGES)]
    seen = {route_of(path, wanted) for path in paths}
    return [route for route in wanted if route not in ELSEWHERE and route not in seen]


def route_of(path: str, routes: list[str]) -> str | None:
    """The route an address is of: of several that fit the one with the fewest places, for `/products/new` is nobody's product."""
    fitting = [route for route in routes if re.fullmatch(_pattern(route), path)]
    return min(fitting, key=lambda route: route.count("{"), default=None)


def _pattern(route: str) -> str:
    return re.sub(r"\\{\w+\\}", "[^/]+", re.escape(route.removeprefix("/s") if route.startswith("/s/") else route))
