"""cover: how fast a SKU sells, and the warning of stock that lasts too few days"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0015'
down_revision = '0014'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('sku', sa.Column('warn_days', sa.Integer(), server_default='0', nullable=False))
    op.create_check_constraint(op.f('ck_sku_warn_days_bounded'), 'sku', sa.text('warn_days between 0 and 365'))
    op.add_column('stock', sa.Column('per_day', sa.Numeric(precision=12, scale=3), server_default='0', nullable=False))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
