"""The suppliers' board: connections and SKUs as they fare this moment, told by a stream, or asked for where streams are used up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final
from uuid import UUID

from litestar import Controller, Response, get
from litestar.response import ServerSentEvent, ServerSentEventMessage
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.fulfillment import showing
from app.kernel.web import AnyRequest, fragment, page
from app.suppliers import overview, rules
from app.suppliers.overview import Line
from app.suppliers.pages.shared import shared
from app.suppliers.queries import Route
from tenants.directory import Tenant
from tenants.session import Tx, raw, tenant_tx

LIVES_S: Final = 120
"""So long a stream runs; the page then opens another, whose rights are looked at anew."""
EVERY_S: Final = 2.0
SPENT_EVERY_S: Final = 30.0
"""What was spent in a day is summed anew only so often."""
MOST_STREAMS: Final = 40
"""Streams a process serves at once; whoever comes beyond them gets the board once, and asks again."""
_streams = 0


class BoardPages(Controller):
    path = "/m/{tenant_slug:str}/suppliers/board"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """The whole board. Raises: nothing."""
        return page(request, "suppliers/board.html", **await _context(request, await raw(session), tenant, _Spent()))

    @get("/events")
    async def events(self, request: AnyRequest, tenant: Tenant) -> Response[Any]:
        """The board again whenever it changed, as a stream; as one fragment to whoever takes no stream, or when too many run."""
        if "text/event-stream" in request.headers.get("accept", "") and _streams < MOST_STREAMS:
            return ServerSentEvent(_stream(request, tenant), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
        return fragment(request, "suppliers/_board.html", **await _read(request, tenant, _Spent()))


async def _stream(request: AnyRequest, tenant: Tenant) -> AsyncIterator[ServerSentEventMessage]:
    global _streams  # noqa: PLW0603  # the streams of this process
    _streams += 1
    try:
        ends, last, spent = time.monotonic() + LIVES_S, "", _Spent()
        while time.monotonic() < ends:
            html = str(fragment(request, "suppliers/_board.html", **await _read(request, tenant, spent)).content)
            if html != last:
                yield ServerSentEventMessage(data=html)
            else:
                yield ServerSentEventMessage(data=None, comment="still there")
            last = html
            await asyncio.sleep(EVERY_S)
    finally:
        _streams -= 1


@dataclass(slots=True)
class _Spent:
    """What was bought from each connection in a day, as it was summed last."""

    by_connection: dict[UUID, Decimal] = field(default_factory=dict)
    summed_at: float = float("-inf")

    async def of_now(self, tx: Tx) -> dict[UUID, Decimal]:
        if time.monotonic() - self.summed_at > SPENT_EVERY_S:
            self.by_connection, self.summed_at = await showing.spent_in_a_day(tx), time.monotonic()
        return self.by_connection


async def _read(request: AnyRequest, tenant: Tenant, spent: _Spent) -> dict[str, Any]:
    async with tenant_tx(tenant) as tx:
        return await _context(request, tx, tenant, spent)


async def _context(request: AnyRequest, tx: Tx, tenant: Tenant, known: _Spent) -> dict[str, Any]:
    lines = await overview.lines(tx)
    opened = await showing.open_by_connection(tx)
    spent = await known.of_now(tx)
    skus = await overview.routed_skus(tx)
    offer_ids = [candidate.offer_id for _, route in skus for candidate in route.candidates]
    names = await overview.offer_names(tx, offer_ids)
    calls, well = sum(line.row["calls"] for line in lines), sum(line.row["well"] for line in lines)
    unknown = [row for row in opened.values() if row["unknown"]]
    return {
        **shared(request, tenant),
        "lines": sorted(lines, key=lambda line: not line.is_troubled),
        "troubled": [line for line in lines if line.is_troubled],
        "stopped": [line for line in lines if line.standing in (overview.Standing.HELD, overview.Standing.TRIPPED)],
        "open": opened,
        "lasts": {line.row["id"]: _lasts(line, spent) for line in lines},
        "success_bp": well * 10_000 // calls if calls else None,
        "calls": calls,
        "slowest_ms": max((line.p95_ms for line in lines if line.p95_ms is not None), default=None),
        "unknown": sum(row["unknown"] for row in unknown),
        "oldest_unknown": min((row["oldest_unknown"] for row in unknown), default=None),
        "low": [line for line in lines if line.is_low],
        "offers": await overview.offer_lines(tx, await showing.unknown_by_offer(tx)),
        "skus": [_sku(row, route, names) for row, route in skus],
    }


def _lasts(line: Line, spent: dict[UUID, Decimal]) -> Decimal | None:
    return overview.forecast_days(line.row["balance"], spent.get(line.row["id"], Decimal(0)))


def _sku(row: Any, route: Route, names: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    """One SKU of the board: who would serve it this moment, or why nobody can."""
    limit = rules.most_cost(row["price_minor"], route.floor_bp) if row["price_minor"] else None
    choice = rules.choose(route.candidates, route.policy, most_cost=limit, tried=frozenset())
    return {
        "row": row,
        "able": sum(1 for one in route.candidates if rules.obstacle(one, most_cost=limit) is None),
        "offers": len(route.candidates),
        "is_uncounted": rules.is_uncounted(route.candidates, most_cost=limit),
        "serving": names.get(choice.candidate.offer_id) if choice else None,
        "says": choice.says if choice else "",
    }
