"""sales channels: prices of their own, and quotas of a SKU's stock that only one of them sells"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import functions

revision = '0021'
down_revision = '0020'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('sales_channel',
    sa.Column('code', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('is_on', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("code ~ '^[a-z0-9][a-z0-9-]{1,31}$'", name=op.f('ck_sales_channel_code_is_plain')),
    sa.PrimaryKeyConstraint('code', name=op.f('pk_sales_channel')),
    sa.UniqueConstraint('name', name=op.f('uq_sales_channel_name'))
    )
    op.execute("insert into sales_channel (code, name) select 'storefront', 'Shop' from storefront limit 1")
    op.create_table('channel_listing',
    sa.Column('channel_code', sa.Text(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('price_minor', sa.BigInteger(), nullable=True),
    sa.Column('is_sold', sa.Boolean(), server_default='true', nullable=False),
    sa.CheckConstraint('price_minor > 0', name=op.f('ck_channel_listing_price_positive')),
    sa.CheckConstraint('price_minor is not null or not is_sold', name=op.f('ck_channel_listing_says_something')),
    sa.ForeignKeyConstraint(['channel_code'], ['sales_channel.code'], name=op.f('fk_channel_listing_channel_code')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_channel_listing_sku_id')),
    sa.PrimaryKeyConstraint('channel_code', 'sku_id', name=op.f('pk_channel_listing'))
    )
    op.create_index('ix_channel_listing_sku', 'channel_listing', ['sku_id'], unique=False)
    op.add_column('stock', sa.Column('allocation', sa.Text(), server_default='shared', nullable=False))
    op.add_column('stock', sa.Column('allotted', sa.BigInteger(), server_default='0', nullable=False))
    op.create_check_constraint(op.f('ck_stock_allocation_known'), 'stock', sa.text("allocation in ('shared', 'quota')"))
    op.create_check_constraint(op.f('ck_stock_allotted_is_there'), 'stock', sa.text('allotted between 0 and available'))
    op.create_check_constraint(op.f('ck_stock_allotted_by_quota'), 'stock', sa.text("allocation = 'quota' or allotted = 0"))
    op.create_table('channel_quota',
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('channel_code', sa.Text(), nullable=False),
    sa.Column('units', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('idle_hours', sa.Integer(), nullable=True),
    sa.Column('stirred_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('units >= 0', name=op.f('ck_channel_quota_never_negative')),
    sa.CheckConstraint('idle_hours between 1 and 2160', name=op.f('ck_channel_quota_idle_hours_bounded')),
    sa.ForeignKeyConstraint(['channel_code'], ['sales_channel.code'], name=op.f('fk_channel_quota_channel_code')),
    sa.ForeignKeyConstraint(['sku_id'], ['stock.sku_id'], name=op.f('fk_channel_quota_sku_id')),
    sa.PrimaryKeyConstraint('sku_id', 'channel_code', name=op.f('pk_channel_quota'))
    )
    op.create_table('quota_use',
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('channel_code', sa.Text(), nullable=False),
    sa.Column('units', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('units > 0', name=op.f('ck_quota_use_units_positive')),
    sa.ForeignKeyConstraint(['order_id'], ['shop_order.id'], name=op.f('fk_quota_use_order_id')),
    sa.ForeignKeyConstraint(['sku_id'], ['stock.sku_id'], name=op.f('fk_quota_use_sku_id')),
    sa.PrimaryKeyConstraint('order_id', 'sku_id', name=op.f('pk_quota_use'))
    )
    op.create_index('ix_quota_use_quota', 'quota_use', ['sku_id', 'channel_code'], unique=False)
    op.create_table('quota_move',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('from_code', sa.Text(), nullable=True),
    sa.Column('to_code', sa.Text(), nullable=True),
    sa.Column('units', sa.BigInteger(), nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('actor_name', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("reason in ('hand', 'mode', 'idle', 'lost')", name=op.f('ck_quota_move_reason_known')),
    sa.CheckConstraint('units > 0', name=op.f('ck_quota_move_units_positive')),
    sa.CheckConstraint('from_code is distinct from to_code', name=op.f('ck_quota_move_goes_somewhere')),
    sa.ForeignKeyConstraint(['sku_id'], ['stock.sku_id'], name=op.f('fk_quota_move_sku_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_quota_move'))
    )
    op.create_index('ix_quota_move_sku', 'quota_move', ['sku_id', 'created_at'], unique=False)
    functions.create()
    op.execute("create trigger trim_quotas before update on stock for each row when (new.allotted > new.available and new.allotted > 0) execute function trim_quotas()")


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
