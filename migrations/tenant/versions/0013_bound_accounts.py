"""bound accounts: goods credited only to what their buyer proved; codes for contacts without an order"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0013'
down_revision = '0012'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('product', sa.Column('binds_account', sa.Boolean(), server_default='false', nullable=False))
    op.add_column('contact_code', sa.Column('anyones_locale', sa.Text(), server_default='', nullable=False))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
