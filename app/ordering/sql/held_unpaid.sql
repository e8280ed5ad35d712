-- What one buyer's unpaid orders hold, by SKU. Found by his orders of the last while: whoever holds longer is about to be swept.
-- Callers keep its plan from when the tables were empty, so only one plan is open to it: the pair is a range of one index and of no other, the state
-- is no bare column that an index of all unpaid orders would answer, and units are looked up order by order.
create or replace function held_unpaid(p_contact_fp bytea, p_hold interval) returns table (sku uuid, units bigint)
language sql stable as $$
  select u.sku_id, count(*)
  from shop_order o
  cross join lateral (select d.sku_id from delivery_unit d where d.order_id = o.id and d.state || '' = 'reserved' offset 0) u
  where (o.contact_fingerprint, o.placed_at) > (p_contact_fp, now() - p_hold - interval '10 minutes')
    and (o.contact_fingerprint, o.placed_at) <= (p_contact_fp, 'infinity'::timestamptz)
    and o.state || '' = 'awaiting_payment'
  group by u.sku_id
$$;
