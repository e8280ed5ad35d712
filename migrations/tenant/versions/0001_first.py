"""first"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from migrations import functions

revision = '0001'
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
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
    op.create_table('buyer_session',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('token_hash', sa.LargeBinary(), nullable=False),
    sa.Column('customer_id', sa.Uuid(), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_buyer_session')),
    sa.UniqueConstraint('token_hash', name=op.f('uq_buyer_session_token_hash'))
    )
    op.create_index('ix_buyer_session_expires', 'buyer_session', ['expires_at'], unique=False)
    op.create_table('buyer_usage',
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('contact_fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('units', sa.Integer(), nullable=False),
    sa.CheckConstraint('units >= 0', name=op.f('ck_buyer_usage_never_negative')),
    sa.PrimaryKeyConstraint('product_id', 'contact_fingerprint', name=op.f('pk_buyer_usage'))
    )
    op.create_table('card_key',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('batch_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Text(), server_default='free', nullable=False),
    sa.Column('pos', sa.Integer(), nullable=False),
    sa.Column('expires_on', sa.Date(), nullable=False),
    sa.Column('masked', sa.Text(), nullable=False),
    sa.Column('secret', sa.LargeBinary(), nullable=False),
    sa.Column('fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('tail_fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('unit_cost', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('changed_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint("state in ('free', 'delivered', 'voided', 'quarantined', 'expired')", name=op.f('ck_card_key_state_known')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_card_key'))
    )
    op.create_index('ix_card_key_batch', 'card_key', ['batch_id'], unique=False)
    op.create_index('ix_card_key_free', 'card_key', ['sku_id', 'expires_on', 'pos'], unique=False, postgresql_where=sa.text("state = 'free'"))
    op.create_index('ix_card_key_tail', 'card_key', ['tail_fingerprint'], unique=False)
    op.create_index('uq_card_key_fingerprint', 'card_key', ['sku_id', 'fingerprint'], unique=True)
    op.create_table('category',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('position', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_category')),
    sa.UniqueConstraint('name', name=op.f('uq_category_name'))
    )
    op.create_table('contact_code',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('contact_kind', sa.Text(), nullable=False),
    sa.Column('contact', sa.LargeBinary(), nullable=False),
    sa.Column('contact_masked', sa.Text(), nullable=False),
    sa.Column('contact_fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('code_fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('wrong_tries', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('used_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_contact_code'))
    )
    op.create_index('ix_contact_code_contact', 'contact_code', ['contact_fingerprint', 'created_at'], unique=False)
    op.create_table('customer',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('contact_kind', sa.Text(), nullable=False),
    sa.Column('contact', sa.LargeBinary(), nullable=False),
    sa.Column('contact_masked', sa.Text(), nullable=False),
    sa.Column('contact_fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_customer')),
    sa.UniqueConstraint('contact_fingerprint', name=op.f('uq_customer_contact_fingerprint'))
    )
    op.create_table('gateway_connection',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('gateway', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('merchant_id', sa.Text(), nullable=False),
    sa.Column('config', sa.LargeBinary(), nullable=False),
    sa.Column('is_live', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_gateway_connection'))
    )
    op.create_table('ledger_account',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('normal_side', sa.Text(), nullable=False),
    sa.Column('may_cross_zero', sa.Boolean(), nullable=False),
    sa.Column('debits_minor', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('credits_minor', sa.BigInteger(), server_default='0', nullable=False),
    sa.CheckConstraint("may_cross_zero or (case normal_side when 'debit' then debits_minor >= credits_minor else credits_minor >= debits_minor end)", name=op.f('ck_ledger_account_balance_not_negative')),
    sa.CheckConstraint("normal_side in ('debit', 'credit')", name=op.f('ck_ledger_account_normal_side_known')),
    sa.CheckConstraint('debits_minor >= 0 and credits_minor >= 0', name=op.f('ck_ledger_account_sums_not_negative')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_ledger_account')),
    sa.UniqueConstraint('name', 'currency', name=op.f('uq_ledger_account_name_currency'))
    )
    op.create_table('order_view',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('query', sa.Text(), nullable=False),
    sa.Column('owner_id', sa.Uuid(), nullable=False),
    sa.Column('is_shared', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('position', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_view'))
    )
    op.create_table('picture',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('media_type', sa.Text(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.Column('width', sa.Integer(), nullable=False),
    sa.Column('height', sa.Integer(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_picture'))
    )
    op.create_table('gateway_notice',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('event_key', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('payment_no', sa.Text(), nullable=False),
    sa.Column('answer', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['connection_id'], ['gateway_connection.id'], name=op.f('fk_gateway_notice_connection_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_gateway_notice')),
    sa.UniqueConstraint('connection_id', 'event_key', name=op.f('uq_gateway_notice_connection_id_event_key'))
    )
    op.create_table('payment',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('payment_no', sa.Text(), nullable=False),
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Text(), server_default='opening', nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('gateway_ref', sa.Text(), nullable=True),
    sa.Column('pay_url', sa.Text(), nullable=True),
    sa.Column('ask_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('times_asked', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('succeeded_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('opening', 'open', 'succeeded', 'closed', 'declined')", name=op.f('ck_payment_state_known')),
    sa.CheckConstraint('amount_minor > 0', name=op.f('ck_payment_amount_positive')),
    sa.ForeignKeyConstraint(['connection_id'], ['gateway_connection.id'], name=op.f('fk_payment_connection_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_payment')),
    sa.UniqueConstraint('payment_no', name=op.f('uq_payment_payment_no'))
    )
    op.create_index('ix_payment_asked', 'payment', ['ask_at'], unique=False, postgresql_where=sa.text("state in ('opening', 'open')"))
    op.create_index('ix_payment_order', 'payment', ['order_id'], unique=False)
    op.create_table('product',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('summary', sa.Text(), server_default='', nullable=False),
    sa.Column('delivery_kind', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='draft', nullable=False),
    sa.Column('category_id', sa.Uuid(), nullable=True),
    sa.Column('description_html', sa.Text(), server_default='', nullable=False),
    sa.Column('usage_html', sa.Text(), server_default='', nullable=False),
    sa.Column('cover_icon', sa.Text(), server_default='ticket', nullable=False),
    sa.Column('cover_hue', sa.SmallInteger(), server_default='4', nullable=False),
    sa.Column('picture_id', sa.Uuid(), nullable=True),
    sa.Column('buyer_limit', sa.Integer(), nullable=True),
    sa.Column('position', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("delivery_kind in ('card_key', 'direct_top_up', 'voucher', 'serial', 'link', 'bundle', 'subscription')", name=op.f('ck_product_delivery_kind_known')),
    sa.CheckConstraint("state in ('draft', 'on_sale', 'off_sale')", name=op.f('ck_product_state_known')),
    sa.CheckConstraint('buyer_limit > 0', name=op.f('ck_product_buyer_limit_positive')),
    sa.ForeignKeyConstraint(['category_id'], ['category.id'], name=op.f('fk_product_category_id')),
    sa.ForeignKeyConstraint(['picture_id'], ['picture.id'], name=op.f('fk_product_picture_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_product'))
    )
    op.create_index('ix_product_state', 'product', ['state', 'position'], unique=False)
    op.create_table('storefront',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('tagline', sa.Text(), server_default='', nullable=False),
    sa.Column('brand_color', sa.Text(), server_default='#9a3b1b', nullable=False),
    sa.Column('logo_id', sa.Uuid(), nullable=True),
    sa.Column('contact_rule', sa.Text(), server_default='either', nullable=False),
    sa.Column('mails_keys', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('support_contact', sa.Text(), server_default='', nullable=False),
    sa.Column('notice_html', sa.Text(), server_default='', nullable=False),
    sa.Column('setup_dismissed', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("contact_rule in ('phone', 'email', 'either')", name=op.f('ck_storefront_contact_rule_known')),
    sa.ForeignKeyConstraint(['logo_id'], ['picture.id'], name=op.f('fk_storefront_logo_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_storefront'))
    )
    op.create_table('transfer',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('debit_account_id', sa.Uuid(), nullable=False),
    sa.Column('credit_account_id', sa.Uuid(), nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('kind', sa.Text(), nullable=False),
    sa.Column('subject_id', sa.Uuid(), nullable=False),
    sa.Column('at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('amount_minor > 0', name=op.f('ck_transfer_amount_positive')),
    sa.CheckConstraint('debit_account_id <> credit_account_id', name=op.f('ck_transfer_two_accounts')),
    sa.ForeignKeyConstraint(['credit_account_id'], ['ledger_account.id'], name=op.f('fk_transfer_credit_account_id')),
    sa.ForeignKeyConstraint(['debit_account_id'], ['ledger_account.id'], name=op.f('fk_transfer_debit_account_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_transfer'))
    )
    op.create_index('ix_transfer_credit', 'transfer', ['credit_account_id', 'at'], unique=False)
    op.create_index('ix_transfer_debit', 'transfer', ['debit_account_id', 'at'], unique=False)
    op.create_index('ix_transfer_subject', 'transfer', ['subject_id'], unique=False)
    op.create_table('capture',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('payment_id', sa.Uuid(), nullable=False),
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('gateway_txn', sa.Text(), nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('purpose', sa.Text(), nullable=False),
    sa.Column('captured_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("purpose in ('order', 'surplus')", name=op.f('ck_capture_purpose_known')),
    sa.CheckConstraint('amount_minor > 0', name=op.f('ck_capture_amount_positive')),
    sa.ForeignKeyConstraint(['connection_id'], ['gateway_connection.id'], name=op.f('fk_capture_connection_id')),
    sa.ForeignKeyConstraint(['payment_id'], ['payment.id'], name=op.f('fk_capture_payment_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_capture')),
    sa.UniqueConstraint('connection_id', 'gateway_txn', name=op.f('uq_capture_connection_id_gateway_txn'))
    )
    op.create_index('ix_capture_order', 'capture', ['order_id'], unique=False)
    op.create_index('uq_capture_order', 'capture', ['order_id'], unique=True, postgresql_where=sa.text("purpose = 'order'"))
    op.create_table('shop_order',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('order_no', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), nullable=False),
    sa.Column('storefront_id', sa.Uuid(), nullable=False),
    sa.Column('sales_channel', sa.Text(), server_default='storefront', nullable=False),
    sa.Column('idempotency_key', sa.Text(), nullable=False),
    sa.Column('request_hash', sa.LargeBinary(), nullable=False),
    sa.Column('contact_kind', sa.Text(), nullable=False),
    sa.Column('contact', sa.LargeBinary(), nullable=False),
    sa.Column('contact_masked', sa.Text(), nullable=False),
    sa.Column('contact_fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('tail_fingerprint', sa.LargeBinary(), nullable=False),
    sa.Column('locale', sa.Text(), nullable=False),
    sa.Column('total_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('placed_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('expires_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('paid_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('ended_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('awaiting_payment', 'paid', 'delivered', 'partly_delivered', 'refunding', 'refunded', 'cancelled', 'expired')", name=op.f('ck_shop_order_state_known')),
    sa.CheckConstraint('total_minor > 0', name=op.f('ck_shop_order_total_positive')),
    sa.ForeignKeyConstraint(['storefront_id'], ['storefront.id'], name=op.f('fk_shop_order_storefront_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_shop_order')),
    sa.UniqueConstraint('idempotency_key', name=op.f('uq_shop_order_idempotency_key')),
    sa.UniqueConstraint('order_no', name=op.f('uq_shop_order_order_no'))
    )
    op.create_index('ix_shop_order_contact', 'shop_order', ['contact_fingerprint', 'placed_at'], unique=False)
    op.create_index('ix_shop_order_expiring', 'shop_order', ['expires_at'], unique=False, postgresql_where=sa.text("state = 'awaiting_payment'"))
    op.create_index('ix_shop_order_placed', 'shop_order', ['placed_at'], unique=False)
    op.create_index('ix_shop_order_state', 'shop_order', ['state', 'placed_at'], unique=False)
    op.create_index('ix_shop_order_tail', 'shop_order', ['tail_fingerprint'], unique=False)
    op.create_index('ix_shop_order_unfinished', 'shop_order', ['paid_at'], unique=False, postgresql_where=sa.text("state in ('paid', 'refunding')"))
    op.create_table('sku',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('face_value_minor', sa.BigInteger(), nullable=True),
    sa.Column('region', sa.Text(), server_default='', nullable=False),
    sa.Column('warn_below', sa.Integer(), server_default='0', nullable=False),
    sa.Column('is_hot', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('position', sa.Integer(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('face_value_minor >= 0', name=op.f('ck_sku_face_value_not_negative')),
    sa.CheckConstraint('warn_below >= 0', name=op.f('ck_sku_warn_below_not_negative')),
    sa.ForeignKeyConstraint(['product_id'], ['product.id'], name=op.f('fk_sku_product_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_sku')),
    sa.UniqueConstraint('product_id', 'name', name=op.f('uq_sku_product_id_name'))
    )
    op.create_index(op.f('ix_sku_product_id'), 'sku', ['product_id'], unique=False)
    op.create_table('import_batch',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('batch_no', sa.Text(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Text(), server_default='checking', nullable=False),
    sa.Column('file_name', sa.Text(), server_default='', nullable=False),
    sa.Column('encoding', sa.Text(), server_default='', nullable=False),
    sa.Column('unit_cost', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('currency', sa.Text(), server_default='CNY', nullable=False),
    sa.Column('expires_on', sa.Date(), server_default='infinity', nullable=False),
    sa.Column('lines_read', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('lines_done', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('new_count', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('duplicate_in_file', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('duplicate_in_pool', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('bad_count', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('imported_count', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('problem', sa.Text(), server_default='', nullable=False),
    sa.Column('created_by', sa.Text(), nullable=False),
    sa.Column('checked_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('imported_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("state in ('checking', 'ready', 'importing', 'imported', 'quarantined', 'abandoned', 'rejected')", name=op.f('ck_import_batch_state_known')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_import_batch_sku_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_import_batch')),
    sa.UniqueConstraint('batch_no', name=op.f('uq_import_batch_batch_no'))
    )
    op.create_index('ix_import_batch_sku', 'import_batch', ['sku_id', 'created_at'], unique=False)
    op.create_table('listing',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('storefront_id', sa.Uuid(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('price_minor', sa.BigInteger(), nullable=False),
    sa.Column('was_minor', sa.BigInteger(), nullable=True),
    sa.Column('currency', sa.Text(), server_default='CNY', nullable=False),
    sa.Column('is_published', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('price_minor > 0', name=op.f('ck_listing_price_positive')),
    sa.CheckConstraint('was_minor > price_minor', name=op.f('ck_listing_was_above_price')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_listing_sku_id')),
    sa.ForeignKeyConstraint(['storefront_id'], ['storefront.id'], name=op.f('fk_listing_storefront_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_listing')),
    sa.UniqueConstraint('storefront_id', 'sku_id', name=op.f('uq_listing_storefront_id_sku_id'))
    )
    op.create_index('ix_listing_sku', 'listing', ['sku_id'], unique=False)
    op.create_table('order_line',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('line_no', sa.SmallInteger(), nullable=False),
    sa.Column('product_id', sa.Uuid(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('listing_id', sa.Uuid(), nullable=False),
    sa.Column('product_name', sa.Text(), nullable=False),
    sa.Column('sku_name', sa.Text(), nullable=False),
    sa.Column('delivery_kind', sa.Text(), nullable=False),
    sa.Column('quantity', sa.Integer(), nullable=False),
    sa.Column('unit_price_minor', sa.BigInteger(), nullable=False),
    sa.Column('total_minor', sa.BigInteger(), nullable=False),
    sa.CheckConstraint('quantity > 0', name=op.f('ck_order_line_quantity_positive')),
    sa.CheckConstraint('total_minor = unit_price_minor * quantity', name=op.f('ck_order_line_total_is_price_times_quantity')),
    sa.ForeignKeyConstraint(['order_id'], ['shop_order.id'], name=op.f('fk_order_line_order_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_order_line'))
    )
    op.create_index('ix_order_line_order', 'order_line', ['order_id'], unique=False)
    op.create_index('ix_order_line_sku', 'order_line', ['sku_id'], unique=False)
    op.create_table('refund',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('refund_no', sa.Text(), nullable=False),
    sa.Column('business_key', sa.Text(), nullable=False),
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('payment_id', sa.Uuid(), nullable=False),
    sa.Column('capture_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Text(), server_default='requested', nullable=False),
    sa.Column('reason', sa.Text(), nullable=False),
    sa.Column('note', sa.Text(), server_default='', nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('gateway_refund_ref', sa.Text(), nullable=True),
    sa.Column('requested_by', sa.Text(), nullable=False),
    sa.Column('succeeded_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("reason in ('out_of_stock', 'paid_twice', 'merchant')", name=op.f('ck_refund_reason_known')),
    sa.CheckConstraint("state in ('requested', 'sending', 'unknown', 'succeeded', 'declined')", name=op.f('ck_refund_state_known')),
    sa.CheckConstraint('amount_minor > 0', name=op.f('ck_refund_amount_positive')),
    sa.ForeignKeyConstraint(['capture_id'], ['capture.id'], name=op.f('fk_refund_capture_id')),
    sa.ForeignKeyConstraint(['payment_id'], ['payment.id'], name=op.f('fk_refund_payment_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_refund')),
    sa.UniqueConstraint('refund_no', name=op.f('uq_refund_refund_no'))
    )
    op.create_index('ix_refund_order', 'refund', ['order_id'], unique=False)
    op.create_index('ix_refund_unfinished', 'refund', ['created_at'], unique=False, postgresql_where=sa.text("state <> 'succeeded'"))
    op.create_index('uq_refund_business_key', 'refund', ['business_key'], unique=True)
    op.create_table('stock',
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('imported', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('available', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('reserved', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('delivered', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('voided', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('quarantined', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('expired', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('short', sa.BigInteger(), server_default='0', nullable=False),
    sa.Column('warned_at', sa.DateTime(timezone=True), nullable=True),
    sa.CheckConstraint('available = 0 or short = 0', name=op.f('ck_stock_short_before_shelf')),
    sa.CheckConstraint('available >= 0 and reserved >= 0 and delivered >= 0 and voided >= 0 and quarantined >= 0 and expired >= 0 and short >= 0', name=op.f('ck_stock_never_negative')),
    sa.CheckConstraint('imported + short = available + reserved + delivered + voided + quarantined + expired', name=op.f('ck_stock_adds_up')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_stock_sku_id')),
    sa.PrimaryKeyConstraint('sku_id', name=op.f('pk_stock')),
    postgresql_with={'fillfactor': 50}
    )
    op.create_table('delivery_unit',
    sa.Column('order_line_id', sa.Uuid(), nullable=False),
    sa.Column('unit_no', sa.Integer(), nullable=False),
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('state', sa.Text(), server_default='reserved', nullable=False),
    sa.Column('amount_minor', sa.BigInteger(), nullable=False),
    sa.Column('card_key_id', sa.Uuid(), nullable=True),
    sa.Column('unit_cost', sa.Numeric(precision=18, scale=6), nullable=True),
    sa.Column('delivered_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('revealed_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('refund_id', sa.Uuid(), nullable=True),
    sa.CheckConstraint("(state = 'delivered') <= (card_key_id is not null)", name=op.f('ck_delivery_unit_delivered_has_key')),
    sa.CheckConstraint("state in ('reserved', 'owed', 'delivered', 'refunding', 'refunded', 'released')", name=op.f('ck_delivery_unit_state_known')),
    sa.ForeignKeyConstraint(['order_line_id'], ['order_line.id'], name=op.f('fk_delivery_unit_order_line_id')),
    sa.PrimaryKeyConstraint('order_line_id', 'unit_no', name=op.f('pk_delivery_unit'))
    )
    op.create_index('ix_delivery_unit_order', 'delivery_unit', ['order_id'], unique=False)
    op.create_index('uq_delivery_unit_card_key', 'delivery_unit', ['card_key_id'], unique=True, postgresql_where=sa.text('card_key_id is not null'))
    op.create_table('import_chunk',
    sa.Column('batch_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.Integer(), nullable=False),
    sa.Column('row_id', sa.Uuid(), nullable=False),
    sa.Column('body', sa.LargeBinary(), nullable=False),
    sa.ForeignKeyConstraint(['batch_id'], ['import_batch.id'], name=op.f('fk_import_chunk_batch_id'), ondelete='cascade'),
    sa.PrimaryKeyConstraint('batch_id', 'seq', name=op.f('pk_import_chunk'))
    )
    op.create_table('import_line',
    sa.Column('batch_id', sa.Uuid(), nullable=False),
    sa.Column('line_no', sa.Integer(), nullable=False),
    sa.Column('verdict', sa.Text(), nullable=False),
    sa.Column('problem', sa.Text(), server_default='', nullable=False),
    sa.Column('masked', sa.Text(), nullable=False),
    sa.Column('card_key_id', sa.Uuid(), nullable=True),
    sa.Column('secret', sa.LargeBinary(), nullable=True),
    sa.Column('fingerprint', sa.LargeBinary(), nullable=True),
    sa.Column('tail_fingerprint', sa.LargeBinary(), nullable=True),
    sa.CheckConstraint("verdict in ('new', 'duplicate_in_file', 'duplicate_in_pool', 'bad')", name=op.f('ck_import_line_verdict_known')),
    sa.ForeignKeyConstraint(['batch_id'], ['import_batch.id'], name=op.f('fk_import_line_batch_id'), ondelete='cascade'),
    sa.PrimaryKeyConstraint('batch_id', 'line_no', name=op.f('pk_import_line'))
    )
    op.create_index('ix_import_line_fingerprint', 'import_line', ['batch_id', 'fingerprint'], unique=False)
    op.create_index('ix_import_line_verdict', 'import_line', ['batch_id', 'verdict', 'line_no'], unique=False)
    op.create_table('price_change',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('listing_id', sa.Uuid(), nullable=False),
    sa.Column('from_minor', sa.BigInteger(), nullable=True),
    sa.Column('to_minor', sa.BigInteger(), nullable=False),
    sa.Column('actor_name', sa.Text(), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['listing_id'], ['listing.id'], name=op.f('fk_price_change_listing_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_price_change'))
    )
    op.create_index(op.f('ix_price_change_listing_id'), 'price_change', ['listing_id'], unique=False)
    functions.create()


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
