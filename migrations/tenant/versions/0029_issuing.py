"""issuing: batches for companies, their rows, and orders that a company owes for"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0029'
down_revision = '0028'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('shop_order', sa.Column('billed_to', sa.Uuid(), nullable=True))
    op.create_index('ix_shop_order_billed', 'shop_order', ['billed_to'], unique=False, postgresql_where=sa.text('billed_to is not null'))
    op.create_table('issue_batch',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('batch_no', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='ready', nullable=False),
    sa.Column('client', sa.Text(), nullable=False),
    sa.Column('reference', sa.Text(), nullable=False),
    sa.Column('storefront_id', sa.Uuid(), nullable=False),
    sa.Column('listing_id', sa.Uuid(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('product_name', sa.Text(), nullable=False),
    sa.Column('sku_name', sa.Text(), nullable=False),
    sa.Column('delivery_kind', sa.Text(), nullable=False),
    sa.Column('fields', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('unit_price_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('locale', sa.Text(), nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('row_count', sa.Integer(), server_default='0', nullable=False),
    sa.Column('duplicate_count', sa.Integer(), server_default='0', nullable=False),
    sa.Column('bad_count', sa.Integer(), server_default='0', nullable=False),
    sa.Column('confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(state = 'ended') = (ended_at is not null)", name=op.f('ck_issue_batch_ended_when_ended')),
    sa.CheckConstraint("state in ('ready', 'running', 'paused', 'ended', 'abandoned')", name=op.f('ck_issue_batch_state_known')),
    sa.CheckConstraint('row_count between 0 and 100000', name=op.f('ck_issue_batch_rows_bounded')),
    sa.CheckConstraint('unit_price_minor > 0', name=op.f('ck_issue_batch_unit_price_positive')),
    sa.ForeignKeyConstraint(['listing_id'], ['listing.id'], name=op.f('fk_issue_batch_listing_id')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_issue_batch_sku_id')),
    sa.ForeignKeyConstraint(['storefront_id'], ['storefront.id'], name=op.f('fk_issue_batch_storefront_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_issue_batch')),
    sa.UniqueConstraint('batch_no', name=op.f('uq_issue_batch_batch_no'))
    )
    op.create_index('ix_issue_batch_client', 'issue_batch', ['client'], unique=False)
    op.create_index('ix_issue_batch_state', 'issue_batch', ['state', 'created_at'], unique=False)
    op.create_table('issue_row',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('batch_id', sa.Uuid(), nullable=False),
    sa.Column('row_no', sa.Integer(), nullable=False),
    sa.Column('state', sa.Text(), server_default='waiting', nullable=False),
    sa.Column('recipient', sa.LargeBinary(), nullable=False),
    sa.Column('contact_kind', sa.Text(), nullable=False),
    sa.Column('contact_masked', sa.Text(), nullable=False),
    sa.Column('contact_fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('account_masked', sa.Text(), server_default='', nullable=False),
    sa.Column('tries', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('order_id', sa.Uuid(), nullable=True),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('says', sa.Text(), server_default='', nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("(order_id is not null) = (state in ('ordered', 'delivered', 'failed'))", name=op.f('ck_issue_row_ordered_has_order')),
    sa.CheckConstraint("state in ('waiting', 'ordered', 'delivered', 'failed', 'given_up')", name=op.f('ck_issue_row_state_known')),
    sa.ForeignKeyConstraint(['batch_id'], ['issue_batch.id'], name=op.f('fk_issue_row_batch_id')),
    sa.ForeignKeyConstraint(['order_id'], ['shop_order.id'], name=op.f('fk_issue_row_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_issue_row')),
    sa.UniqueConstraint('batch_id', 'row_no', name=op.f('uq_issue_row_batch_id_row_no')),
    sa.UniqueConstraint('order_id', name=op.f('uq_issue_row_order_id'))
    )
    op.create_index('ix_issue_row_contact', 'issue_row', ['contact_fingerprint'], unique=False)
    op.create_index('ix_issue_row_state', 'issue_row', ['batch_id', 'state', 'row_no'], unique=False)
    op.create_table('issue_bad_line',
    sa.Column('batch_id', sa.Uuid(), nullable=False),
    sa.Column('line_no', sa.Integer(), nullable=False),
    sa.Column('is_duplicate', sa.Boolean(), nullable=False),
    sa.Column('masked', sa.Text(), nullable=False),
    sa.Column('problems', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['issue_batch.id'], name=op.f('fk_issue_bad_line_batch_id')),
    sa.PrimaryKeyConstraint('batch_id', 'line_no', name=op.f('pk_issue_bad_line'))
    )
    op.create_index('ix_issue_bad_line_kind', 'issue_bad_line', ['batch_id', 'is_duplicate', 'line_no'], unique=False)


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
