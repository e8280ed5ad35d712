"""overrides: when a question about a purchase was last answered, and two people's word on one that stays unknown; costs told to be too much"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0011'
down_revision = '0010'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('attempt', sa.Column('answered_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('supplier_offer', sa.Column('told_cost', sa.Numeric(precision=18, scale=6), nullable=True))
    op.create_table('attempt_override',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('attempt_id', sa.Uuid(), nullable=False),
    sa.Column('times_sent', sa.SmallInteger(), nullable=False),
    sa.Column('state', sa.Text(), server_default='proposed', nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('maker_id', sa.Uuid(), nullable=False),
    sa.Column('maker_name', sa.Text(), nullable=False),
    sa.Column('reviewer_id', sa.Uuid(), nullable=True),
    sa.Column('reviewer_name', sa.Text(), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('proposed', 'approved', 'declined')", name=op.f('ck_attempt_override_state_known')),
    sa.CheckConstraint('reviewer_id is null or reviewer_id <> maker_id', name=op.f('ck_attempt_override_two_people')),
    sa.CheckConstraint("(state = 'proposed') = (reviewer_id is null)", name=op.f('ck_attempt_override_decided_by_somebody')),
    sa.ForeignKeyConstraint(['attempt_id'], ['attempt.id'], name=op.f('fk_attempt_override_attempt_id_attempt')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_attempt_override'))
    )
    op.create_index('uq_attempt_override_proposed', 'attempt_override', ['attempt_id', 'times_sent'], unique=True, postgresql_where=sa.text("state = 'proposed'"))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
