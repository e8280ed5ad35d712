"""Who acts: a person of the merchant or a program of his, a buyer, a supplier, an operator of the platform, or the system itself."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class ActorKind(StrEnum):
    STAFF = "staff"
    OPERATOR = "operator"
    BUYER = "buyer"
    MACHINE = "machine"
    """An API client of the merchant."""
    SUPPLIER = "supplier"
    """Whoever holds a supplier's private link."""
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """The one who does something, as histories and the audit chain name him."""

    kind: ActorKind
    id: UUID | None
    name: str


SYSTEM = Actor(ActorKind.SYSTEM, None, "system")
