-- Place many buyers' orders of one line each in one call, first come first served: each stock row is locked once and one commit flushes all of them.
-- Stock rows are locked first and in SKU order, so calls at the same time queue instead of deadlocking.
-- Their prices hang on nothing but the listing's terms: one that hangs on time, stock or the buyer is placed by itself.
-- They are orders of the shop itself; a SKU that has quotas by sales channel by now is answered as changed, and is then placed by itself.
-- Each buyer comes once in a batch, so that what he holds unpaid already can be asked for all of them together.
-- Answers one row per buyer, in their order: placed | repeated | key_reused | changed | below_floor | sold_out | over_limit | over_unpaid | over_share.
-- A repeated key inside one batch, or one placed by another process meanwhile, fails the batch; the caller then places singles.
-- Planned once per connection, by its indexes whatever the tables' size is by then: planning each call anew costs more than the writes.
create or replace function place_orders(
  p_storefronts uuid[], p_hold interval, p_sweep_task uuid,
  p_ids uuid[], p_order_nos text[], p_keys text[], p_hashes bytea[],
  p_contact_kinds text[], p_contacts bytea[], p_masks text[], p_contact_fps bytea[], p_tail_fps bytea[], p_locales text[],
  p_lines uuid[], p_listings uuid[], p_skus uuid[], p_products uuid[], p_product_names text[], p_sku_names text[], p_kinds text[],
  p_quantities int[], p_prices bigint[], p_currencies text[], p_limits int[],
  p_address_fps bytea[], p_list_prices bigint[], p_terms int[], p_rules uuid[], p_rule_versions int[],
  p_most_unpaid int, p_share_percent int, p_always int
) returns table (outcome text, order_id uuid, order_no text)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_expires timestamptz := now() + p_hold;
  v_today date := business_day();
  v_known jsonb;
  v_outcomes text[];
  v_skus uuid[];
  v_left bigint[];
  v_kept bigint[];
  v_is_turned boolean;
  v_allotted bigint[];
  v_held bigint[];
  v_held_of_sku bigint[];
  v_at int;
