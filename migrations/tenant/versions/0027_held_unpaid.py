"""what a buyer holds unpaid is found by one index, however old the plan"""

from __future__ import annotations

from migrations import functions

revision = '0027'
down_revision = '0026'
branch_labels = None
depends_on = None


def upgrade() -> None:
    functions.create()


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
