"""product types: goods the merchant defines, what is said of a product, and what an order keeps of both"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import functions

revision = '0008'
down_revision = '0007'
branch_labels = None
depends_on = None

_KINDS = "delivery_kind in ('card_key', 'direct_top_up', 'voucher', 'serial', 'link', 'bundle', 'subscription')"


def upgrade() -> None:
    op.create_table('product_type',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('icon', sa.Text(), server_default='ticket', nullable=False),
    sa.Column('delivery_kind', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='active', nullable=False),
    sa.Column('buyer_fields', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('refuses_virtual_numbers', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('product_fields', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint(_KINDS, name=op.f('ck_product_type_delivery_kind_known')),
    sa.CheckConstraint("state in ('active', 'retired')", name=op.f('ck_product_type_state_known')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_product_type')),
    sa.UniqueConstraint('name', name=op.f('uq_product_type_name'))
    )
    op.add_column('product', sa.Column('type_id', sa.Uuid(), nullable=True))
    op.add_column('product', sa.Column('attributes', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False))
    op.create_foreign_key(op.f('fk_product_type_id'), 'product', 'product_type', ['type_id'], ['id'])
    op.create_index(op.f('ix_product_type_id'), 'product', ['type_id'], unique=False)
    op.add_column('order_line', sa.Column('attributes', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False))
    op.add_column('recharge_account', sa.Column('shown', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False))
    functions.create()


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
