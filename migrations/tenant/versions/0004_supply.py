"""supply: suppliers, connections, offers and routes; attempts to buy; what may be sold before we have it; recharge accounts"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql
revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None

_CASES = (
    "kind in ('work_failed', 'refund_declined', 'mismatch', 'wrong_amount', 'supplier_unknown', 'supplier_late', 'bad_goods', 'spare_goods')"
)


def upgrade() -> None:
    op.create_table('supplier',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('contact', sa.Text(), server_default='', nullable=False),
    sa.Column('settlement_days', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('claim_days', sa.SmallInteger(), server_default='7', nullable=False),
    sa.Column('terms', sa.Text(), server_default='', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint('claim_days >= 0', name=op.f('ck_supplier_claim_days_not_negative')),
    sa.CheckConstraint('settlement_days >= 0', name=op.f('ck_supplier_settlement_days_not_negative')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_supplier')),
    sa.UniqueConstraint('name', name=op.f('uq_supplier_name'))
    )
    op.create_table('supply_minute',
    sa.Column('offer_id', sa.Uuid(), nullable=False),
    sa.Column('minute', sa.DateTime(timezone=True), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('calls', sa.Integer(), server_default='0', nullable=False),
    sa.Column('well', sa.Integer(), server_default='0', nullable=False),
    sa.Column('refused', sa.Integer(), server_default='0', nullable=False),
    sa.Column('delivered', sa.Integer(), server_default='0', nullable=False),
    sa.Column('within_300_ms', sa.Integer(), server_default='0', nullable=False),
    sa.Column('within_1_s', sa.Integer(), server_default='0', nullable=False),
    sa.Column('within_3_s', sa.Integer(), server_default='0', nullable=False),
    sa.Column('within_10_s', sa.Integer(), server_default='0', nullable=False),
    sa.PrimaryKeyConstraint('offer_id', 'minute', name=op.f('pk_supply_minute'))
    )
    op.create_index('ix_supply_minute_connection', 'supply_minute', ['connection_id', 'minute'], unique=False)
    op.create_table('supplier_connection',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('supplier_id', sa.Uuid(), nullable=False),
    sa.Column('connector', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('mode', sa.Text(), server_default='test', nullable=False),
    sa.Column('is_on', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('config', sa.LargeBinary(), nullable=False),
    sa.Column('configured_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('calls_per_second', sa.Numeric(precision=9, scale=3), nullable=False),
    sa.Column('calls_at_once', sa.Integer(), nullable=False),
    sa.Column('ip_note', sa.Text(), server_default='', nullable=False),
    sa.Column('breaker', sa.Text(), server_default='closed', nullable=False),
    sa.Column('breaker_since', sa.DateTime(timezone=True), nullable=True),
    sa.Column('breaker_reason', sa.Text(), server_default='', nullable=False),
    sa.Column('is_held_open', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('balance', sa.Numeric(precision=18, scale=6), nullable=True),
    sa.Column('balance_currency', sa.Text(), server_default='CNY', nullable=False),
    sa.Column('balance_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('warn_below', sa.Numeric(precision=18, scale=6), nullable=True),
    sa.Column('well_in_a_row', sa.Integer(), server_default='0', nullable=False),
    sa.Column('tokens', sa.Numeric(precision=12, scale=6), server_default='0', nullable=False),
    sa.Column('tokens_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('tested_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('test_ms', sa.Integer(), nullable=True),
    sa.Column('catalog_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("breaker in ('closed', 'open', 'half_open')", name=op.f('ck_supplier_connection_breaker_known')),
    sa.CheckConstraint("mode in ('test', 'live')", name=op.f('ck_supplier_connection_mode_known')),
    sa.CheckConstraint('calls_at_once between 1 and 200', name=op.f('ck_supplier_connection_calls_at_once_bounded')),
    sa.CheckConstraint('calls_per_second > 0', name=op.f('ck_supplier_connection_calls_per_second_positive')),
    sa.ForeignKeyConstraint(['supplier_id'], ['supplier.id'], name=op.f('fk_supplier_connection_supplier_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_supplier_connection')),
    sa.UniqueConstraint('name', name=op.f('uq_supplier_connection_name'))
    )
    op.create_index('ix_supplier_connection_supplier', 'supplier_connection', ['supplier_id'], unique=False)
    op.create_table('supplier_offer',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('supplier_sku', sa.Text(), nullable=False),
    sa.Column('name', sa.Text(), nullable=False),
    sa.Column('delivery_kind', sa.Text(), nullable=False),
    sa.Column('unit_cost', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('currency', sa.Text(), server_default='CNY', nullable=False),
    sa.Column('is_on_sale', sa.Boolean(), server_default='true', nullable=False),
    sa.Column('is_excluded', sa.Boolean(), server_default='false', nullable=False),
    sa.Column('stock', sa.BigInteger(), nullable=True),
    sa.Column('face_value_minor', sa.BigInteger(), nullable=True),
    sa.Column('least_minor', sa.BigInteger(), nullable=True),
    sa.Column('most_minor', sa.BigInteger(), nullable=True),
    sa.Column('step_minor', sa.BigInteger(), nullable=True),
    sa.Column('region', sa.Text(), server_default='', nullable=False),
    sa.Column('account_fields', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('seen_at', sa.DateTime(timezone=True), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("unit_cost >= 0 and unit_cost < 'Infinity'", name=op.f('ck_supplier_offer_unit_cost_plain')),
    sa.CheckConstraint('stock >= 0', name=op.f('ck_supplier_offer_stock_not_negative')),
    sa.ForeignKeyConstraint(['connection_id'], ['supplier_connection.id'], name=op.f('fk_supplier_offer_connection_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_supplier_offer')),
    sa.UniqueConstraint('connection_id', 'supplier_sku', name=op.f('uq_supplier_offer_connection_id_supplier_sku'))
    )
    op.create_index('ix_supplier_offer_listed', 'supplier_offer', ['connection_id', 'name'], unique=False)
    op.create_table('offer_change',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('offer_id', sa.Uuid(), nullable=False),
    sa.Column('before', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('after', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.ForeignKeyConstraint(['offer_id'], ['supplier_offer.id'], name=op.f('fk_offer_change_offer_id')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_offer_change'))
    )
    op.create_index(op.f('ix_offer_change_offer_id'), 'offer_change', ['offer_id'], unique=False)
    op.create_table('supply_route',
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('policy', sa.Text(), server_default='cheapest', nullable=False),
    sa.Column('floor_bp', sa.Integer(), server_default='0', nullable=False),
    sa.Column('deadline_s', sa.Integer(), server_default='1800', nullable=False),
    sa.Column('shelf_reason', sa.Text(), server_default='', nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("policy in ('cheapest', 'fastest', 'fixed_order', 'weighted')", name=op.f('ck_supply_route_policy_known')),
    sa.CheckConstraint('deadline_s between 60 and 172800', name=op.f('ck_supply_route_deadline_bounded')),
    sa.CheckConstraint('floor_bp between 0 and 9999', name=op.f('ck_supply_route_floor_is_a_share')),
    sa.ForeignKeyConstraint(['sku_id'], ['sku.id'], name=op.f('fk_supply_route_sku_id')),
    sa.PrimaryKeyConstraint('sku_id', name=op.f('pk_supply_route'))
    )
    op.create_table('recharge_account',
    sa.Column('order_line_id', sa.Uuid(), nullable=False),
    sa.Column('account', sa.LargeBinary(), nullable=False),
    sa.Column('masked', sa.Text(), nullable=False),
    sa.ForeignKeyConstraint(['order_line_id'], ['order_line.id'], name=op.f('fk_recharge_account_order_line_id')),
    sa.PrimaryKeyConstraint('order_line_id', name=op.f('pk_recharge_account'))
    )
    op.create_table('route_offer',
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('offer_id', sa.Uuid(), nullable=False),
    sa.Column('position', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('weight', sa.SmallInteger(), server_default='1', nullable=False),
    sa.CheckConstraint('weight between 1 and 1000', name=op.f('ck_route_offer_weight_bounded')),
    sa.ForeignKeyConstraint(['offer_id'], ['supplier_offer.id'], name=op.f('fk_route_offer_offer_id')),
    sa.ForeignKeyConstraint(['sku_id'], ['supply_route.sku_id'], name=op.f('fk_route_offer_sku_id'), ondelete='cascade'),
    sa.PrimaryKeyConstraint('sku_id', 'offer_id', name=op.f('pk_route_offer'))
    )
    op.create_index('ix_route_offer_offer', 'route_offer', ['offer_id'], unique=False)
    op.create_table('attempt',
    sa.Column('id', sa.Uuid(), nullable=False),
    sa.Column('order_id', sa.Uuid(), nullable=False),
    sa.Column('order_line_id', sa.Uuid(), nullable=False),
    sa.Column('unit_no', sa.Integer(), nullable=False),
    sa.Column('sku_id', sa.Uuid(), nullable=False),
    sa.Column('seq', sa.SmallInteger(), nullable=False),
    sa.Column('offer_id', sa.Uuid(), nullable=False),
    sa.Column('connection_id', sa.Uuid(), nullable=False),
    sa.Column('supplier_sku', sa.Text(), nullable=False),
    sa.Column('out_no', sa.Text(), nullable=False),
    sa.Column('state', sa.Text(), server_default='planned', nullable=False),
    sa.Column('priority', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('expected_cost', sa.Numeric(precision=18, scale=6), nullable=False),
    sa.Column('unit_cost', sa.Numeric(precision=18, scale=6), nullable=True),
    sa.Column('currency', sa.Text(), nullable=False),
    sa.Column('why', sa.Text(), nullable=False),
    sa.Column('passed_over', postgresql.JSONB(astext_type=sa.Text()), server_default='[]', nullable=False),
    sa.Column('fence', sa.Uuid(), nullable=True),
    sa.Column('sent_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('decided_at', sa.DateTime(timezone=True), nullable=True),
    sa.Column('took_ms', sa.Integer(), nullable=True),
    sa.Column('supplier_ref', sa.Text(), nullable=True),
    sa.Column('reason', sa.Text(), server_default='', nullable=False),
    sa.Column('says', sa.Text(), server_default='', nullable=False),
    sa.Column('evidence', sa.Text(), server_default='', nullable=False),
    sa.Column('times_sent', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('times_asked', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('times_not_found', sa.SmallInteger(), server_default='0', nullable=False),
    sa.Column('created_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.Column('updated_at', sa.DateTime(timezone=True), server_default=sa.text('now()'), nullable=False),
    sa.CheckConstraint("(state = 'sending') = (fence is not null)", name=op.f('ck_attempt_fence_while_sending')),
    sa.CheckConstraint("state in ('planned', 'sending', 'accepted', 'unknown', 'succeeded', 'failed', 'succeeded_late')", name=op.f('ck_attempt_state_known')),
    sa.ForeignKeyConstraint(['order_line_id', 'unit_no'], ['delivery_unit.order_line_id', 'delivery_unit.unit_no'], name=op.f('fk_attempt_order_line_id_unit_no')),
    sa.PrimaryKeyConstraint('id', name=op.f('pk_attempt')),
    sa.UniqueConstraint('out_no', name=op.f('uq_attempt_out_no'))
    )
    op.create_index('ix_attempt_open', 'attempt', ['sent_at'], unique=False, postgresql_where=sa.text("state in ('sending', 'accepted', 'unknown')"))
    op.create_index('ix_attempt_order', 'attempt', ['order_id'], unique=False)
    op.create_index('ix_attempt_planned', 'attempt', ['connection_id', 'priority', 'id'], unique=False, postgresql_where=sa.text("state = 'planned'"))
    op.create_index('ix_attempt_sending', 'attempt', ['connection_id'], unique=False, postgresql_where=sa.text("state = 'sending'"))
    op.create_index('uq_attempt_live', 'attempt', ['order_line_id', 'unit_no'], unique=True, postgresql_where=sa.text("state in ('planned', 'sending', 'accepted', 'unknown', 'succeeded')"))
    op.add_column('delivery_unit', sa.Column('attempt_id', sa.Uuid(), nullable=True))
    op.add_column('stock', sa.Column('allowed', sa.BigInteger(), server_default='0', nullable=False))
    op.drop_constraint(op.f('ck_stock_never_negative'), 'stock', type_='check')
    op.create_check_constraint(
        op.f('ck_stock_never_negative'),
        'stock',
        sa.text('available >= 0 and reserved >= 0 and delivered >= 0 and voided >= 0 and quarantined >= 0 and expired >= 0 and short >= 0 and allowed >= 0'),
    )
    op.drop_constraint(op.f('ck_stock_adds_up'), 'stock', type_='check')
    op.create_check_constraint(
        op.f('ck_stock_adds_up'),
        'stock',
        sa.text('imported + allowed + short = available + reserved + delivered + voided + quarantined + expired'),
    )
    op.drop_constraint(op.f('ck_delivery_unit_delivered_has_key'), 'delivery_unit', type_='check')
    op.create_check_constraint(
        op.f('ck_delivery_unit_delivered_by_key_or_attempt'),
        'delivery_unit',
        sa.text("(state = 'delivered') <= (card_key_id is not null or attempt_id is not null)"),
    )
    op.drop_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', type_='check')
    op.create_check_constraint(op.f('ck_staff_case_kind_known'), 'staff_case', sa.text(_CASES))


def downgrade() -> None:
    raise RuntimeError("Revisions only go forward: expand, then contract.")
