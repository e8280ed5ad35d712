"""Money: integer minor units, never float. Finer prices are Decimal and become minor units in one function."""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal

CNY = "CNY"
MAX_MINOR = 10**12
"""Ten thousand million yuan: larger amounts are refused as typing errors, and sums stay far from 2⁶³."""

_YUAN = re.compile(r"^\d{1,11}(\.\d{1,2})?$")
_COST = re.compile(r"^\d{1,10}(\.\d{1,6})?$")


def parse_minor(text: str) -> int | None:
    """Minor units of an amount as people type it ("12.5", "¥1,200", "１２"); None when it is not one."""
    plain = _plain(text)
    if not _YUAN.match(plain):
        return None
    minor = int(Decimal(plain) * 100)
    return minor if minor <= MAX_MINOR else None


def plain_minor(amount_minor: int) -> str:
    """An amount as files have it: major units with two places and a point, no sign of a currency."""
    sign, whole = ("-" if amount_minor < 0 else ""), abs(amount_minor)
    return f"{sign}{whole // 100}.{whole % 100:02d}"


def parse_cost(text: str) -> Decimal | None:
    """A unit cost of up to six decimals, in major units; None when it is not one."""
    plain = _plain(text)
    return Decimal(plain) if _COST.match(plain) else None


def line_minor(unit: Decimal, quantity: int) -> int:
    """Minor units of a line whose unit price is finer: rounded once, half up."""
    return int((unit * quantity * 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


def split_minor(total_minor: int, weights: Sequence[int]) -> list[int]:
    """Parts of a total in proportion to weights, by largest remainder: never below zero, and they sum to the total.

    Ties go to the earlier part; with no weight at all the first part takes everything.
    """
    assert total_minor >= 0
    assert weights
    assert all(w >= 0 for w in weights)
    whole = sum(weights)
    if whole == 0:
        return [total_minor] + [0] * (len(weights) - 1)
    parts = [total_minor * w // whole for w in weights]
    remainders = sorted(range(len(weights)), key=lambda i: (-(total_minor * weights[i] % whole), i))
    for i in remainders[: total_minor - sum(parts)]:
        parts[i] += 1
    return parts


def _plain(text: str) -> str:
    narrow = "".join(chr(ord(c) - 0xFEE0) if "！" <= c <= "～" else c for c in text.strip())
    return narrow.removeprefix("¥").removeprefix("￥").replace(",", "").strip()
