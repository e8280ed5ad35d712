"""A day's statement out of a supplier's list of orders: all of the day, page after page, as the company's own book has it; what is unreadable is unknown."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest

from app.kernel import clock
from app.suppliers.connectors import CONNECTORS, listing
from app.suppliers.connectors.port import Ability, StatementLine, StatementPage, Unknown
from tests.app.suppliers.connectors.abroad.companies import HOUSES, Shop

TELLERS = [house for house in HOUSES if Ability.STATEMENT in CONNECTORS[house.connector].traits.abilities]
pytestmark = [pytest.mark.anyio, pytest.mark.parametrize("house", TELLERS, indirect=True, ids=lambda house: house.connector)]


async def lines_of(shop: Shop, *, days_ago: int = 0) -> list[StatementLine]:
    """Every line of a day, to its last page."""
    found: list[StatementLine] = []
    cursor, day = None, clock.business_day() - timedelta(days=days_ago)
    for _ in range(20):
        page = await shop.connector.statement(day, cursor)
        assert isinstance(page, StatementPage), page
        found += page.lines
        cursor = page.next_cursor
        if cursor is None:
            return found
    raise AssertionError("there is always a next page")


async def test_a_days_orders_are_those_of_the_companys_book(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "SIZE", 2)
    purchases = [shop.house.purchase() for _ in range(5)]
    shop.simulator.script({"decision": "failure"}, on="place", out_no=purchases[3].out_no, times=1)
    for purchase in purchases:
        await shop.connector.place(purchase)
    await asyncio.sleep(0.1)
    lines = {line.out_no: line for line in await lines_of(shop)}
    ours = {
        row["out_no"]: row for row in shop.simulator.book()["purchases"] if row["out_no"] in {one.out_no for one in purchases}
    }
    assert {one.out_no for one in purchases} == set(ours) <= set(lines)
    for out_no, row in ours.items():
        line = lines[out_no]
        assert (line.supplier_ref, line.is_success) == (row["own_no"], row["state"] == "succeeded")
        assert (line.cost, line.currency) == (Decimal(str(row["cost"])), row["currency"])
        assert abs(line.at.timestamp() - row["created_at"]) < 2
    assert not lines[purchases[3].out_no].is_success
    assert not {line.out_no for line in await lines_of(shop, days_ago=5)} & set(ours), "of another day they are no part"


@pytest.mark.parametrize("body", ["html", "huge", "empty", "truncated"])
async def test_what_cannot_be_read_is_unknown(shop: Shop, body: str) -> None:
    await shop.connector.place(shop.house.purchase())
    shop.simulator.script({"body": body}, on="statement", times=1)
    assert isinstance(await shop.connector.statement(clock.business_day(), None), Unknown)


@pytest.mark.parametrize("lie", ["negative_cost", "nan_cost"])
async def test_a_cost_that_cannot_be_makes_the_page_unknown(shop: Shop, lie: str) -> None:
    await shop.connector.place(shop.house.purchase())
    shop.simulator.script({"misstate": lie}, on="statement", times=1)
    assert isinstance(await shop.connector.statement(clock.business_day(), None), Unknown)
