"""What both order benches share: the reference's statements, and the checks by plain SQL."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.stage import Shop
from tenants.directory import Tenant
from tenants.session import tenant_tx

ZEROES = ("oversold", "duplicates", "unbalanced", "incomplete", "misreserved")
"""Checks that are zero after any number of orders."""


def reference_script(shop: Shop) -> str:
    """The writes of app/ordering/sql/place_order.sql as plain statements in one transaction, the stock row last as there."""
    return _REFERENCE.format(storefront=shop.storefront_id, skus=len(shop.skus))


async def prepare_reference(shop: Shop) -> None:
    """Numbers for SKUs, so that the script can draw one, and nothing the application does not have."""
    async with tenant_tx(shop.tenant) as tx:
        await tx.execute(
            "update sku set position = p.n from unnest($1::uuid[]) with ordinality as p (id, n) where sku.id = p.id",
            list(shop.skus),
        )


async def count(tenant: Tenant, *, stock: int) -> Mapping[str, int]:
    """Counted by plain SQL over the whole tenant; every SKU began with `stock` units."""
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(_CHECKS, stock)
    assert row is not None
    return {name: int(value) for name, value in row.items()}


_REFERENCE = """
\\set n random(1, {skus})
\\set buyer random(1, 100000000)
\\set tail random(1, 9999)
begin;
insert into shop_order
  (id, order_no, state, storefront_id, idempotency_key, request_hash, contact_kind, contact, contact_masked, contact_fingerprint,
   tail_fingerprint, locale, total_minor, currency, placed_at, expires_at)
values
  (uuidv7(), 'N261121-' || :buyer || :tail, 'awaiting_payment', '{storefront}', 'bench-' || :buyer || '-' || :tail, sha256(int8send(:buyer)),
   'phone', sha256(int8send(:buyer)), '138****2046', sha256(int8send(:buyer)), sha256(int8send(:tail)), 'zh_CN', 1990, 'CNY', now(), now() + interval '15 minutes')
returning id as order_id \\gset
insert into order_line
  (id, order_id, line_no, product_id, sku_id, listing_id, product_name, sku_name, delivery_kind, quantity, unit_price_minor, total_minor)
select uuidv7(), :order_id, 1, s.product_id, s.id, l.id, 'Card', s.name, 'card_key', 1, l.price_minor, l.price_minor
from sku s join listing l on l.sku_id = s.id
where s.position = :n
returning id as line_id, sku_id \\gset
insert into delivery_unit (order_line_id, unit_no, order_id, sku_id, state, amount_minor)
values (:line_id, 1, :order_id, :sku_id, 'reserved', 1990);
insert into task (id, kind, lane, dedupe, run_at)
values (uuidv7(), 'ordering.expire', 'orders', 'bench:' || extract(epoch from date_bin('10 seconds', now(), 'epoch')), now() + interval '15 minutes')
on conflict do nothing;
update stock set available = available - 1, reserved = reserved + 1 where sku_id = :sku_id and available >= 1;
commit;
"""
_CHECKS = """
select
  (select coalesce(sum(quantity), 0) from order_line) as sold,
  (select count(*) from stock s where s.available < 0 or s.reserved > $1 or s.available + s.reserved <> $1) as oversold,
  (select count(*) - count(distinct idempotency_key) from shop_order) + (select count(*) - count(distinct order_no) from shop_order) as duplicates,
  (select count(*) from shop_order o
   where o.total_minor <> (select coalesce(sum(l.total_minor), 0) from order_line l where l.order_id = o.id)) as unbalanced,
  (select count(*) from order_line l
   where l.quantity <> (select count(*) from delivery_unit u where u.order_line_id = l.id)) as incomplete,
  (select count(*) from stock s
   where s.reserved <> (select coalesce(sum(l.quantity), 0) from order_line l where l.sku_id = s.sku_id)) as misreserved
"""
