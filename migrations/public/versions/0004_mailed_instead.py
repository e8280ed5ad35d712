"""mails that replace text messages nobody took"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('outgoing_message', sa.Column('instead_of', sa.Uuid(), nullable=True))
    op.create_index('uq_outgoing_message_instead_of', 'outgoing_message', ['instead_of'], unique=True, postgresql_where=sa.text('instead_of is not null'))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
