"""test orders and offer imports: units bought to see that a connection works; catalogs turned into products"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('test_order',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('offer_id', sa.Uuid(), nullable=False),
    sa.Column('out_no', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='planned', nullable=False),
    sa.Column('mode', sa.Text(), nullable=False),
    sa.Column('supplier_sku', sa.Text(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('most_cost', sa.Numeric(precision=18, scale=6), nullable=True),
    sa.Column('face_value_minor', sa.BigInteger(), nullable=True),
    sa.Column('account', sa.LargeBinary(), nullable=True),
    sa.Column('issued', sa.LargeBinary(), nullable=True),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('took_ms', sa.Integer(), nullable=True),
    sa.Column('times_asked', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('supplier_ref', sa.Text(), nullable=True),
    sa.Column('unit_cost', sa.Numeric(precision=18, scale=6), nullable=True),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('says', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('planned', 'sending', 'accepted', 'unknown', 'succeeded', 'failed')", name=op.f('ck_test_order_state_known')),
    sa.ForeignKeyConstraint(['connection_id'], ['supplier_connection.id'], name=op.f('fk_test_order_connection_id')),
    sa.ForeignKeyConstraint(['offer_id'], ['supplier_offer.id'], name=op.f('fk_test_order_offer_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_test_order')),
    sa.UniqueConstraint('out_no', name=op.f('uq_test_order_out_no'))
    )
    op.create_index('ix_test_order_connection', 'test_order', ['connection_id', 'created_at'], unique=False)
    op.create_index('uq_test_order_open', 'test_order', ['connection_id'], unique=True, postgresql_where=sa.text("state in ('planned', 'sending', 'accepted', 'unknown')"))
    op.create_table('offer_import',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('markup_bp', sa.Integer(), nullable=False),
    sa.Column('add_minor', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('ending_minor', sa.SmallInteger(), nullable=True),
    sa.Column('floor_bp', sa.Integer(), server_default='0', nullable=False),
    sa.Column('category_id', sa.Uuid(), nullable=True),
    sa.Column('sku_name', sa.Text(), nullable=False),
    sa.Column('is_put_on_sale', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('actor_id', sa.Uuid(), nullable=True),
    sa.Column('actor_name', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('markup_bp between 0 and 100000', name=op.f('ck_offer_import_markup_bounded')),
    sa.CheckConstraint('add_minor >= 0', name=op.f('ck_offer_import_add_not_negative')),
    sa.CheckConstraint('ending_minor between 0 and 99', name=op.f('ck_offer_import_ending_is_cents')),
    sa.ForeignKeyConstraint(['connection_id'], ['supplier_connection.id'], name=op.f('fk_offer_import_connection_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_offer_import'))
    )
    op.create_index('ix_offer_import_connection', 'offer_import', ['connection_id', 'created_at'], unique=False)
    op.create_table('offer_import_line',
    sa.Column('import_id', sa.Uuid(), nullable=False),
    sa.Column('line_no', sa.Integer(), nullable=False),
    sa.Column('offer_id', sa.Uuid(), nullable=False),
    sa.Column('result', sa.Text(), server_default='waiting', nullable=False),
    sa.Column('product_id', sa.Uuid(), nullable=True),
    sa.Column('price_minor', sa.BigInteger(), nullable=True),
    sa.CheckConstraint("result in ('waiting', 'made', 'excluded', 'mapped', 'not_on_sale', 'range', 'other_currency', 'nonsense')", name=op.f('ck_offer_import_line_result_known')),
    sa.CheckConstraint("(result = 'made') = (product_id is not null)", name=op.f('ck_offer_import_line_made_has_product')),
    sa.ForeignKeyConstraint(['import_id'], ['offer_import.id'], name=op.f('fk_offer_import_line_import_id')),
    sa.ForeignKeyConstraint(['offer_id'], ['supplier_offer.id'], name=op.f('fk_offer_import_line_offer_id')),
    sa.ForeignKeyConstraint(['product_id'], ['product.id'], name=op.f('fk_offer_import_line_product_id')),
    sa.PrimaryKeyConstraint('import_id', 'line_no', name=op.f('pk_offer_import_line'))
    )
    op.create_index('ix_offer_import_line_waiting', 'offer_import_line', ['import_id', 'line_no'], unique=False, postgresql_where=sa.text("result = 'waiting'"))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
