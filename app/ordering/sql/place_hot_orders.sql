-- Place many buyers' orders for one SKU in one call, first come first served: the stock row is locked once and flushed once for all of them.
-- Answers one row per buyer, in their order: placed | repeated | key_reused | changed | sold_out | over_limit.
-- A repeated key inside one batch, or one placed by another process meanwhile, fails the batch; the caller then places singles.
-- Planned once per connection, by its indexes whatever the tables' size is by then: planning each call anew costs more than the writes.
create or replace function place_hot_orders(
  p_storefront uuid, p_listing uuid, p_sku uuid, p_product uuid, p_product_name text, p_sku_name text, p_kind text,
  p_price bigint, p_currency text, p_limit int, p_hold interval, p_sweep_task uuid,
  p_ids uuid[], p_order_nos text[], p_keys text[], p_hashes bytea[],
  p_contact_kinds text[], p_contacts bytea[], p_masks text[], p_contact_fps bytea[], p_tail_fps bytea[], p_locales text[],
  p_lines uuid[], p_quantities int[]
) returns table (outcome text, order_id uuid, order_no text)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_left bigint;
  v_taken bigint := 0;
  v_expires timestamptz := now() + p_hold;
  v_known jsonb;
  v_outcomes text[] := array_fill('placed'::text, array[array_length(p_ids, 1)]);
begin
  select jsonb_object_agg(o.idempotency_key, jsonb_build_array(o.id, o.order_no, encode(o.request_hash, 'hex')))
  into v_known from shop_order o where o.idempotency_key = any(p_keys);

  perform 1 from listing l join product p on p.id = p_product and p.state = 'on_sale'
  where l.id = p_listing and l.is_published and l.price_minor = p_price and l.currency = p_currency and l.storefront_id = p_storefront;
  if not found then
    v_outcomes := array_fill('changed'::text, array[array_length(p_ids, 1)]);
    v_left := 0;
  else
    select s.available into v_left from stock s where s.sku_id = p_sku for update;
    v_left := coalesce(v_left, 0);
  end if;

  for i in 1 .. array_length(p_ids, 1) loop
    if v_known ? p_keys[i] then
      v_outcomes[i] := case when v_known -> p_keys[i] ->> 2 = encode(p_hashes[i], 'hex') then 'repeated' else 'key_reused' end;
    elsif v_outcomes[i] = 'placed' and p_quantities[i] > v_left then
      v_outcomes[i] := 'sold_out';
    elsif v_outcomes[i] = 'placed' and p_limit is not null then
      insert into buyer_usage as b (product_id, contact_fingerprint, units)
      select p_product, p_contact_fps[i], p_quantities[i] where p_quantities[i] <= p_limit
      on conflict (product_id, contact_fingerprint) do update
      set units = b.units + excluded.units where b.units + excluded.units <= p_limit;
      if not found then
        v_outcomes[i] := 'over_limit';
      end if;
    end if;
    if v_outcomes[i] = 'placed' then
      v_left := v_left - p_quantities[i];
      v_taken := v_taken + p_quantities[i];
    end if;
  end loop;

  if v_taken > 0 then
    insert into shop_order
      (id, order_no, state, storefront_id, idempotency_key, request_hash, contact_kind, contact, contact_masked, contact_fingerprint,
       tail_fingerprint, locale, total_minor, currency, placed_at, expires_at)
    select w.id, w.number, 'awaiting_payment', p_storefront, w.key, w.hash, w.contact_kind, w.contact, w.masked, w.contact_fp,
           w.tail_fp, w.locale, p_price * w.quantity, p_currency, now(), v_expires
    from unnest(p_ids, p_order_nos, p_keys, p_hashes, p_contact_kinds, p_contacts, p_masks, p_contact_fps, p_tail_fps, p_locales, p_quantities, v_outcomes)
      as w (id, number, key, hash, contact_kind, contact, masked, contact_fp, tail_fp, locale, quantity, outcome)
    where w.outcome = 'placed';

    insert into order_line
      (id, order_id, line_no, product_id, sku_id, listing_id, product_name, sku_name, delivery_kind, quantity, unit_price_minor, total_minor)
    select w.line_id, w.id, 1, p_product, p_sku, p_listing, p_product_name, p_sku_name, p_kind, w.quantity, p_price, p_price * w.quantity
    from unnest(p_lines, p_ids, p_quantities, v_outcomes) as w (line_id, id, quantity, outcome)
    where w.outcome = 'placed';

    insert into delivery_unit (order_line_id, unit_no, order_id, sku_id, state, amount_minor)
    select w.line_id, u.unit_no, w.id, p_sku, 'reserved', p_price
    from unnest(p_lines, p_ids, p_quantities, v_outcomes) as w (line_id, id, quantity, outcome)
    cross join generate_series(1, w.quantity) as u (unit_no)
    where w.outcome = 'placed';

    perform sweep_unpaid_at(v_expires, p_sweep_task);
    update stock set available = available - v_taken, reserved = reserved + v_taken where sku_id = p_sku;
  end if;

  return query
  select w.outcome,
         case when w.outcome = 'placed' then w.id when w.outcome = 'repeated' then (v_known -> w.key ->> 0)::uuid end,
         case when w.outcome = 'placed' then w.number when w.outcome = 'repeated' then v_known -> w.key ->> 1 end
  from unnest(v_outcomes, p_ids, p_order_nos, p_keys) with ordinality as w (outcome, id, number, key, n)
  order by w.n;
end
$$;
