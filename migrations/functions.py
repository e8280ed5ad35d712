"""The functions of a tenant's schema, from the slices that call them. A revision that changes one calls `create()` again."""

from __future__ import annotations

from pathlib import Path

from alembic import op

_APP = Path(__file__).resolve().parent.parent / "app"
_FILES = (
    "ordering/sql/sweep_unpaid_at.sql",
    "kernel/sql/business_day.sql",
    "inventory/sql/expire_card_keys.sql",
    "ordering/sql/held_unpaid.sql",
    "inventory/sql/take_of_quota.sql",
    "inventory/sql/trim_quotas.sql",
    "ordering/sql/place_order.sql",
    "ordering/sql/place_orders.sql",
    "inventory/sql/claim_card_keys.sql",
)


def create() -> None:
    """Create or replace every function."""
    for name in _FILES:
        op.execute((_APP / name).read_text())
