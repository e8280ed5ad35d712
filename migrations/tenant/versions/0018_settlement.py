"""settling with suppliers: their statements, differences, and bills of contracted periods"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0018'
down_revision = '0017'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('settlement_statement',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('supplier_id', sa.Uuid(), nullable=False),
    sa.Column('first_day', sa.Date(), nullable=False),
    sa.Column('last_day', sa.Date(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='closed', nullable=False),
    sa.Column('purchases', sa.Integer(), nullable=False),
    sa.Column('total_minor', sa.BigInteger(), nullable=False),
    sa.Column('paid_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('paid_note', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('closed', 'paid')", name=op.f('ck_settlement_statement_state_known')),
    sa.CheckConstraint('first_day <= last_day', name=op.f('ck_settlement_statement_days_in_order')),
    sa.ForeignKeyConstraint(['supplier_id'], ['supplier.id'], name=op.f('fk_settlement_statement_supplier_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_settlement_statement')),
    sa.UniqueConstraint('supplier_id', 'last_day', 'currency', name=op.f('uq_settlement_statement_supplier_id_last_day_currency'))
    )
    op.create_table('statement_columns',
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('columns', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.ForeignKeyConstraint(['connection_id'], ['supplier_connection.id'], name=op.f('fk_statement_columns_connection_id')),
    sa.PrimaryKeyConstraint('connection_id', name=op.f('pk_statement_columns'))
    )
    op.create_table('supplier_statement',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('file_name', sa.Text(), nullable=False),
    sa.Column('digest', sa.LargeBinary(), nullable=False),
    sa.Column('first_day', sa.Date(), nullable=False),
    sa.Column('last_day', sa.Date(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='matching', nullable=False),
    sa.Column('lines', sa.Integer(), server_default='0', nullable=False),
    sa.Column('repeated', sa.Integer(), server_default='0', nullable=False),
    sa.Column('actor_id', sa.Uuid(), nullable=True),
    sa.Column('actor_name', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('matching', 'matched')", name=op.f('ck_supplier_statement_state_known')),
    sa.CheckConstraint('first_day <= last_day', name=op.f('ck_supplier_statement_days_in_order')),
    sa.ForeignKeyConstraint(['connection_id'], ['supplier_connection.id'], name=op.f('fk_supplier_statement_connection_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_supplier_statement')),
    sa.UniqueConstraint('connection_id', 'digest', name=op.f('uq_supplier_statement_connection_id_digest'))
    )
    op.create_index('ix_supplier_statement_newest', 'supplier_statement', ['created_at'], unique=False)
    op.create_table('discrepancy',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('statement_id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('subject', sa.Text(), nullable=False),
    sa.Column('attempt_id', sa.Uuid(), nullable=True),
    sa.Column('out_no', sa.Text(), nullable=False),
    sa.Column('supplier_ref', sa.Text(), nullable=False),
    sa.Column('ours', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('theirs', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='open', nullable=False),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_by', sa.Text(), server_default='', nullable=False),
    sa.Column('adjusted_minor', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(state = 'open') = (decided_at is null)", name=op.f('ck_discrepancy_decided_when_not_open')),
    sa.CheckConstraint("kind in ('ours_only', 'theirs_only', 'other_amount', 'other_state')", name=op.f('ck_discrepancy_kind_known')),
    sa.CheckConstraint("state in ('open', 'matched', 'adjusted', 'disputed')", name=op.f('ck_discrepancy_state_known')),
    sa.ForeignKeyConstraint(['connection_id'], ['supplier_connection.id'], name=op.f('fk_discrepancy_connection_id')),
    sa.ForeignKeyConstraint(['statement_id'], ['supplier_statement.id'], name=op.f('fk_discrepancy_statement_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_discrepancy')),
    sa.UniqueConstraint('connection_id', 'subject', 'kind', name=op.f('uq_discrepancy_connection_id_subject_kind'))
    )
    op.create_index('ix_discrepancy_state', 'discrepancy', ['state', 'created_at'], unique=False)
    op.create_index('ix_discrepancy_statement', 'discrepancy', ['statement_id'], unique=False)
    op.create_table('supplier_statement_line',
    sa.Column('statement_id', sa.Uuid(), nullable=False),
    sa.Column('line_no', sa.Integer(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('out_no', sa.Text(), nullable=False),
    sa.Column('supplier_ref', sa.Text(), nullable=False),
    sa.Column('is_success', sa.Boolean(), nullable=False),
    sa.Column('amount', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('attempt_id', sa.Uuid(), nullable=True),
    sa.Column('test_order_id', sa.Uuid(), nullable=True),
    sa.ForeignKeyConstraint(['statement_id'], ['supplier_statement.id'], name=op.f('fk_supplier_statement_line_statement_id')),
    sa.PrimaryKeyConstraint('statement_id', 'line_no', name=op.f('pk_supplier_statement_line')),
    sa.UniqueConstraint('connection_id', 'fingerprint', name=op.f('uq_supplier_statement_line_connection_id_fingerprint'))
    )
    op.create_index('ix_supplier_statement_line_attempt', 'supplier_statement_line', ['attempt_id'], unique=False)
    op.create_index('ix_supplier_statement_line_out_no', 'supplier_statement_line', ['connection_id', 'out_no'], unique=False)
    op.create_table('settlement_line',
    sa.Column('statement_id', sa.Uuid(), nullable=False),
    sa.Column('line_no', sa.Integer(), nullable=False),
    sa.Column('attempt_id', sa.Uuid(), nullable=True),
    sa.Column('discrepancy_id', sa.Uuid(), nullable=True),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('num_nonnulls(attempt_id, discrepancy_id) = 1', name=op.f('ck_settlement_line_of_one_thing')),
    sa.ForeignKeyConstraint(['attempt_id'], ['attempt.id'], name=op.f('fk_settlement_line_attempt_id')),
    sa.ForeignKeyConstraint(['discrepancy_id'], ['discrepancy.id'], name=op.f('fk_settlement_line_discrepancy_id')),
    sa.ForeignKeyConstraint(['statement_id'], ['settlement_statement.id'], name=op.f('fk_settlement_line_statement_id')),
    sa.PrimaryKeyConstraint('statement_id', 'line_no', name=op.f('pk_settlement_line'))
    )
    op.create_index('uq_settlement_line_attempt', 'settlement_line', ['attempt_id'], unique=True, postgresql_where=sa.text('attempt_id is not null'))
    op.create_index('uq_settlement_line_discrepancy', 'settlement_line', ['discrepancy_id'], unique=True, postgresql_where=sa.text('discrepancy_id is not null'))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
