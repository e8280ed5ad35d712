"""Goods sold by face value: which values may be bought, and what each of them costs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from app.kernel.money import CNY


@dataclass(frozen=True, slots=True)
class ValueRange:
    """The face values of a SKU: from `least_minor` to `most_minor` in steps, all in minor units of `currency`. `rate` is the price of 1 of value."""

    least_minor: int
    most_minor: int
    step_minor: int
    rate: Decimal
    currency: str = CNY

    def holds(self, value_minor: int) -> bool:
        """Whether a value is one of those that are sold."""
        return self.least_minor <= value_minor <= self.most_minor and (value_minor - self.least_minor) % self.step_minor == 0

    def price_minor(self, value_minor: int) -> int:
        """What one of this value costs: rounded once, half up, and never less than one minor unit."""
        return max(1, int((self.rate * value_minor).quantize(Decimal(1), rounding=ROUND_HALF_UP)))

    def beside(self, value_minor: int) -> tuple[int, int]:
        """The values next to one that lies between two of them: the one below, and the one above or the greatest."""
        below = value_minor - (value_minor - self.least_minor) % self.step_minor
        return below, min(below + self.step_minor, self.greatest_minor)

    @property
    def greatest_minor(self) -> int:
        """The greatest value that a step ends on."""
        return self.most_minor - (self.most_minor - self.least_minor) % self.step_minor

    def probes(self) -> tuple[int, ...]:
        """The values by which it is judged whether a supplier sells all of them: both ends, and one step on."""
        return tuple(
            sorted({self.least_minor, min(self.least_minor + self.step_minor, self.greatest_minor), self.greatest_minor})
        )
