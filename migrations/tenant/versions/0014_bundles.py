"""bundles: what they hold, the lines of their parts, and the case of one that could only be delivered in part

The order function of the revision before stays beside its successor, for the processes that still call it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import functions

revision = '0014'
down_revision = '0013'
branch_labels = None
depends_on = None

_CASES = (
    "kind in ('work_failed', 'refund_declined', 'mismatch', 'wrong_amount', 'supplier_unknown', 'supplier_late', 'bad_goods', 'spare_goods', 'wrong_account', 'broken_bundle', 'not_handed_over')"
)


def upgrade() -> None:
    op.create_table('bundle',
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('policy', sa.Text(), server_default='partial', nullable=False),
    sa.CheckConstraint("policy in ('partial', 'whole')", name=op.f('ck_bundle_policy_known')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_bundle_sku_id')),
    sa.PrimaryKeyConstraint('sku_id', name=op.f('pk_bundle'))
    )
    op.create_table('bundle_part',
    sa.Column('bundle_sku_id', sa.Uuid(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('position', sa.Integer(), server_default='0', nullable=False),
    sa.CheckConstraint('quantity between 1 and 20', name=op.f('ck_bundle_part_quantity_bounded')),
    sa.CheckConstraint('bundle_sku_id <> sku_id', name=op.f('ck_bundle_part_not_of_itself')),
    sa.ForeignKeyConstraint(['bundle_sku_id'], ['bundle.sku_id'], name=op.f('fk_bundle_part_bundle_sku_id')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_bundle_part_sku_id')),
    sa.PrimaryKeyConstraint('bundle_sku_id', 'sku_id', name=op.f('pk_bundle_part'))
    )
    op.create_index('ix_bundle_part_sku', 'bundle_part', ['sku_id'], unique=False)
    op.add_column('order_line', sa.Column('parent_line_id', sa.Uuid(), nullable=True))
    op.add_column('order_line', sa.Column('bundle_policy', sa.Text(), nullable=True))
    op.create_foreign_key(op.f('fk_order_line_parent_line_id'), 'order_line', 'order_line', ['parent_line_id'], ['id'])
    op.drop_constraint(op.f('ck_order_line_total_is_price_times_quantity'), 'order_line', type_='check')
    op.create_check_constraint(
        op.f('ck_order_line_total_is_price_times_quantity'),
        'order_line',
        sa.text('parent_line_id is not null or total_minor = unit_price_minor * quantity'),
    )
    op.create_check_constraint(
        op.f('ck_order_line_policy_of_bundles'), 'order_line', sa.text("(bundle_policy is not null) = (delivery_kind = 'bundle')")
    )
    op.drop_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', type_='check')
    op.create_check_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', sa.text(_CASES))
    functions.create()


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
