"""The cart: listings and quantities in the browser's own cookie, nothing on our side. What they cost is asked of the shelf each time."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.kernel.web import AnyRequest, set_cookie
from app.ordering.rules import MOST_LINES, MOST_UNITS, Offered, TooManyLines
from app.storefront.shelf import Shelf

COOKIE = "__Host-q_cart"
_KEPT_S = 30 * 86_400

Cart = dict[UUID, int]
"""Units by listing, in the order they were put in."""


def read(request: AnyRequest) -> Cart:
    """The cart this browser brought. What cannot be read is passed over: a cookie is only what somebody typed."""
    cart: Cart = {}
    for part in request.cookies.get(COOKIE, "").split(".")[:MOST_LINES]:
        listing, _, units = part.partition("-")
        if units.isascii() and units.isdigit() and len(units) <= 3 and 1 <= int(units) <= MOST_UNITS:
            try:
                cart[UUID(hex=listing)] = int(units)
            except ValueError:
                continue
    return cart


def keep(request: AnyRequest, cart: Mapping[UUID, int]) -> None:
    """Send the cart back with this answer; an empty one takes the cookie away."""
    set_cookie(request, COOKIE, ".".join(f"{listing.hex}-{units}" for listing, units in cart.items()), max_age=_KEPT_S)


def put(cart: Cart, listing: UUID, units: int) -> Cart:
    """The cart with more units of a listing, at most as many as one line may have. Raises: TooManyLines."""
    if listing not in cart and len(cart) >= MOST_LINES:
        raise TooManyLines(most=MOST_LINES)
    return {**cart, listing: min(MOST_UNITS, cart.get(listing, 0) + units)}


def on_shelf(cart: Mapping[UUID, int], shelf: Shelf) -> list[tuple[Offered, int]]:
    """The cart's lines that are still on sale."""
    return [(shelf.offers[listing], units) for listing, units in cart.items() if listing in shelf.offers]


def count_in(request: AnyRequest) -> int:
    """How many lines the cart holds, for the sign in the head."""
    return len(read(request)) if COOKIE in request.cookies else 0
