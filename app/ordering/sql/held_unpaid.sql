-- What one buyer's unpaid orders hold, by SKU. Found by his orders of the last while: whoever holds longer is about to be swept.
create or replace function held_unpaid(p_contact_fp bytea, p_hold interval) returns table (sku uuid, units bigint)
language sql stable as $$
  select u.sku_id, count(*)
  from shop_order o join delivery_unit u on u.order_id = o.id
  where o.contact_fingerprint = p_contact_fp and o.state = 'awaiting_payment' and u.state = 'reserved'
    and o.placed_at > now() - p_hold - interval '10 minutes'
  group by u.sku_id
$$;
