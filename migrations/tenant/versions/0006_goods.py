"""goods: the account a top-up's buyers state, and the case of a wrong one"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0006'
down_revision = '0005'
branch_labels = None
depends_on = None

_CASES = (
    "kind in ('work_failed', 'refund_declined', 'mismatch', 'wrong_amount', 'supplier_unknown', 'supplier_late', 'bad_goods', 'spare_goods', 'wrong_account')"
)


def upgrade() -> None:
    op.add_column('product', sa.Column('account_fields', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False))
    op.add_column('product', sa.Column('refuses_virtual_numbers', sa.Boolean(), server_default='false', nullable=False))
    op.drop_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', type_='check')
    op.create_check_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', sa.text(_CASES))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
