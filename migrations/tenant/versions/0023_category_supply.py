"""how a category's goods are bought, where their own routes leave it open"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0023'
down_revision = '0022'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('category_route',
    sa.Column('category_id', sa.Uuid(), nullable=False),
    sa.Column('policy', sa.Text(), nullable=False),
    sa.Column('own_stock', sa.Text(), server_default='first', nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("policy IN ('cheapest', 'fastest', 'fixed_order', 'weighted')", name=op.f('ck_category_route_policy_known')),
    sa.CheckConstraint("own_stock IN ('first', 'reserve')", name=op.f('ck_category_route_own_stock_known')),
    sa.ForeignKeyConstraint(['category_id'], ['category.id'], name=op.f('fk_category_route_category_id'), ondelete='cascade'),
    sa.PrimaryKeyConstraint('category_id', name=op.f('pk_category_route'))
    )
    op.alter_column('supply_route', 'policy', existing_type=sa.Text(), nullable=True)
    op.add_column('supply_route', sa.Column('own_stock', sa.Text(), nullable=True))
    op.create_check_constraint(op.f('ck_supply_route_own_stock_known'), 'supply_route', "own_stock IN ('first', 'reserve')")
    op.add_column('attempt', sa.Column('policy_of', sa.Text(), server_default='', nullable=False))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
