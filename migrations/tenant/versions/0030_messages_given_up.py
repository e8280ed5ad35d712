"""cases of messages that nobody took, and the view each person's order list opens with"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0030'
down_revision = '0029'
branch_labels = None
depends_on = None

_CASES = (
    "'work_failed', 'refund_declined', 'mismatch', 'wrong_amount', 'supplier_unknown', 'supplier_late', 'bad_goods', 'spare_goods', 'wrong_account', "
    "'broken_bundle', 'cycle_missed', 'not_handed_over', 'message_failed'"
)


def upgrade() -> None:
    op.drop_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', type_='check')
    op.create_check_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', sa.text(f'kind in ({_CASES})'))
    op.create_table('order_view_default',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('view_id', sa.Uuid(), nullable=False),
    sa.ForeignKeyConstraint(['view_id'], ['order_view.id'], name=op.f('fk_order_view_default_view_id'), ondelete='cascade'),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_order_view_default'))
    )
    op.create_index('ix_order_view_default_view', 'order_view_default', ['view_id'], unique=False)


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