begin
  select jsonb_object_agg(o.idempotency_key, jsonb_build_array(o.id, o.order_no, encode(o.request_hash, 'hex')))
  into v_known from shop_order o where o.idempotency_key = any(p_keys);

  select array_agg(case when p.id is null then 'changed' when w.asked < l.least_minor then 'below_floor' else 'placed' end order by w.n)
  into v_outcomes
  from unnest(p_listings, p_list_prices, p_prices, p_terms, p_currencies, p_storefronts) with ordinality
    as w (listing_id, price, asked, terms, currency, storefront_id, n)
  left join listing l on l.id = w.listing_id and l.is_published and l.price_minor = w.price and l.terms_version = w.terms
    and l.currency = w.currency and l.storefront_id = w.storefront_id
  left join sku s on s.id = l.sku_id
  left join product p on p.id = s.product_id and p.state = 'on_sale';

  perform pg_advisory_xact_lock(b.lock)
  from (select distinct hashtextextended(current_schema() || encode(fp, 'hex'), 0) as lock from unnest(p_contact_fps) as fp order by 1) b;
  select array_agg(coalesce(h.units, 0) order by w.n), array_agg(coalesce(h.of_sku, 0) order by w.n) into v_held, v_held_of_sku
  from unnest(p_contact_fps, p_skus) with ordinality as w (contact_fp, sku, n)
  left join lateral (
    select sum(u.units)::bigint as units, sum(u.units) filter (where u.sku = w.sku)::bigint as of_sku from held_unpaid(w.contact_fp, p_hold) u
  ) h on true;

  select array_agg(s.sku_id), array_agg(s.available), array_agg(s.available + s.reserved), bool_or(s.turns_on <= v_today), array_agg(s.allotted)
  into v_skus, v_left, v_kept, v_is_turned, v_allotted
  from (select sku_id, available, reserved, turns_on, allotted from stock where sku_id = any(p_skus) order by sku_id for update) s;
  if v_is_turned then
    perform expire_card_keys(sku, 20000) from unnest(v_skus) as sku;
    select array_agg(case when s.turns_on > v_today then s.available else 0 end order by s.sku_id), array_agg(s.available + s.reserved order by s.sku_id)
    into v_left, v_kept from stock s where s.sku_id = any(v_skus);
  end if;

  for i in 1 .. array_length(p_ids, 1) loop
    v_at := array_position(v_skus, p_skus[i]);
    if v_known ? p_keys[i] then
      v_outcomes[i] := case when v_known -> p_keys[i] ->> 2 = encode(p_hashes[i], 'hex') then 'repeated' else 'key_reused' end;
    elsif v_outcomes[i] = 'placed' and v_allotted[v_at] > 0 then
      v_outcomes[i] := 'changed';
    elsif v_outcomes[i] = 'placed' and p_quantities[i] > coalesce(v_left[v_at], 0) then
      v_outcomes[i] := 'sold_out';
    elsif v_outcomes[i] = 'placed' and v_held[i] + p_quantities[i] > p_most_unpaid then
      v_outcomes[i] := 'over_unpaid';
    elsif v_outcomes[i] = 'placed' and v_held_of_sku[i] + p_quantities[i] > greatest(p_always, v_kept[v_at] * p_share_percent / 100) then
      v_outcomes[i] := 'over_share';
    elsif v_outcomes[i] = 'placed' and p_limits[i] is not null then
      insert into buyer_usage as b (product_id, contact_fingerprint, units)
      select p_products[i], p_contact_fps[i], p_quantities[i] where p_quantities[i] <= p_limits[i]
      on conflict (product_id, contact_fingerprint) do update
      set units = b.units + excluded.units where b.units + excluded.units <= p_limits[i];
      if not found then
        v_outcomes[i] := 'over_limit';
      end if;
    end if;
    if v_outcomes[i] = 'placed' then
      v_left[v_at] := v_left[v_at] - p_quantities[i];
    end if;
  end loop;

  if 'placed' = any(v_outcomes) then
    insert into shop_order
      (id, order_no, state, storefront_id, idempotency_key, request_hash, contact_kind, contact, contact_masked, contact_fingerprint,
       tail_fingerprint, address_fingerprint, locale, total_minor, currency, placed_at, expires_at)
    select w.id, w.number, 'awaiting_payment', w.storefront, w.key, w.hash, w.contact_kind, w.contact, w.masked, w.contact_fp,
           w.tail_fp, w.address_fp, w.locale, w.price * w.quantity, w.currency, now(), v_expires
    from unnest(p_ids, p_order_nos, p_storefronts, p_keys, p_hashes, p_contact_kinds, p_contacts, p_masks, p_contact_fps, p_tail_fps, p_address_fps, p_locales,
                p_prices, p_quantities, p_currencies, v_outcomes)
      as w (id, number, storefront, key, hash, contact_kind, contact, masked, contact_fp, tail_fp, address_fp, locale, price, quantity, currency, outcome)
    where w.outcome = 'placed';

    insert into order_line
      (id, order_id, line_no, product_id, sku_id, listing_id, product_name, sku_name, delivery_kind, quantity, unit_price_minor, total_minor,
       price_rule_id, price_rule_version, attributes)
    select w.line_id, w.id, 1, w.product, w.sku, w.listing, w.product_name, w.sku_name, w.kind, w.quantity, w.price, w.price * w.quantity,
           w.rule, w.rule_version, p.attributes
    from unnest(p_lines, p_ids, p_products, p_skus, p_listings, p_product_names, p_sku_names, p_kinds, p_quantities, p_prices, p_rules, p_rule_versions,
                v_outcomes)
      as w (line_id, id, product, sku, listing, product_name, sku_name, kind, quantity, price, rule, rule_version, outcome)
    join product p on p.id = w.product
    where w.outcome = 'placed';

    insert into delivery_unit (order_line_id, unit_no, order_id, sku_id, state, amount_minor)
    select w.line_id, u.unit_no, w.id, w.sku, 'reserved', w.price
    from unnest(p_lines, p_ids, p_skus, p_quantities, p_prices, v_outcomes) as w (line_id, id, sku, quantity, price, outcome)
    cross join generate_series(1, w.quantity) as u (unit_no)
    where w.outcome = 'placed';

    perform sweep_unpaid_at(v_expires, p_sweep_task);

    update stock s set available = s.available - t.units, reserved = s.reserved + t.units
    from (
      select w.sku, sum(w.quantity) as units from unnest(p_skus, p_quantities, v_outcomes) as w (sku, quantity, outcome)
      where w.outcome = 'placed'
      group by w.sku
    ) t
    where s.sku_id = t.sku;
  end if;

  return query
  select w.outcome,
         case when w.outcome = 'placed' then w.id when w.outcome = 'repeated' then (v_known -> w.key ->> 0)::uuid end,
         case when w.outcome = 'placed' then w.number when w.outcome = 'repeated' then v_known -> w.key ->> 1 end
  from unnest(v_outcomes, p_ids, p_order_nos, p_keys) with ordinality as w (outcome, id, number, key, n)
  order by w.n;
end
$$;
