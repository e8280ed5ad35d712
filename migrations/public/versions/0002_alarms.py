"""Alarms, what stops a tenant's sales, the worker's clock, and how often each data key was used"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('data_key', sa.Column('uses', sa.BigInteger(), server_default='0', nullable=False))
    op.add_column('tenant', sa.Column('pauses_on_breach', sa.Boolean(), server_default=sa.text('false'), nullable=False))
    op.add_column('tenant', sa.Column('paused_since', sa.DateTime(timezone=True), nullable=True))
    op.add_column('tenant', sa.Column('reconciling_since', sa.DateTime(timezone=True), nullable=True))
    op.create_table('alarm',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('home_id', sa.Uuid(), nullable=False),
    sa.Column('rule', sa.Text(), nullable=False),
    sa.Column('says', sa.Text(), nullable=False),
    sa.Column('shown', sa.Text(), nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_alarm'))
    )
    op.create_index('uq_alarm_open', 'alarm', ['home_id', 'rule'], unique=True, postgresql_where=sa.text('closed_at is null'))
    op.create_index('ix_alarm_opened', 'alarm', ['opened_at'], unique=False)
    op.create_table('timer_run',
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('ran_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('name', name=op.f('pk_timer_run'))
    )


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
