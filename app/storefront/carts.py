"""The cart: listings, the face values chosen of them, and quantities in the browser's own cookie, nothing on our side.

What they cost is asked of the shelf each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.kernel.web import AnyRequest, set_cookie
from app.ordering.rules import MOST_LINES, MOST_UNITS, Offered, TooManyLines
from app.storefront.shelf import Shelf

COOKIE = "__Host-q_cart"
_KEPT_S = 30 * 86_400

Item = tuple[UUID, int | None]
"""A listing, and the face value that was chosen where it is sold by value."""
Cart = dict[Item, int]
"""Units by item, in the order they were put in."""


def read(request: AnyRequest) -> Cart:
    """The cart this browser brought. What cannot be read is passed over: a cookie is only what somebody typed."""
    cart: Cart = {}
    for part in request.cookies.get(COOKIE, "").split(".")[:MOST_LINES]:
        listing, _, rest = part.partition("-")
        units, _, value = rest.partition("-")
        if _is_number(units, 3) and 1 <= int(units) <= MOST_UNITS and (not value or _is_number(value, 13)):
            try:
                cart[UUID(hex=listing), int(value) if value else None] = int(units)
            except ValueError:
                continue
    return cart


def _is_number(text: str, most: int) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= most


def keep(request: AnyRequest, cart: Mapping[Item, int]) -> None:
    """Send the cart back with this answer; an empty one takes the cookie away."""
    parts = (f"{listing.hex}-{units}" + ("" if value is None else f"-{value}") for (listing, value), units in cart.items())
    set_cookie(request, COOKIE, ".".join(parts), max_age=_KEPT_S)


def put(cart: Cart, item: Item, units: int) -> Cart:
    """The cart with more units of an item, at most as many as one line may have. Raises: TooManyLines."""
    if item not in cart and len(cart) >= MOST_LINES:
        raise TooManyLines(most=MOST_LINES)
    return {**cart, item: min(MOST_UNITS, cart.get(item, 0) + units)}


def on_shelf(cart: Mapping[Item, int], shelf: Shelf) -> list[tuple[Offered, int]]:
    """The cart's lines that are still on sale, at face values that are."""
    found = ((_offered(shelf.offers.get(listing), value), units) for (listing, value), units in cart.items())
    return [(offered, units) for offered, units in found if offered is not None]


def _offered(offered: Offered | None, value: int | None) -> Offered | None:
    if offered is None or (offered.values is None) != (value is None):
        return None
    if offered.values is None or value is None:
        return offered
    return offered.at(value) if offered.values.holds(value) else None


def count_in(request: AnyRequest) -> int:
    """How many lines the cart holds, for the sign in the head."""
    return len(read(request)) if COOKIE in request.cookies else 0
