"""first"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("create schema work")
    op.execute("create schema queue")
    op.create_table('audit_entry',
    sa.Column('seq', sa.BigInteger(), autoincrement=False, nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('actor_kind', sa.Text(), nullable=False),
    sa.Column('actor_id', sa.Uuid(), nullable=True),
    sa.Column('actor_name', sa.Text(), nullable=False),
    sa.Column('action', sa.Text(), nullable=False),
    sa.Column('subject_kind', sa.Text(), nullable=False),
    sa.Column('subject_id', sa.Uuid(), nullable=True),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), nullable=False),
    sa.Column('previous_hash', sa.LargeBinary(), nullable=False),
    sa.Column('hash', sa.LargeBinary(), nullable=False),
    sa.PrimaryKeyConstraint('seq', name=op.f('pk_audit_entry'))
    )
    op.create_index('ix_audit_entry_subject', 'audit_entry', ['subject_kind', 'subject_id'], unique=False)
    op.create_table('data_key',
    sa.Column('purpose', sa.Text(), nullable=False),
    sa.Column('version', sa.SmallInteger(), nullable=False),
    sa.Column('wrapped', sa.LargeBinary(), nullable=False),
    sa.Column('kek_name', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("purpose in ('seal', 'index', 'link')", name=op.f('ck_data_key_purpose_known')),
    sa.PrimaryKeyConstraint('purpose', 'version', name=op.f('pk_data_key'))
    )
    op.create_table('history',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('subject_kind', sa.Text(), nullable=False),
    sa.Column('subject_id', sa.Uuid(), nullable=False),
    sa.Column('event', sa.Text(), nullable=False),
    sa.Column('from_state', sa.Text(), nullable=True),
    sa.Column('to_state', sa.Text(), nullable=True),
    sa.Column('actor_kind', sa.Text(), nullable=False),
    sa.Column('actor_id', sa.Uuid(), nullable=True),
    sa.Column('actor_name', sa.Text(), nullable=False),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.Column('facts', postgresql.JSONB(astext_type=sa.Text()), server_default='{}', nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_history'))
    )
    op.create_index('ix_history_subject', 'history', ['subject_id', 'at'], unique=False)
    op.create_table('outgoing_message',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('medium', sa.Text(), nullable=False),
    sa.Column('template', sa.Text(), nullable=False),
    sa.Column('locale', sa.Text(), nullable=False),
    sa.Column('recipient', sa.LargeBinary(), nullable=False),
    sa.Column('recipient_masked', sa.Text(), nullable=False),
    sa.Column('params', sa.LargeBinary(), nullable=False),
    sa.Column('state', sa.Text(), server_default='waiting', nullable=False),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('last_error', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("medium in ('mail', 'sms')", name=op.f('ck_outgoing_message_medium_known')),
    sa.CheckConstraint("state in ('waiting', 'sent', 'failed')", name=op.f('ck_outgoing_message_state_known')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_outgoing_message'))
    )
    op.create_index('ix_outgoing_message_waiting', 'outgoing_message', ['created_at'], unique=False, postgresql_where=sa.text("state = 'waiting'"))
    op.create_table('rate_counter',
    sa.Column('key', sa.Text(), nullable=False),
    sa.Column('window_starts_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('tries', sa.BigInteger(), nullable=False),
    sa.PrimaryKeyConstraint('key', name=op.f('pk_rate_counter')),
    prefixes=['UNLOGGED']
    )
    op.create_table('task',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('lane', sa.Text(), nullable=False),
    sa.Column('subject_id', sa.Uuid(), nullable=True),
    sa.Column('dedupe', sa.Text(), nullable=True),
    sa.Column('state', sa.Text(), server_default='waiting', nullable=False),
    sa.Column('run_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('attempts', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('lease_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('lease_token', sa.Uuid(), nullable=True),
    sa.Column('last_error', sa.Text(), nullable=True),
    sa.Column('wanted_again', sa.Boolean(), server_default=sa.text('false'), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('waiting', 'running', 'failed')", name=op.f('ck_task_state_known')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_task'))
    )
    op.create_index('ix_task_due', 'task', ['lane', 'run_at'], unique=False, postgresql_where=sa.text("state = 'waiting'"))
    op.create_index('ix_task_failed', 'task', ['created_at'], unique=False, postgresql_where=sa.text("state = 'failed'"))
    op.create_index('ix_task_leased', 'task', ['lease_until'], unique=False, postgresql_where=sa.text("state = 'running'"))
    op.create_index('uq_task_dedupe', 'task', ['dedupe'], unique=True)
    op.create_table('app_user',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('password_hash', sa.Text(), nullable=False),
    sa.Column('email_verified_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('totp_secret', sa.LargeBinary(), nullable=True),
    sa.Column('totp_confirmed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('totp_last_step', sa.BigInteger(), nullable=True),
    sa.Column('is_operator', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('locale', sa.Text(), server_default='zh_CN', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_app_user')),
    sa.UniqueConstraint('email', name=op.f('uq_app_user_email'))
    )
    op.create_table('one_time_link',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('token_hash', sa.LargeBinary(), nullable=False),
    sa.Column('purpose', sa.Text(), nullable=False),
    sa.Column('email', sa.Text(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=True),
    sa.Column('tenant_id', sa.Uuid(), nullable=True),
    sa.Column('role', sa.Text(), nullable=True),
    sa.Column('invited_by', sa.Text(), server_default='', nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("purpose in ('verify_email', 'reset_password', 'invitation')", name=op.f('ck_one_time_link_purpose_known')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_one_time_link')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_one_time_link_token_hash'))
    )
    op.create_index('ix_one_time_link_email', 'one_time_link', ['email'], unique=False)
    op.create_table('membership',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('tenant_id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('role', sa.Text(), nullable=False),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("role in ('owner', 'operator', 'finance_maker', 'finance_checker', 'support', 'read_only')", name=op.f('ck_membership_role_known')),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_membership_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_membership')),
    sa.UniqueConstraint('tenant_id', 'user_id', name=op.f('uq_membership_tenant_id_user_id'))
    )
    op.create_index('ix_membership_user', 'membership', ['user_id'], unique=False)
    op.create_table('recovery_code',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('code_hash', sa.LargeBinary(), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('position', sa.SmallInteger(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_recovery_code_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_recovery_code'))
    )
    op.create_index('ix_recovery_code_user', 'recovery_code', ['user_id'], unique=False, postgresql_where=sa.text('used_at is null'))
    op.create_table('user_session',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('token_hash', sa.LargeBinary(), nullable=False),
    sa.Column('user_id', sa.Uuid(), nullable=False),
    sa.Column('is_second_factor_due', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('viewing_tenant_id', sa.Uuid(), nullable=True),
    sa.Column('viewing_reason', sa.Text(), server_default='', nullable=False),
    sa.Column('viewing_until', sa.DateTime(timezone=True), nullable=True),
    sa.Column('address', sa.Text(), nullable=False),
    sa.Column('agent', sa.Text(), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['user_id'], ['app_user.id'], name=op.f('fk_user_session_user_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_user_session')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_user_session_token_hash'))
    )
    op.create_index('ix_user_session_expires', 'user_session', ['expires_at'], unique=False)
    op.create_index('ix_user_session_user', 'user_session', ['user_id'], unique=False)
    op.create_table('tenant',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('slug', sa.Text(), nullable=True),
    sa.Column('name', sa.Text(), nullable=True),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('database', sa.Text(), server_default='main', nullable=False),
    sa.Column('schema_name', sa.Text(), nullable=False),
    sa.Column('role_name', sa.Text(), nullable=False),
    sa.Column('revision', sa.Text(), nullable=False),
    sa.Column('state_reason', sa.Text(), server_default='', nullable=False),
    sa.Column('opened_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(state = 'spare') = (slug is null)", name=op.f('ck_tenant_spare_is_unnamed')),
    sa.CheckConstraint("state in ('spare', 'active', 'suspended', 'closed')", name=op.f('ck_tenant_state_known')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_tenant')),
    sa.UniqueConstraint('role_name', name=op.f('uq_tenant_role_name')),
    sa.UniqueConstraint('schema_name', name=op.f('uq_tenant_schema_name')),
    sa.UniqueConstraint('slug', name=op.f('uq_tenant_slug'))
    )
    op.create_index('ix_tenant_name', 'tenant', [sa.literal_column('lower(name)')], unique=False)
    op.create_index('ix_tenant_spare', 'tenant', ['created_at'], unique=False, postgresql_where=sa.text("state = 'spare'"))
    op.create_table('bell',
    sa.Column('home', sa.Text(), nullable=False),
    sa.Column('lane', sa.Text(), nullable=False),
    sa.Column('ring_at', sa.DateTime(timezone=True), nullable=False),
    sa.PrimaryKeyConstraint('home', 'lane', 'ring_at', name=op.f('pk_bell')),
    schema='work'
    )
    op.create_index('ix_bell_due', 'bell', ['lane', 'ring_at'], unique=False, schema='work')
    op.create_table('tenant_domain',
    sa.Column('host', sa.Text(), nullable=False),
    sa.Column('tenant_id', sa.Uuid(), nullable=False),
    sa.Column('token', sa.Text(), nullable=False),
    sa.Column('verified_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['tenant_id'], ['tenant.id'], name=op.f('fk_tenant_domain_tenant_id')),
    sa.PrimaryKeyConstraint('host', name=op.f('pk_tenant_domain'))
    )
    op.create_index(op.f('ix_tenant_domain_tenant_id'), 'tenant_domain', ['tenant_id'], unique=False)
    op.execute("grant usage on schema work to quanyi_platform, quanyi_ringer")
    op.execute("grant select, insert, update, delete on work.bell to quanyi_platform")
    op.execute("grant insert on work.bell to quanyi_ringer")
    op.execute("grant usage, create on schema queue to quanyi_app")
    op.execute("alter default privileges in schema queue grant all on tables to quanyi_app")
    op.execute("alter default privileges in schema queue grant all on sequences to quanyi_app")


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
