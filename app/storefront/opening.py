"""Which pages stay open while a shop is closed, and what every handler was given."""

from __future__ import annotations

from app.kernel.web import AnyRequest
from app.storefront.shelf import Shelf

OPEN_WHEN_CLOSED = {"public": True, "open_when_closed": True}
"""For pages about what was bought already: they work while the shop is closed."""


def shelf_in(request: AnyRequest) -> Shelf:
    """The shelf this request was given."""
    shelf: Shelf = request.scope["state"]["shelf"]
    return shelf
