"""handovers: goods that people deliver, by when, and how they did"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0012'
down_revision = '0011'
branch_labels = None
depends_on = None


KINDS = "delivery_kind in ('card_key', 'direct_top_up', 'voucher', 'serial', 'link', 'bundle', 'subscription', 'manual')"
CASES = (
    "kind in ('work_failed', 'refund_declined', 'mismatch', 'wrong_amount', 'supplier_unknown', 'supplier_late', 'bad_goods', 'spare_goods', "
    "'wrong_account', 'not_handed_over')"
)
DELIVERED = (
    "(state = 'delivered') <= (card_key_id is not null or attempt_id is not null or minted_id is not null or handover_id is not null)"
)


def _again(table: str, name: str, condition: str) -> None:
    """A check in place of the one of its name."""
    op.drop_constraint(op.f(name), table, type_='check')
    op.create_check_constraint(op.f(name), table, sa.text(condition))


def upgrade() -> None:
    op.create_table('handover',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('order_line_id', sa.Uuid(), nullable=False),
    sa.Column('unit_no', sa.Integer(), nullable=False),
    sa.Column('secret', sa.LargeBinary(), nullable=True),
    sa.Column('masked', sa.Text(), server_default='', nullable=False),
    sa.Column('carrier', sa.Text(), server_default='', nullable=False),
    sa.Column('tracking_no', sa.Text(), server_default='', nullable=False),
    sa.Column('actor_name', sa.Text(), nullable=False),
    sa.Column('actor_id', sa.Uuid(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("secret is not null or tracking_no <> ''", name=op.f('ck_handover_something_handed_over')),
    sa.ForeignKeyConstraint(['order_line_id', 'unit_no'], ['delivery_unit.order_line_id', 'delivery_unit.unit_no'], name=op.f('fk_handover_order_line_id_unit_no')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_handover'))
    )
    op.add_column('delivery_unit', sa.Column('handover_id', sa.Uuid(), nullable=True))
    op.add_column('delivery_unit', sa.Column('due_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_delivery_unit_due', 'delivery_unit', ['due_at'], unique=False, postgresql_where=sa.text("state = 'owed' and due_at is not null"))
    op.add_column('product', sa.Column('by_hand', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False))
    _again('delivery_unit', 'ck_delivery_unit_delivered_by_something', DELIVERED)
    for table in ('product', 'product_type'):
        _again(table, f'ck_{table}_delivery_kind_known', KINDS)
    _again('staff_case', 'ck_staff_case_kind_known', CASES)


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
