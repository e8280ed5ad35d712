"""what buyers search for"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0032'
down_revision = '0031'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('shop_search',
    sa.Column('day', sa.Date(), nullable=False),
    sa.Column('words', sa.Text(), nullable=False),
    sa.Column('found', sa.Integer(), nullable=False),
    sa.Column('times', sa.Integer(), server_default='1', nullable=False),
    sa.PrimaryKeyConstraint('day', 'words', name=op.f('pk_shop_search'))
    )


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
