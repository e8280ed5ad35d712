"""Which SKUs might be culled, by what they sold, tie up and gave back. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.kernel.errors import N_
from app.kernel.money import line_minor

LONG_COVER_DAYS = 180
BAD_BP, BAD_LEAST = 2_000, 5
"""From so many basis points of failed units on, of so many at least, a SKU is said to fail often."""
NOTHING_SOLD = N_("nothing sold in %(days)s days")
LONG_COVER = N_("stock for %(cover)s days")
FAILS = N_("%(percent)s%% of its units were given back")


@dataclass(frozen=True, slots=True)
class Culled:
    """A SKU that might be culled, with the evidence: why, as msgids and their facts."""

    sku_id: Any
    product_id: Any
    listing_id: Any
    name: str
    price_minor: int
    was_minor: int | None
    left_units: int
    value_minor: int
    sold: int
    cover_days: int | None
    failed_bp: int
    back_minor: int
    searched: int
    """How many searches would have found it."""
    why: tuple[tuple[str, Mapping[str, object]], ...]


def cull(row: Mapping[str, Any], *, days: int) -> Culled | None:
    """Whether a SKU on sale is a candidate: it sold nothing though there is stock, has stock for very long, or is given back too often."""
    cover = row["left_units"] * days // row["sold"] if row["sold"] else None
    units = row["sold"] + row["failed"]
    failed_bp = row["failed"] * 10_000 // units if units else 0
    why: list[tuple[str, Mapping[str, object]]] = []
    if row["left_units"] and row["keys"] and not row["sold"]:
        why.append((NOTHING_SOLD, {"days": days}))
    if cover is not None and row["keys"] and cover > LONG_COVER_DAYS:
        why.append((LONG_COVER, {"cover": cover}))
    if units >= BAD_LEAST and failed_bp >= BAD_BP:
        why.append((FAILS, {"percent": failed_bp // 100}))
    if not why:
        return None
    return Culled(
        row["sku_id"], row["product_id"], row["listing_id"], row["name"], row["price_minor"], row["was_minor"], row["left_units"],
        line_minor(row["cost"], 1) if row["cost"] else 0, row["sold"], cover, failed_bp, row["back_minor"], row["searched"], tuple(why),
    )  # fmt: skip
