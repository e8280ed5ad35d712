"""face values: a SKU may be sold by any value of a range, and a line keeps the value its buyer chose"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import functions

revision = '0019'
down_revision = '0018'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('sku_range',
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('least_minor', sa.BigInteger(), nullable=False),
    sa.Column('most_minor', sa.BigInteger(), nullable=False),
    sa.Column('step_minor', sa.BigInteger(), nullable=False),
    sa.Column('rate', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('currency', sa.Text(), server_default='CNY', nullable=False),
    sa.CheckConstraint('least_minor > 0', name=op.f('ck_sku_range_least_positive')),
    sa.CheckConstraint('most_minor >= least_minor', name=op.f('ck_sku_range_most_from_least')),
    sa.CheckConstraint('step_minor > 0', name=op.f('ck_sku_range_step_positive')),
    sa.CheckConstraint("rate > 0 and rate < 'Infinity'", name=op.f('ck_sku_range_rate_positive')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_sku_range_sku_id')),
    sa.PrimaryKeyConstraint('sku_id', name=op.f('pk_sku_range'))
    )
    op.add_column('listing', sa.Column('least_rate', sa.Numeric(precision=18, scale=6), nullable=True))
    op.add_column('order_line', sa.Column('face_value_minor', sa.BigInteger(), nullable=True))
    op.add_column('order_line', sa.Column('face_value_currency', sa.Text(), nullable=True))
    op.create_check_constraint(op.f('ck_order_line_face_value_positive'), 'order_line', sa.text('face_value_minor > 0'))
    op.create_check_constraint(op.f('ck_order_line_face_value_has_currency'), 'order_line',
        sa.text('(face_value_minor is null) = (face_value_currency is null)'))
    functions.create()


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
