"""holds and cases: what unpaid orders may hold, keys leaving the shelf at midnight, batches turned by a task, what waits for a person

The functions of the revision before stay beside their successors, for the processes that still call them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import functions

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None

_STATES = "state in ('checking', 'ready', 'importing', 'imported', 'quarantining', 'quarantined', 'releasing', 'abandoned', 'rejected')"


def upgrade() -> None:
    op.add_column('shop_order', sa.Column('address_fingerprint', sa.LargeBinary(), nullable=True))
    op.create_index('ix_shop_order_unpaid_address', 'shop_order', ['address_fingerprint'], unique=False, postgresql_where=sa.text("state = 'awaiting_payment'"))
    op.add_column('stock', sa.Column('turns_on', sa.Date(), server_default='infinity', nullable=False))
    op.execute("""
        update stock s set turns_on = k.soonest + 1
        from (select sku_id, min(expires_on) as soonest from card_key where state = 'free' group by sku_id) k
        where k.sku_id = s.sku_id
    """)
    op.drop_constraint(op.f('ck_import_batch_state_known'), 'import_batch', type_='check')
    op.create_check_constraint(op.f('ck_import_batch_state_known'), 'import_batch', sa.text(_STATES))
    op.drop_constraint(op.f('ck_refund_reason_known'), 'refund', type_='check')
    op.create_check_constraint(op.f('ck_refund_reason_known'), 'refund', sa.text("reason in ('out_of_stock', 'paid_twice', 'merchant', 'wrong_amount')"))
    op.create_table('staff_case',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='open', nullable=False),
    sa.Column('subject_kind', sa.Text(), nullable=False),
    sa.Column('subject_id', sa.Uuid(), nullable=False),
    sa.Column('order_id', sa.Uuid(), nullable=True),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('closed_by', sa.Text(), nullable=True),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("kind in ('work_failed', 'refund_declined', 'mismatch', 'wrong_amount')", name=op.f('ck_staff_case_kind_known')),
    sa.CheckConstraint("state in ('open', 'closed')", name=op.f('ck_staff_case_state_known')),
    sa.CheckConstraint("(state = 'closed') = (closed_at is not null)", name=op.f('ck_staff_case_closed_has_instant')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_staff_case'))
    )
    op.create_index('ix_staff_case_listed', 'staff_case', ['state', 'created_at'], unique=False)
    op.create_index('ix_staff_case_order', 'staff_case', ['order_id'], unique=False)
    op.create_index('uq_staff_case_open', 'staff_case', ['kind', 'subject_id'], unique=True, postgresql_where=sa.text("state = 'open'"))
    functions.create()


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
