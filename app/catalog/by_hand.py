"""What a product that people deliver promises: within how many hours. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_HOURS = 30 * 24


@dataclass(frozen=True, slots=True)
class Promise:
    """`within_h` counts from the payment."""

    within_h: int = 24


def promise_of(stored: Mapping[str, Any]) -> Promise:
    """A promise as a row keeps it."""
    return Promise(stored.get("within_h", 24))


def stored(promise: Promise) -> dict[str, Any]:
    """A promise as a row keeps it."""
    return {"within_h": promise.within_h}
