"""exchange rates: what suppliers' currencies cost in the shop's, and the rate each purchase was planned at"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0022'
down_revision = '0021'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('exchange_rate',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('own_currency', sa.Text(), server_default='CNY', nullable=False),
    sa.Column('rate', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('valid_from', sa.DateTime(timezone=True), nullable=False),
    sa.Column('valid_until', sa.DateTime(timezone=True), nullable=False),
    sa.Column('safety_bp', sa.Integer(), server_default='0', nullable=False),
    sa.Column('actor_name', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("rate > 0 and rate < 'Infinity'", name=op.f('ck_exchange_rate_rate_positive')),
    sa.CheckConstraint('currency <> own_currency', name=op.f('ck_exchange_rate_two_currencies')),
    sa.CheckConstraint('valid_until > valid_from', name=op.f('ck_exchange_rate_ends_after_start')),
    sa.CheckConstraint('safety_bp between 0 and 5000', name=op.f('ck_exchange_rate_safety_bounded')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_exchange_rate'))
    )
    op.create_index('ix_exchange_rate_in_force', 'exchange_rate', ['currency', 'valid_from'], unique=False)
    op.add_column('attempt', sa.Column('rate_id', sa.Uuid(), nullable=True))
    op.add_column('attempt', sa.Column('rate', sa.Numeric(precision=18, scale=6), nullable=True))
    op.create_foreign_key(op.f('fk_attempt_rate_id'), 'attempt', 'exchange_rate', ['rate_id'], ['id'])
    op.create_check_constraint(op.f('ck_attempt_rate_is_of_a_row'), 'attempt', sa.text('(rate is null) = (rate_id is null)'))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
