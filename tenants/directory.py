"""Who the tenants are: one frozen value per tenant, read from `public.tenant`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

_IDENTIFIER = re.compile(r"^(public|t_[0-9a-z]{6,40}|quanyi_platform)$")


class TenantState(StrEnum):
    """`spare` is ready and unnamed; `suspended` shows closed shops and refuses sales; `closed` for good."""

    SPARE = "spare"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Tenant:
    """One merchant business: its name, and the database, schema and role that hold it."""

    id: UUID
    slug: str
    name: str
    state: TenantState
    database: str
    schema: str
    role: str
    is_reconciling: bool = False
    """Restored from a backup, and nothing is sold or sent until its books were compared with the gateways'."""
    is_paused: bool = False
    """A standing rule does not hold for it, and its sales stand still until it does."""
    trial_ends_at: datetime | None = None
    """It is a trial: it reaches nobody outside, and is deleted with all it holds from then on."""

    def __post_init__(self) -> None:
        for identifier in (self.schema, self.role):
            if not _IDENTIFIER.match(identifier):
                raise ValueError(f"not a tenant's identifier: {identifier!r}")

    @property
    def is_open(self) -> bool:
        """Whether its shops sell."""
        return self.state is TenantState.ACTIVE and not self.is_reconciling and not self.is_paused


PLATFORM = Tenant(UUID(int=0), "platform", "Quanyi", TenantState.ACTIVE, "main", "public", "quanyi_platform")
"""The platform's own tables, reached through the same two doors as a tenant's."""

COLUMNS = (
    "id, slug, name, state, database, schema_name, role_name, "
    "reconciling_since is not null as is_reconciling, paused_since is not null as is_paused, trial_ends_at"
)


def tenant_of(row: Any) -> Tenant:
    """The tenant of a row that selected `COLUMNS`."""
    return Tenant(
        row["id"],
        row["slug"] or "",
        row["name"] or "",
        TenantState(row["state"]),
        row["database"],
        row["schema_name"],
        row["role_name"],
        row["is_reconciling"],
        row["is_paused"],
        row["trial_ends_at"],
    )
