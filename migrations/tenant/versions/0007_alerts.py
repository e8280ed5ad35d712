"""alerts, robots of group chats, and alarms of supplies"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('alert',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('template', sa.Text(), nullable=False),
    sa.Column('params', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_alert')),
    sa.UniqueConstraint('key', name=op.f('uq_alert_key'))
    )
    op.create_index('ix_alert_newest', 'alert', ['created_at'], unique=False)
    op.create_table('alert_reader',
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('read_until', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('user_id', name=op.f('pk_alert_reader'))
    )
    op.create_table('robot',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('company', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('config', sa.LargeBinary(), nullable=False),
    sa.Column('address_masked', sa.Text(), nullable=False),
    sa.Column('locale', sa.Text(), nullable=False),
    sa.Column('events', postgresql.ARRAY(sa.Text()), nullable=False),
    sa.Column('is_on', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('called_at', postgresql.ARRAY(sa.DateTime(timezone=True)), server_default='{}', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("company in ('dingtalk', 'wecom', 'feishu')", name=op.f('ck_robot_company_known')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_robot')),
    sa.UniqueConstraint('name', name=op.f('uq_robot_name'))
    )
    op.create_table('robot_message',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('robot_id', sa.Uuid(), nullable=False),
    sa.Column('alert_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Text(), server_default='waiting', nullable=False),
    sa.Column('due_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('times_tried', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_error', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('waiting', 'sent', 'failed')", name=op.f('ck_robot_message_state_known')),
    sa.ForeignKeyConstraint(['alert_id'], ['alert.id'], name=op.f('fk_robot_message_alert_id')),
    sa.ForeignKeyConstraint(['robot_id'], ['robot.id'], name=op.f('fk_robot_message_robot_id'), ondelete='cascade'),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_robot_message')),
    sa.UniqueConstraint('robot_id', 'alert_id', name=op.f('uq_robot_message_robot_id_alert_id'))
    )
    op.create_index('ix_robot_message_waiting', 'robot_message', ['robot_id', 'due_at'], unique=False, postgresql_where=sa.text("state = 'waiting'"))
    op.create_table('supply_alarm',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('offer_id', sa.Uuid(), nullable=True),
    sa.Column('closed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("kind in ('brown_out', 'balance_ending')", name=op.f('ck_supply_alarm_kind_known')),
    sa.ForeignKeyConstraint(['connection_id'], ['supplier_connection.id'], name=op.f('fk_supply_alarm_connection_id')),
    sa.ForeignKeyConstraint(['offer_id'], ['supplier_offer.id'], name=op.f('fk_supply_alarm_offer_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_supply_alarm'))
    )
    op.create_index('uq_supply_alarm_open', 'supply_alarm', ['kind', 'connection_id', 'offer_id'], unique=True, postgresql_where=sa.text('closed_at is null'), postgresql_nulls_not_distinct=True)


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
