"""what suppliers say of their goods by themselves"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0025'
down_revision = '0024'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('goods_notice',
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('event_key', sa.Text(), nullable=False),
    sa.Column('told', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('applied', sa.Integer(), server_default='0', nullable=False),
    sa.Column('stale', sa.Integer(), server_default='0', nullable=False),
    sa.Column('unknown', sa.Integer(), server_default='0', nullable=False),
    sa.Column('unread', sa.Integer(), server_default='0', nullable=False),
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('least(applied, stale, unknown, unread) >= 0', name=op.f('ck_goods_notice_counts_not_negative')),
    sa.ForeignKeyConstraint(['connection_id'], ['supplier_connection.id'], name=op.f('fk_goods_notice_connection_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_goods_notice')),
    sa.UniqueConstraint('connection_id', 'event_key', name=op.f('uq_goods_notice_connection_id_event_key'))
    )
    op.create_index('ix_goods_notice_newest', 'goods_notice', ['connection_id', 'created_at'], unique=False)
    op.add_column('supplier_offer', sa.Column('noticed_at', sa.DateTime(timezone=True), nullable=True))
    op.add_column('supplier_offer', sa.Column('told_at', sa.DateTime(timezone=True), nullable=True))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
