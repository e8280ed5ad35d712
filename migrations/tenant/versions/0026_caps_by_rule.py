"""how many units one buyer may order while a price rule applies"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0026'
down_revision = '0025'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column('price_rule', sa.Column('most_units', sa.Integer(), nullable=True))
    op.add_column('price_rule', sa.Column('within_hours', sa.Integer(), nullable=True))
    op.drop_constraint(op.f('ck_price_rule_effect_known'), 'price_rule', type_='check')
    op.create_check_constraint(op.f('ck_price_rule_effect_known'), 'price_rule', "effect IN ('unit_price', 'share', 'amount', 'none')")
    op.create_check_constraint(op.f('ck_price_rule_most_units_bounded'), 'price_rule', 'most_units between 1 and 10000')
    op.create_check_constraint(op.f('ck_price_rule_within_hours_bounded'), 'price_rule', 'within_hours between 1 and 8760')
    op.create_check_constraint(op.f('ck_price_rule_units_within_a_time'), 'price_rule', '(most_units is null) = (within_hours is null)')
    op.create_check_constraint(op.f('ck_price_rule_does_something'), 'price_rule', "effect <> 'none' or (value = 0 and most_units is not null)")


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
