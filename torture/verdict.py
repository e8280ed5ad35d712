"""What a run's checks found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

SHOWN = 5


@dataclass
class Verdict:
    """What broke, and what the books add up to."""

    breaches: list[str] = field(default_factory=list)
    delivered: int = 0
    refunded: int = 0
    """Units."""
    sold: Counter[str] = field(default_factory=Counter)
    """Purchases that took effect, by company."""
    resent: int = 0
    """Of these, how many were sent more than once under their number."""
    lost: Counter[str] = field(default_factory=Counter)
    """Those whose goods are no buyer's, by why: each is a case, and own stock where it is a card."""
    cases: Counter[str] = field(default_factory=Counter)
    """What is left open for a person, by kind."""

    def expect(self, says: str, found: Sequence[object]) -> None:
        if found:
            self.breaches.append(f"{says} {len(found)}: {', '.join(map(str, found[:SHOWN]))}")
