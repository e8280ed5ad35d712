"""What a bench may be told."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_SECONDS = 9.0


@dataclass(frozen=True)
class Options:
    """`seconds` bounds the measuring of the value, and of the reference; setting up comes on top. `tenants` is None where not told."""

    seconds: float = DEFAULT_SECONDS
    tenants: int | None = None

    @property
    def rounds(self) -> int:
        """Value and reference take turns, so that both see the same machine; medians over the rounds."""
        return 3 if self.seconds >= 3 else 1

    @property
    def round_s(self) -> float:
        return max(1.0, self.seconds / self.rounds)
