"""after-sales: buyers' cases, their remedies and claims; a delivered unit that is owed anew"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('after_sale_policy',
    sa.Column('id', sa.SmallInteger(), server_default='1', nullable=False),
    sa.Column('auto_most_minor', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('prefers', sa.Text(), server_default='replace', nullable=False),
    sa.Column('auto_per_buyer', sa.Integer(), server_default='2', nullable=False),
    sa.Column('auto_per_day', sa.Integer(), server_default='50', nullable=False),
    sa.Column('report_days', sa.SmallInteger(), server_default='30', nullable=False),
    sa.Column('staff_hours', sa.SmallInteger(), server_default='24', nullable=False),
    sa.Column('buyer_hours', sa.SmallInteger(), server_default='72', nullable=False),
    sa.Column('rate_bp', sa.Integer(), server_default='500', nullable=False),
    sa.Column('rate_least', sa.Integer(), server_default='5', nullable=False),
    sa.Column('replies', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.CheckConstraint("prefers in ('replace', 'refund')", name=op.f('ck_after_sale_policy_prefers_known')),
    sa.CheckConstraint('auto_most_minor >= 0 and auto_per_buyer >= 0 and auto_per_day >= 0', name=op.f('ck_after_sale_policy_bounds_not_negative')),
    sa.CheckConstraint('id = 1', name=op.f('ck_after_sale_policy_one_row')),
    sa.CheckConstraint('rate_bp between 1 and 10000 and rate_least > 0', name=op.f('ck_after_sale_policy_rate_sensible')),
    sa.CheckConstraint('report_days > 0 and staff_hours > 0 and buyer_hours > 0', name=op.f('ck_after_sale_policy_times_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_after_sale_policy'))
    )
    op.create_table('guide_answer',
    sa.Column('order_line_id', sa.Uuid(), nullable=False),
    sa.Column('unit_no', sa.Integer(), nullable=False),
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('has_helped', sa.Boolean(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('order_line_id', 'unit_no', name=op.f('pk_guide_answer'))
    )
    op.create_index('ix_guide_answer_product', 'guide_answer', ['product_id', 'at'], unique=False)
    op.create_table('rate_alert',
    sa.Column('subject_kind', sa.Text(), nullable=False),
    sa.Column('subject_id', sa.Uuid(), nullable=False),
    sa.Column('raised_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("subject_kind in ('connection', 'sku', 'batch')", name=op.f('ck_rate_alert_subject_kind_known')),
    sa.PrimaryKeyConstraint('subject_kind', 'subject_id', name=op.f('pk_rate_alert'))
    )
    op.create_table('product_guide',
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('steps', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('settles_itself', sa.Boolean(), server_default='true', nullable=False),
    sa.ForeignKeyConstraint(['product_id'], ['product.id'], name=op.f('fk_product_guide_product_id')),
    sa.PrimaryKeyConstraint('product_id', name=op.f('pk_product_guide'))
    )
    op.create_table('after_sale_case',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('case_no', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='reported', nullable=False),
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('order_line_id', sa.Uuid(), nullable=False),
    sa.Column('unit_no', sa.Integer(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('contact_fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('complaint', sa.Text(), nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('unit_cost', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('delivered_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('masked', sa.Text(), server_default='', nullable=False),
    sa.Column('card_key_id', sa.Uuid(), nullable=True),
    sa.Column('batch_id', sa.Uuid(), nullable=True),
    sa.Column('attempt_id', sa.Uuid(), nullable=True),
    sa.Column('connection_id', sa.Uuid(), nullable=True),
    sa.Column('minted_id', sa.Uuid(), nullable=True),
    sa.Column('is_own', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('verdict', sa.Text(), server_default='not_checked', nullable=False),
    sa.Column('times_checked', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('evidence', sa.Text(), server_default='', nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('overdue_told_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.Text(), server_default='', nullable=False),
    sa.Column('objected_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("complaint in ('invalid', 'used_already', 'not_arrived', 'wrong_amount', 'refused', 'other', 'bad_batch')", name=op.f('ck_after_sale_case_complaint_known')),
    sa.CheckConstraint("state in ('reported', 'checking_with_supplier', 'awaiting_staff', 'awaiting_buyer', 'replacing', 'refunding', 'replaced', 'refunded', 'rejected', 'withdrawn')", name=op.f('ck_after_sale_case_state_known')),
    sa.CheckConstraint("verdict in ('not_checked', 'delivered', 'denied', 'unknown', 'batch_good', 'batch_bad', 'never_used', 'used')", name=op.f('ck_after_sale_case_verdict_known')),
    sa.ForeignKeyConstraint(['order_line_id', 'unit_no'], ['delivery_unit.order_line_id', 'delivery_unit.unit_no'], name=op.f('fk_after_sale_case_order_line_id_unit_no')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_after_sale_case')),
    sa.UniqueConstraint('case_no', name=op.f('uq_after_sale_case_case_no'))
    )
    op.create_index('ix_after_sale_case_buyer', 'after_sale_case', ['contact_fingerprint', 'created_at'], unique=False)
    op.create_index('ix_after_sale_case_created', 'after_sale_case', ['created_at'], unique=False)
    op.create_index('ix_after_sale_case_listed', 'after_sale_case', ['state', 'due_at'], unique=False)
    op.create_index('ix_after_sale_case_order', 'after_sale_case', ['order_id'], unique=False)
    op.create_index('uq_after_sale_case_open', 'after_sale_case', ['order_line_id', 'unit_no'], unique=True, postgresql_where=sa.text("state in ('reported', 'checking_with_supplier', 'awaiting_staff', 'awaiting_buyer', 'replacing', 'refunding')"))
    op.create_table('after_sale_message',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('author', sa.Text(), nullable=False),
    sa.Column('author_name', sa.Text(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("author in ('buyer', 'staff', 'note')", name=op.f('ck_after_sale_message_author_known')),
    sa.ForeignKeyConstraint(['case_id'], ['after_sale_case.id'], name=op.f('fk_after_sale_message_case_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_after_sale_message'))
    )
    op.create_index('ix_after_sale_message_case', 'after_sale_message', ['case_id', 'at'], unique=False)
    op.create_table('after_sale_picture',
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('media_type', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['case_id'], ['after_sale_case.id'], name=op.f('fk_after_sale_picture_case_id')),
    sa.PrimaryKeyConstraint('case_id', name=op.f('pk_after_sale_picture'))
    )
    op.create_table('after_sale_remedy',
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('order_line_id', sa.Uuid(), nullable=False),
    sa.Column('unit_no', sa.Integer(), nullable=False),
    sa.Column('contact_fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('is_automatic', sa.Boolean(), nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('new_cost', sa.Numeric(precision=18, scale=6), nullable=True),
    sa.Column('made_by', sa.Text(), nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("kind in ('replace', 'refund')", name=op.f('ck_after_sale_remedy_kind_known')),
    sa.ForeignKeyConstraint(['case_id'], ['after_sale_case.id'], name=op.f('fk_after_sale_remedy_case_id')),
    sa.ForeignKeyConstraint(['order_line_id', 'unit_no'], ['delivery_unit.order_line_id', 'delivery_unit.unit_no'], name=op.f('fk_after_sale_remedy_order_line_id_unit_no')),
    sa.PrimaryKeyConstraint('case_id', name=op.f('pk_after_sale_remedy'))
    )
    op.create_index('ix_after_sale_remedy_made', 'after_sale_remedy', ['made_at'], unique=False)
    op.create_index('uq_after_sale_remedy_running', 'after_sale_remedy', ['order_line_id', 'unit_no'], unique=True, postgresql_where=sa.text('ended_at is null'))
    op.create_table('supplier_claim',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('case_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Text(), server_default='open', nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=True),
    sa.Column('batch_id', sa.Uuid(), nullable=True),
    sa.Column('attempt_id', sa.Uuid(), nullable=True),
    sa.Column('amount', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('is_late', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(state = 'open') = (decided_at is null)", name=op.f('ck_supplier_claim_decided_has_instant')),
    sa.CheckConstraint("state in ('open', 'accepted', 'rejected')", name=op.f('ck_supplier_claim_state_known')),
    sa.CheckConstraint('(connection_id is null) <> (batch_id is null)', name=op.f('ck_supplier_claim_against_one')),
    sa.CheckConstraint('amount >= 0', name=op.f('ck_supplier_claim_amount_not_negative')),
    sa.ForeignKeyConstraint(['case_id'], ['after_sale_case.id'], name=op.f('fk_supplier_claim_case_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_supplier_claim')),
    sa.UniqueConstraint('case_id', name=op.f('uq_supplier_claim_case_id'))
    )
    op.create_index('ix_supplier_claim_listed', 'supplier_claim', ['state', 'created_at'], unique=False)
    op.add_column('delivery_unit', sa.Column('lost_cost', sa.Numeric(precision=18, scale=6), server_default='0', nullable=False))
    op.drop_constraint(op.f('uq_minted_good_order_line_id_unit_no'), 'minted_good', type_='unique')
    op.create_index('ix_minted_good_unit', 'minted_good', ['order_line_id', 'unit_no'], unique=False)
    op.create_index('uq_minted_good_unit', 'minted_good', ['order_line_id', 'unit_no'], unique=True, postgresql_where=sa.text("state = 'valid'"))
    op.add_column('shop_order', sa.Column('owed_again_at', sa.DateTime(timezone=True), nullable=True))
    op.drop_constraint(op.f('ck_refund_reason_known'), 'refund', type_='check')
    op.create_check_constraint(
        op.f('ck_refund_reason_known'), 'refund', sa.text("reason in ('out_of_stock', 'paid_twice', 'merchant', 'wrong_amount', 'after_sale')")
    )
    op.drop_constraint(op.f('ck_attempt_state_known'), 'attempt', type_='check')
    op.create_check_constraint(
        op.f('ck_attempt_state_known'),
        'attempt',
        sa.text("state in ('planned', 'sending', 'accepted', 'unknown', 'succeeded', 'failed', 'succeeded_late', 'replaced')"),
    )


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
