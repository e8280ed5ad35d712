"""How often each data key was used"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('data_key', sa.Column('uses', sa.BigInteger(), server_default='0', nullable=False))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
