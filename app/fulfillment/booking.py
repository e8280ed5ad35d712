"""What the ledger is told when units are delivered: the sale, and what the unit cost us."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import asyncpg

from app.kernel.money import line_minor
from app.ledger.service import Posting, TransferKind


@dataclass(frozen=True, slots=True)
class Spent:
    """What one delivery of a unit cost, in its order's currency: of which key or purchase."""

    source_id: UUID
    unit_cost: Decimal


def sold(unit: asyncpg.Record, spent: Spent | None) -> list[Posting]:
    """The transfers of one delivered unit. Its cost is rounded to a minor unit here, once; what cost nothing has no transfer of it.

    A unit served anew is sold once and spent twice: the sale goes by the unit, the cost by what was handed out.
    """
    line_id, leg = unit["order_line_id"], str(unit["unit_no"])
    postings = [Posting(TransferKind.SALE, line_id, unit["amount_minor"], unit["currency"], leg=leg)]
    if spent and (cost_minor := line_minor(spent.unit_cost, 1)):
        postings.append(Posting(TransferKind.COST_OF_GOODS, line_id, cost_minor, unit["currency"], leg=str(spent.source_id)))
    return postings
