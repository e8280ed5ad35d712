"""replenishment: what is asked of suppliers, the batches that bring it, what is said, their desks, and SKUs that ask by themselves"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0024'
down_revision = '0023'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('supplier', sa.Column('email', sa.LargeBinary(), nullable=True))
    op.add_column('supplier', sa.Column('email_masked', sa.Text(), server_default='', nullable=False))
    op.add_column('supplier', sa.Column('locale', sa.Text(), server_default='zh_CN', nullable=False))
    op.create_check_constraint(op.f('ck_supplier_email_masked_with_email'), 'supplier', "(email is null) = (email_masked = '')")
    op.create_table('replenishment',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('replenishment_no', sa.Text(), nullable=False),
    sa.Column('supplier_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Text(), server_default='asked', nullable=False),
    sa.Column('wanted_on', sa.Date(), nullable=True),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.Column('promised_on', sa.Date(), nullable=True),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('asked_by', sa.Text(), nullable=False),
    sa.Column('rule_sku_id', sa.Uuid(), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('asked', 'confirmed', 'sent', 'partly_received', 'done', 'declined', 'cancelled')", name=op.f('ck_replenishment_state_known')),
    sa.CheckConstraint("state <> 'declined' or reason <> ''", name=op.f('ck_replenishment_declined_with_reason')),
    sa.ForeignKeyConstraint(['rule_sku_id'], ['sku.id'], name=op.f('fk_replenishment_rule_sku_id')),
    sa.ForeignKeyConstraint(['supplier_id'], ['supplier.id'], name=op.f('fk_replenishment_supplier_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_replenishment')),
    sa.UniqueConstraint('replenishment_no', name=op.f('uq_replenishment_replenishment_no'))
    )
    op.create_index('ix_replenishment_state', 'replenishment', ['state', 'created_at'], unique=False)
    op.create_index('ix_replenishment_supplier', 'replenishment', ['supplier_id', 'created_at'], unique=False)
    op.create_index('uq_replenishment_by_itself', 'replenishment', ['rule_sku_id'], unique=True, postgresql_where=sa.text("state in ('asked', 'confirmed', 'sent', 'partly_received')"))
    op.create_table('replenishment_line',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('replenishment_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.SmallInteger(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('units', sa.Integer(), nullable=False),
    sa.Column('confirmed', sa.Integer(), nullable=True),
    sa.Column('unit_cost', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.CheckConstraint('units between 1 and 1000000', name=op.f('ck_replenishment_line_units_bounded')),
    sa.CheckConstraint('confirmed between 0 and units', name=op.f('ck_replenishment_line_confirmed_of_units')),
    sa.CheckConstraint("unit_cost >= 0 and unit_cost < 'Infinity'", name=op.f('ck_replenishment_line_unit_cost_plain')),
    sa.ForeignKeyConstraint(['replenishment_id'], ['replenishment.id'], name=op.f('fk_replenishment_line_replenishment_id')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_replenishment_line_sku_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_replenishment_line')),
    sa.UniqueConstraint('replenishment_id', 'sku_id', name=op.f('uq_replenishment_line_replenishment_id_sku_id'))
    )
    op.create_index('ix_replenishment_line_sku', 'replenishment_line', ['sku_id'], unique=False)
    op.create_table('replenishment_batch',
    sa.Column('batch_id', sa.Uuid(), nullable=False),
    sa.Column('line_id', sa.Uuid(), nullable=False),
    sa.Column('brought_by', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("brought_by in ('staff', 'supplier')", name=op.f('ck_replenishment_batch_brought_by_known')),
    sa.ForeignKeyConstraint(['batch_id'], ['import_batch.id'], name=op.f('fk_replenishment_batch_batch_id')),
    sa.ForeignKeyConstraint(['line_id'], ['replenishment_line.id'], name=op.f('fk_replenishment_batch_line_id')),
    sa.PrimaryKeyConstraint('batch_id', name=op.f('pk_replenishment_batch'))
    )
    op.create_index('ix_replenishment_batch_line', 'replenishment_batch', ['line_id'], unique=False)
    op.create_table('replenishment_message',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('replenishment_id', sa.Uuid(), nullable=False),
    sa.Column('author', sa.Text(), nullable=False),
    sa.Column('author_name', sa.Text(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("author in ('staff', 'supplier')", name=op.f('ck_replenishment_message_author_known')),
    sa.ForeignKeyConstraint(['replenishment_id'], ['replenishment.id'], name=op.f('fk_replenishment_message_replenishment_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_replenishment_message'))
    )
    op.create_index('ix_replenishment_message_thread', 'replenishment_message', ['replenishment_id', 'created_at'], unique=False)
    op.create_table('supplier_desk',
    sa.Column('supplier_id', sa.Uuid(), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('token_hash', sa.LargeBinary(), nullable=False),
    sa.Column('made_by', sa.Text(), nullable=False),
    sa.Column('made_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=True),
    sa.ForeignKeyConstraint(['supplier_id'], ['supplier.id'], name=op.f('fk_supplier_desk_supplier_id')),
    sa.PrimaryKeyConstraint('supplier_id', name=op.f('pk_supplier_desk')),
    sa.UniqueConstraint('id', name=op.f('uq_supplier_desk_id')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_supplier_desk_token_hash'))
    )
    op.create_table('restock_rule',
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('supplier_id', sa.Uuid(), nullable=False),
    sa.Column('units', sa.Integer(), nullable=False),
    sa.Column('unit_cost', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('units between 1 and 1000000', name=op.f('ck_restock_rule_units_bounded')),
    sa.CheckConstraint("unit_cost >= 0 and unit_cost < 'Infinity'", name=op.f('ck_restock_rule_unit_cost_plain')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_restock_rule_sku_id')),
    sa.ForeignKeyConstraint(['supplier_id'], ['supplier.id'], name=op.f('fk_restock_rule_supplier_id')),
    sa.PrimaryKeyConstraint('sku_id', name=op.f('pk_restock_rule'))
    )
    op.create_index('ix_restock_rule_supplier', 'restock_rule', ['supplier_id'], unique=False)


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
