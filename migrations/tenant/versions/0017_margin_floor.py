"""margin floor: the least margin belongs to the SKU, however it is delivered, and each listing carries the least price it allows"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from migrations import functions

revision = '0017'
down_revision = '0016'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('sku', sa.Column('floor_bp', sa.Integer(), nullable=True))
    op.create_check_constraint(op.f('ck_sku_floor_is_a_share'), 'sku', sa.text('floor_bp between 0 and 9999'))
    op.add_column('listing', sa.Column('least_minor', sa.BigInteger(), nullable=True))
    op.execute("update sku k set floor_bp = r.floor_bp from supply_route r where r.sku_id = k.id and r.floor_bp > 0")
    op.drop_constraint(op.f('ck_supply_route_floor_is_a_share'), 'supply_route', type_='check')
    op.drop_column('supply_route', 'floor_bp')
    functions.create()


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
