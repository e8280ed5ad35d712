"""Each standing rule finds what breaks it: a check that cannot fail would be no check."""

import asyncpg
import pytest

from app.insight.invariants import INVARIANTS, breaches
from tenants.session import tenant_tx
from tests.world import World

pytestmark = [pytest.mark.anyio, pytest.mark.database]

TAMPERINGS = {
    "INV-1": "drop index uq_delivery_unit_card_key; update delivery_unit set card_key_id = (select min(card_key_id::text)::uuid from delivery_unit)",
    "INV-2": "update shop_order set state = 'refunded' where state = 'delivered'",
    "INV-3": "update card_key set state = 'voided' where id = (select id from card_key where state = 'free' limit 1)",
    "INV-4": "update ledger_account set debits_minor = debits_minor + 1 where name = 'gateway'",
    "INV-5": "update transfer set amount_minor = amount_minor + 1 where kind = 'sale'",
    "INV-7": "update capture set amount_minor = amount_minor - 1",
    "INV-8": """insert into refund (id, refund_no, business_key, order_id, payment_id, capture_id, reason, amount_minor, currency, requested_by, state)
                select gen_random_uuid(), 'R', 'k', order_id, payment_id, id, 'merchant', amount_minor + 1, currency, 'x', 'unknown' from capture limit 1""",
    "INV-10": "update shop_order set state = 'paid'; delete from task",
    "INV-10 idle": """update shop_order set state = 'paid';
                insert into task (id, kind, lane, subject_id, run_at)
                select gen_random_uuid(), 'x', 'orders', id, now() - interval '16 minutes' from shop_order""",
    "INV-11": "grant usage on schema public to {role}",
    "INV-12": "update shop_order set contact = convert_to('13800132046-in-plain-text', 'UTF8')",
    "INV-12 other key": "update card_key set secret = substring(secret from 1 for 1) || int2send(7::int2) || substring(secret from 4)",
    "INV-12 second contact": "insert into second_contact select id, convert_to('lin@mail.example', 'UTF8'), 'x' from shop_order limit 1",
    "INV-13b": "update delivery_unit set revealed_at = now()",
    "INV-14": """insert into outgoing_message (id, medium, template, locale, recipient, recipient_masked, params)
                select gen_random_uuid(), 'mail', 'x', 'en', recipient, 'x', params from outgoing_message limit 1""",
    "INV-13": "update audit_entry set reason = 'x' where seq = 1",
    "INV-15": "update history set to_state = 'awaiting_payment' where subject_kind = 'order'",
    "INV-19": "update shop_order set state = 'awaiting_payment', expires_at = now() - interval '2 minutes'",
    "COST": "update delivery_unit set unit_cost = unit_cost + 0.01",
    "BUYING": """insert into attempt (id, order_id, order_line_id, unit_no, sku_id, seq, offer_id, connection_id, supplier_sku, out_no, state,
                  expected_cost, currency, why)
                select gen_random_uuid(), order_id, order_line_id, unit_no, sku_id, 1, gen_random_uuid(), gen_random_uuid(), 'x', 'x', 'unknown',
                  1, 'CNY', 'x' from delivery_unit where unit_no = 1""",
    "BILL": """insert into supplier (id, name) values (gen_random_uuid(), 'Northbank');
                insert into settlement_statement (id, supplier_id, first_day, last_day, currency, purchases, total_minor)
                select gen_random_uuid(), id, '2026-05-01', '2026-05-07', 'CNY', 0, 1 from supplier""",
    "INV-21": """insert into after_sale_case (id, case_no, state, order_id, order_line_id, unit_no, sku_id, contact_fingerprint, complaint,
                  amount_minor, currency, unit_cost, delivered_at)
                select gen_random_uuid(), 'A', 'replaced', order_id, order_line_id, unit_no, sku_id, '', 'other', 1, 'CNY', 1, now()
                from delivery_unit limit 1""",
    "BY-VALUE": "insert into sku_range (sku_id, least_minor, most_minor, step_minor, rate) select sku_id, 1, 2, 1, 1 from stock",
    "BY-VALUE own key": "update order_line set face_value_minor = 1000, face_value_currency = 'CNY'",
    "QUOTA": "update stock set allocation = 'quota', allotted = 1",
    "QUOTA moved": """update stock set allocation = 'quota', allotted = 1;
                insert into channel_quota (sku_id, channel_code, units) select sku_id, 'storefront', 1 from stock""",
    "CYCLE": """insert into subscription (id, order_line_id, cycle_unit, cycle_length, grace_days, first_day, last_day)
                select gen_random_uuid(), id, 'day', 1, 0, current_date, current_date from order_line limit 1""",
    "RESTOCK": """insert into supplier (id, name) values (gen_random_uuid(), 'Northbank');
                insert into replenishment (id, replenishment_no, supplier_id, state, asked_by) select gen_random_uuid(), 'H', id, 'done', 'x' from supplier;
                insert into replenishment_line (id, replenishment_id, position, sku_id, units, unit_cost)
                select gen_random_uuid(), r.id, 0, b.sku_id, 1, b.unit_cost + 1 from replenishment r cross join import_batch b;
                insert into replenishment_batch (batch_id, line_id, brought_by) select b.id, l.id, 'staff' from import_batch b cross join replenishment_line l""",
    "RESTOCK uncounted": """insert into supplier (id, name) values (gen_random_uuid(), 'Northbank');
                insert into replenishment (id, replenishment_no, supplier_id, state, asked_by) select gen_random_uuid(), 'H', id, 'sent', 'x' from supplier;
                insert into replenishment_line (id, replenishment_id, position, sku_id, units, unit_cost)
                select gen_random_uuid(), r.id, 0, b.sku_id, 1, b.unit_cost from replenishment r cross join import_batch b;
                insert into replenishment_batch (batch_id, line_id, brought_by) select b.id, l.id, 'staff' from import_batch b cross join replenishment_line l;
                delete from task""",
    "ISSUE": "update shop_order set billed_to = gen_random_uuid()",
    "LIMIT": "update buyer_usage set units = 0",
    "USES": """insert into content_file (id, product_id, name, media_type, size_bytes, sha256)
                select gen_random_uuid(), id, 'x', 'text/plain', 1, 'x' from product""",
}


@pytest.mark.parametrize("number", TAMPERINGS)
async def test_a_broken_rule_is_named(world: World, number: str) -> None:
    product = await world.product(buyer_limit=5)
    sku = product.skus[0]
    await world.stock(sku.id, 5)
    await world.bought(sku.listing.id, 2)
    async with tenant_tx(world.tenant) as tx:
        assert await breaches(tx) == []
    owner = await asyncpg.connect(world.urls.owner_url)
    await owner.execute(f"set search_path to {world.tenant.schema}; {TAMPERINGS[number].format(role=world.tenant.role)}")
    await owner.close()
    async with tenant_tx(world.tenant) as tx:
        found = {breach.number for breach in await breaches(tx)}
    assert number.partition(" ")[0] in found
    world.may_break |= found


def test_every_rule_is_tried() -> None:
    assert {rule.number for rule in INVARIANTS} | {"INV-13", "INV-15"} == {number.partition(" ")[0] for number in TAMPERINGS}
