"""What the ledger is told when units are delivered: the sale, and what the unit cost us."""

from __future__ import annotations

from decimal import Decimal

import asyncpg

from app.kernel.money import line_minor
from app.ledger.service import Posting, TransferKind


def sold(unit: asyncpg.Record, unit_cost: Decimal, *, cost_currency: str | None = None) -> list[Posting]:
    """The transfers of one delivered unit. Its cost is rounded to a minor unit here, once; what cost nothing has no transfer of it."""
    line_id, leg = unit["order_line_id"], str(unit["unit_no"])
    postings = [Posting(TransferKind.SALE, line_id, unit["amount_minor"], unit["currency"], leg=leg)]
    if cost_minor := line_minor(unit_cost, 1):
        postings.append(Posting(TransferKind.COST_OF_GOODS, line_id, cost_minor, cost_currency or unit["currency"], leg=leg))
    return postings
