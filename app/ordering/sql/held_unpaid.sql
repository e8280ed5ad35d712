-- What one buyer's unpaid orders hold, by SKU. Found by his orders of the last while: whoever holds longer is about to be swept.
create or replace function held_unpaid(p_contact_fp bytea, p_hold interval) returns table (sku uuid, units bigint)
language sql stable as $$
  select l.sku_id, sum(l.quantity)::bigint
  from shop_order o join order_line l on l.order_id = o.id
  where o.contact_fingerprint = p_contact_fp and o.state = 'awaiting_payment' and l.delivery_kind <> 'bundle'
    and o.placed_at > now() - p_hold - interval '10 minutes'
  group by l.sku_id
$$;
