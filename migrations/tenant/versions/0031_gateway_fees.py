"""what a gateway keeps of each capture"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0031'
down_revision = '0030'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('gateway_connection', sa.Column('fee_bp', sa.Integer(), server_default='0', nullable=False))
    op.create_check_constraint(op.f('ck_gateway_connection_fee_bounded'), 'gateway_connection', sa.text('fee_bp between 0 and 2000'))
    op.add_column('capture', sa.Column('fee_minor', sa.BigInteger(), server_default='0', nullable=False))
    op.create_check_constraint(op.f('ck_capture_fee_within_amount'), 'capture', sa.text('fee_minor between 0 and amount_minor'))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
