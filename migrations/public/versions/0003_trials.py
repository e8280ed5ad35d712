"""until when a trial shop stands"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('tenant', sa.Column('trial_ends_at', sa.DateTime(timezone=True), nullable=True))
    op.create_index('ix_tenant_trial', 'tenant', ['trial_ends_at'], unique=False, postgresql_where=sa.text('trial_ends_at is not null'))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
