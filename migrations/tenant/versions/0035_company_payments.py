"""what companies paid for their batches; they may have paid more than they owe in the end"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0035'
down_revision = '0034'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('company_payment',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('client', sa.Text(), nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('received_on', sa.Date(), nullable=False),
    sa.Column('reference', sa.Text(), nullable=False),
    sa.Column('booked_by', sa.Text(), nullable=False),
    sa.Column('taken_back_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('taken_back_reason', sa.Text(), server_default='', nullable=False),
    sa.Column('taken_back_by', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('amount_minor > 0', name=op.f('ck_company_payment_amount_positive')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_company_payment'))
    )
    op.create_index('ix_company_payment_client', 'company_payment', ['client', 'received_on'], unique=False)
    op.create_index('uq_company_payment_reference', 'company_payment', ['client', 'reference'], unique=True, postgresql_where=sa.text('taken_back_at is null'))
    op.execute("update ledger_account set may_cross_zero = true where name = 'receivables'")


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
