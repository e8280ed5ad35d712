"""the cards that test orders brought, so that none of them is ever a buyer's"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0036'
down_revision = '0035'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        'test_order', sa.Column('card_marks', postgresql.ARRAY(sa.LargeBinary()), server_default='{}', nullable=False)
    )


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
