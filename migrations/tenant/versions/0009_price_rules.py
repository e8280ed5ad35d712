"""price rules: what a price depends on, the levels of buyers, and the rule that priced a line

The functions of the revision before stay beside their successors, for the processes that still call them.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import functions

revision = '0009'
down_revision = '0008'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('buyer_level',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_buyer_level')),
    sa.UniqueConstraint('name', name=op.f('uq_buyer_level_name'))
    )
    op.add_column('customer', sa.Column('level_id', sa.Uuid(), nullable=True))
    op.create_foreign_key(op.f('fk_customer_level_id'), 'customer', 'buyer_level', ['level_id'], ['id'])
    op.create_index(op.f('ix_customer_level_id'), 'customer', ['level_id'], unique=False)
    op.add_column('listing', sa.Column('terms_version', sa.Integer(), server_default='1', nullable=False))
    op.add_column('order_line', sa.Column('price_rule_id', sa.Uuid(), nullable=True))
    op.add_column('order_line', sa.Column('price_rule_version', sa.Integer(), nullable=True))
    op.create_table('price_rule',
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=True),
    sa.Column('least_quantity', sa.Integer(), server_default='1', nullable=False),
    sa.Column('audience', sa.Text(), server_default='everyone', nullable=False),
    sa.Column('level_id', sa.Uuid(), nullable=True),
    sa.Column('starts_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ends_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('stock_below', sa.Integer(), nullable=True),
    sa.Column('effect', sa.Text(), nullable=False),
    sa.Column('value', sa.BigInteger(), nullable=False),
    sa.Column('priority', sa.Integer(), server_default='0', nullable=False),
    sa.Column('is_on', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('version', sa.Integer(), server_default='1', nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(audience = 'level') = (level_id is not null)", name=op.f('ck_price_rule_level_of_its_audience')),
    sa.CheckConstraint("audience in ('everyone', 'registered', 'level')", name=op.f('ck_price_rule_audience_known')),
    sa.CheckConstraint("effect <> 'share' or value between -9900 and 100000", name=op.f('ck_price_rule_share_bounded')),
    sa.CheckConstraint("effect <> 'unit_price' or value > 0", name=op.f('ck_price_rule_unit_price_positive')),
    sa.CheckConstraint("effect in ('unit_price', 'share', 'amount')", name=op.f('ck_price_rule_effect_known')),
    sa.CheckConstraint('ends_at > starts_at', name=op.f('ck_price_rule_ends_after_start')),
    sa.CheckConstraint('least_quantity between 1 and 100', name=op.f('ck_price_rule_least_quantity_bounded')),
    sa.CheckConstraint('stock_below > 0', name=op.f('ck_price_rule_stock_below_positive')),
    sa.ForeignKeyConstraint(['level_id'], ['buyer_level.id'], name=op.f('fk_price_rule_level_id')),
    sa.ForeignKeyConstraint(['product_id'], ['product.id'], name=op.f('fk_price_rule_product_id')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_price_rule_sku_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_price_rule'))
    )
    op.create_index('ix_price_rule_product', 'price_rule', ['product_id'], unique=False)
    functions.create()


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
