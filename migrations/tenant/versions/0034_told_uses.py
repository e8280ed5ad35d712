"""uses of bought goods, as their suppliers tell of them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0034'
down_revision = '0033'
branch_labels = None
depends_on = None

_CASES = (
    "'work_failed', 'refund_declined', 'mismatch', 'wrong_amount', 'supplier_unknown', 'supplier_late', 'bad_goods', 'spare_goods', 'wrong_account', "
    "'broken_bundle', 'cycle_missed', 'not_handed_over', 'message_failed', 'used_afterwards'"
)
_VERDICTS = "'not_checked', 'delivered', 'denied', 'unknown', 'batch_good', 'batch_bad', 'never_used', 'used', 'used_before'"
_TOPICS = "'redemption.created', 'redemption.voided', 'redemption.told', 'endpoint.test'"
_KNOWN = (('staff_case', 'kind', _CASES), ('after_sale_case', 'verdict', _VERDICTS), ('webhook_event', 'topic', _TOPICS))


def upgrade() -> None:
    for table, column, values in _KNOWN:
        name = op.f(f'ck_{table}_{column}_known')
        op.drop_constraint(name, table, type_='check')
        op.create_check_constraint(name, table, sa.text(f'{column} in ({values})'))
    op.create_table('told_use',
    sa.Column('attempt_id', sa.Uuid(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('event_key', sa.Text(), nullable=False),
    sa.Column('is_taken_back', sa.Boolean(), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('place', sa.Text(), nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['attempt_id'], ['attempt.id'], name=op.f('fk_told_use_attempt_id')),
    sa.ForeignKeyConstraint(['connection_id'], ['supplier_connection.id'], name=op.f('fk_told_use_connection_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_told_use')),
    sa.UniqueConstraint('connection_id', 'event_key', name=op.f('uq_told_use_connection_id_event_key'))
    )
    op.create_index('ix_told_use_attempt', 'told_use', ['attempt_id'], unique=False)


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
