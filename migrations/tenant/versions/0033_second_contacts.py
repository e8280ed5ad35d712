"""second contacts of orders, and mails that replace text messages nobody took"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = '0033'
down_revision = '0032'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('second_contact',
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('email', sa.LargeBinary(), nullable=False),
    sa.Column('masked', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['order_id'], ['shop_order.id'], name=op.f('fk_second_contact_order_id')),
    sa.PrimaryKeyConstraint('order_id', name=op.f('pk_second_contact'))
    )
    op.add_column('outgoing_message', sa.Column('instead_of', sa.Uuid(), nullable=True))
    op.create_index('uq_outgoing_message_instead_of', 'outgoing_message', ['instead_of'], unique=True, postgresql_where=sa.text('instead_of is not null'))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
