"""whether a shop's own domain was seen served over HTTPS"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('tenant_domain', sa.Column('served', sa.Text(), server_default='', nullable=False))
    op.add_column('tenant_domain', sa.Column('looked_at', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
