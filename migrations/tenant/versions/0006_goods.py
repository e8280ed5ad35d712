"""goods: the account a top-up's buyers state, and the case of a wrong one; codes we mint, with their uses"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

_CASES = (
    "kind in ('work_failed', 'refund_declined', 'mismatch', 'wrong_amount', 'supplier_unknown', 'supplier_late', 'bad_goods', 'spare_goods', 'wrong_account')"
)


def upgrade() -> None:
    op.add_column('product', sa.Column('account_fields', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False))
    op.add_column('product', sa.Column('refuses_virtual_numbers', sa.Boolean(), server_default='false', nullable=False))
    op.drop_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', type_='check')
    op.create_check_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', sa.text(_CASES))
    op.add_column('product', sa.Column('minting', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False))
    op.add_column('delivery_unit', sa.Column('minted_id', sa.Uuid(), nullable=True))
    op.drop_constraint(op.f('ck_delivery_unit_delivered_by_key_or_attempt'), 'delivery_unit', type_='check')
    op.create_check_constraint(
        op.f('ck_delivery_unit_delivered_by_something'),
        'delivery_unit',
        sa.text("(state = 'delivered') <= (card_key_id is not null or attempt_id is not null or minted_id is not null)"),
    )
    op.create_table('minted_good',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('order_line_id', sa.Uuid(), nullable=False),
    sa.Column('unit_no', sa.Integer(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='valid', nullable=False),
    sa.Column('secret', sa.LargeBinary(), nullable=False),
    sa.Column('code_fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('masked', sa.Text(), nullable=False),
    sa.Column('rules', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('most_uses', sa.Integer(), nullable=False),
    sa.Column('uses', sa.Integer(), server_default='0', nullable=False),
    sa.Column('ends_on', sa.Date(), nullable=True),
    sa.Column('revoked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('valid', 'revoked')", name=op.f('ck_minted_good_state_known')),
    sa.CheckConstraint('uses between 0 and most_uses', name=op.f('ck_minted_good_no_use_too_many')),
    sa.ForeignKeyConstraint(['order_line_id', 'unit_no'], ['delivery_unit.order_line_id', 'delivery_unit.unit_no'], name=op.f('fk_minted_good_order_line_id_unit_no')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_minted_good')),
    sa.UniqueConstraint('code_fingerprint', name=op.f('uq_minted_good_code_fingerprint')),
    sa.UniqueConstraint('order_line_id', 'unit_no', name=op.f('uq_minted_good_order_line_id_unit_no'))
    )
    op.create_table('minted_use',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('minted_id', sa.Uuid(), nullable=False),
    sa.Column('use_no', sa.Integer(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('place', sa.Text(), nullable=False),
    sa.Column('who', sa.Text(), nullable=False),
    sa.Column('who_id', sa.Uuid(), nullable=True),
    sa.ForeignKeyConstraint(['minted_id'], ['minted_good.id'], name=op.f('fk_minted_use_minted_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_minted_use')),
    sa.UniqueConstraint('minted_id', 'use_no', name=op.f('uq_minted_use_minted_id_use_no'))
    )


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
