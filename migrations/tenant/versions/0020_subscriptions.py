"""subscriptions: plans, what lines of them buy, subscriptions and their cycles; units that hold no stock before their day

The function of the revision before stays beside its successor, for the processes that still call it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import functions

revision = '0020'
down_revision = '0019'
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, states in _STATES.items():
        op.drop_constraint(op.f(f'ck_{table}_state_known'), table, type_='check')
        op.create_check_constraint(op.f(f'ck_{table}_state_known'), table, sa.text(f'state in ({states})'))
    op.drop_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', type_='check')
    op.create_check_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', sa.text(f'kind in ({_CASES})'))
    op.create_table('subscription_plan',
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('delivers_sku_id', sa.Uuid(), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('cycle_unit', sa.Text(), nullable=False),
    sa.Column('cycle_length', sa.Integer(), nullable=False),
    sa.Column('cycles', sa.Integer(), nullable=False),
    sa.Column('grace_days', sa.Integer(), nullable=False),
    sa.CheckConstraint("cycle_unit in ('day', 'month')", name=op.f('ck_subscription_plan_cycle_unit_known')),
    sa.CheckConstraint('quantity between 1 and 20', name=op.f('ck_subscription_plan_quantity_bounded')),
    sa.CheckConstraint('cycle_length between 1 and 366', name=op.f('ck_subscription_plan_length_bounded')),
    sa.CheckConstraint('cycles between 1 and 36', name=op.f('ck_subscription_plan_cycles_bounded')),
    sa.CheckConstraint('grace_days between 0 and 60', name=op.f('ck_subscription_plan_grace_bounded')),
    sa.CheckConstraint('sku_id <> delivers_sku_id', name=op.f('ck_subscription_plan_not_of_itself')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_subscription_plan_sku_id')),
    sa.ForeignKeyConstraint(['delivers_sku_id'], ['sku.id'], name=op.f('fk_subscription_plan_delivers_sku_id')),
    sa.PrimaryKeyConstraint('sku_id', name=op.f('pk_subscription_plan'))
    )
    op.create_table('subscription',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('order_line_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Text(), server_default='active', nullable=False),
    sa.Column('cycle_unit', sa.Text(), nullable=False),
    sa.Column('cycle_length', sa.Integer(), nullable=False),
    sa.Column('grace_days', sa.Integer(), nullable=False),
    sa.Column('first_day', sa.Date(), nullable=False),
    sa.Column('last_day', sa.Date(), nullable=False),
    sa.Column('reminded_for', sa.Date(), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('active', 'cancelled', 'in_grace', 'ended')", name=op.f('ck_subscription_state_known')),
    sa.CheckConstraint("cycle_unit in ('day', 'month')", name=op.f('ck_subscription_cycle_unit_known')),
    sa.CheckConstraint('first_day <= last_day', name=op.f('ck_subscription_days_in_order')),
    sa.CheckConstraint("(state = 'ended') = (ended_at is not null)", name=op.f('ck_subscription_ended_when_ended')),
    sa.ForeignKeyConstraint(['order_line_id'], ['order_line.id'], name=op.f('fk_subscription_order_line_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_subscription')),
    sa.UniqueConstraint('order_line_id', name=op.f('uq_subscription_order_line_id'))
    )
    op.create_index('ix_subscription_state', 'subscription', ['state', 'created_at'], unique=False)
    op.create_table('subscription_purchase',
    sa.Column('order_line_id', sa.Uuid(), nullable=False),
    sa.Column('subscription_id', sa.Uuid(), nullable=True),
    sa.Column('cycle_unit', sa.Text(), nullable=False),
    sa.Column('cycle_length', sa.Integer(), nullable=False),
    sa.Column('grace_days', sa.Integer(), nullable=False),
    sa.CheckConstraint("cycle_unit in ('day', 'month')", name=op.f('ck_subscription_purchase_cycle_unit_known')),
    sa.ForeignKeyConstraint(['order_line_id'], ['order_line.id'], name=op.f('fk_subscription_purchase_order_line_id')),
    sa.ForeignKeyConstraint(['subscription_id'], ['subscription.id'], name=op.f('fk_subscription_purchase_subscription_id')),
    sa.PrimaryKeyConstraint('order_line_id', name=op.f('pk_subscription_purchase'))
    )
    op.create_index('ix_subscription_purchase_subscription', 'subscription_purchase', ['subscription_id'], unique=False)
    op.create_table('subscription_cycle',
    sa.Column('subscription_id', sa.Uuid(), nullable=False),
    sa.Column('cycle_no', sa.Integer(), nullable=False),
    sa.Column('order_line_id', sa.Uuid(), nullable=False),
    sa.Column('due_on', sa.Date(), nullable=False),
    sa.ForeignKeyConstraint(['subscription_id'], ['subscription.id'], name=op.f('fk_subscription_cycle_subscription_id')),
    sa.ForeignKeyConstraint(['order_line_id'], ['order_line.id'], name=op.f('fk_subscription_cycle_order_line_id')),
    sa.PrimaryKeyConstraint('subscription_id', 'cycle_no', name=op.f('pk_subscription_cycle')),
    sa.UniqueConstraint('order_line_id', name=op.f('uq_subscription_cycle_order_line_id'))
    )
    op.create_index('ix_subscription_cycle_due', 'subscription_cycle', ['due_on'], unique=False)
    functions.create()


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")


_STATES = {
    'shop_order': "'awaiting_payment', 'paid', 'running', 'delivered', 'partly_delivered', 'refunding', 'refunded', 'cancelled', 'expired'",
    'delivery_unit': "'reserved', 'scheduled', 'owed', 'delivered', 'refunding', 'refunded', 'released'",
}
_CASES = (
    "'work_failed', 'refund_declined', 'mismatch', 'wrong_amount', 'supplier_unknown', 'supplier_late', 'bad_goods', 'spare_goods', "
    "'wrong_account', 'broken_bundle', 'cycle_missed', 'not_handed_over'"
)
