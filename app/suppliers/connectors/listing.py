"""A day's statement out of a supplier's list of orders: asked page by page, wide enough for whatever zone its days are of; those of our day are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from app.kernel.clock import business_day
from app.kernel.strict_json import NotStrictJson
from app.suppliers.connectors.port import StatementLine, StatementPage, Unknown
from app.suppliers.connectors.wire import Reply, cost, entries, instant, word

SIZE = 100
"""So many orders are asked for at once."""
_MARGIN = timedelta(days=1)


def address(assumed: Mapping[str, str], day: date, cursor: str | None) -> str:
    """Where a page of the orders around a day is read: `list.path` with `{from}`, `{to}`, `{page}` or `{offset}`, and `{size}` filled in."""
    number = int(cursor or 0)
    values = {
        "{from}": (day - _MARGIN).isoformat(),
        "{to}": (day + _MARGIN).isoformat(),
        "{page}": str(number + int(assumed["list.first_page"])),
        "{offset}": str(number * SIZE),
        "{size}": str(SIZE),
    }
    path = assumed["list.path"]
    for name, value in values.items():
        path = path.replace(name, value)
    return path


def read(
    reply: Reply | Unknown,
    assumed: Mapping[str, str],
    numbers: tuple[str, str],
    is_success: Callable[[Any], bool],
    *,
    day: date,
    cursor: str | None,
) -> StatementPage | Unknown:
    """The orders of a day on one page, and where to go on while pages are full. `numbers` are the names of our number and of theirs.

    An order without a number of ours was not made by us; one without a cost or a time makes the page unreadable, as nothing is guessed of money.
    """
    if isinstance(reply, Unknown):
        return reply
    if not reply.is_success:
        return Unknown(f"the supplier answered {reply.status}", evidence=reply.evidence())
    try:
        orders = entries(reply.document, assumed["list.items"])
        lines = tuple(line for order in orders if (line := _line(order, assumed, numbers, is_success, day)) is not None)
    except NotStrictJson as fault:
        return Unknown(f"the orders cannot be read: {fault}", evidence=reply.evidence())
    return StatementPage(lines, None if len(orders) < SIZE else str(int(cursor or 0) + 1))


def _line(
    order: Any, assumed: Mapping[str, str], numbers: tuple[str, str], is_success: Callable[[Any], bool], day: date
) -> StatementLine | None:
    when, charged = instant(word(order, assumed["list.at"])), cost(order, assumed["list.cost"])
    if business_day(when) != day:
        return None
    if charged is None:
        raise NotStrictJson("an order names no cost")
    currency = assumed["list.currency"]
    return StatementLine(
        out_no=word(order, numbers[0]),
        supplier_ref=word(order, numbers[1]),
        is_success=is_success(order),
        cost=charged,
        currency=currency if currency.isupper() else word(order, currency),
        at=when,
    )
