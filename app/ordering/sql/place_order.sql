-- Place one order with all its claims, or none of them. Plain statements only; ids come from the application; the hottest row goes last.
-- The line of a bundle or subscription comes before the lines of its parts or cycles, which name it as their parent; each of their units comes with
-- its share and its state, as those of later cycles take no stock. `p_stock` is what the whole order takes of each SKU, in SKU order; the bounds of
-- what is left stand beside it.
-- Answers one row: placed | repeated | key_reused | changed | below_floor (subject: the listing).
-- A price by rule is as quoted while the listing's terms are those that were read, from p_since until p_until, while between p_least_left and
-- p_most_left are left of its SKU, and while the buyer has the level he had.
-- A line of a SKU that is sold by face value has the value its buyer chose: its least price is that of 1 of value, times it.
-- Of a SKU that has quotas by sales channel it takes what is kept for its own channel first, and never what is kept for another.
-- Raises QY001 sold out (detail: the SKU), QY002 over a buyer's limit (detail: the product), QY003 over what one buyer may hold unpaid and
-- QY004 over his share of a SKU's stock (detail: the SKU), QY005 the price changed with the stock; the transaction is then rolled back.
-- Planned once per connection, by its indexes whatever the tables' size is by then: planning each call anew costs more than the writes.
create or replace function place_order(
  p_id uuid, p_order_no text, p_storefront uuid, p_key text, p_request_hash bytea,
  p_contact_kind text, p_contact bytea, p_contact_masked text, p_contact_fp bytea, p_tail_fp bytea, p_locale text,
  p_total bigint, p_currency text, p_hold interval, p_sweep_task uuid,
  p_lines uuid[], p_listings uuid[], p_skus uuid[], p_products uuid[], p_product_names text[], p_sku_names text[], p_kinds text[],
  p_quantities int[], p_prices bigint[],
  p_limited uuid[], p_limited_units int[], p_limits int[],
  p_address_fp bytea, p_most_unpaid int, p_share_percent int, p_always int,
  p_list_prices bigint[], p_terms int[], p_rules uuid[], p_rule_versions int[], p_least_left int[], p_most_left int[],
  p_since timestamptz, p_until timestamptz, p_customer uuid, p_level uuid,
  p_parents uuid[], p_totals bigint[], p_policies text[],
  p_share_lines uuid[], p_share_nos int[], p_share_skus uuid[], p_share_amounts bigint[], p_share_states text[],
  p_stock uuid[], p_stock_units int[],
  p_values bigint[], p_value_currencies text[], p_channel text
) returns table (outcome text, order_id uuid, order_no text, subject uuid)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
  v_known record;
  v_changed uuid;
  v_expires timestamptz := now() + p_hold;
  v_today date := business_day();
  v_held bigint;
  v_held_skus uuid[];
  v_held_units bigint[];
  v_over uuid;
begin
  select o.id, o.order_no as number, o.request_hash into v_known from shop_order o where o.idempotency_key = p_key;
  if found then
    return query select case when v_known.request_hash = p_request_hash then 'repeated' else 'key_reused' end, v_known.id, v_known.number, null::uuid;
    return;
  end if;

  select w.listing_id into v_changed
  from unnest(p_listings, p_list_prices, p_terms, p_parents) as w (listing_id, price, terms, parent)
  left join listing l on l.id = w.listing_id and l.is_published and l.price_minor = w.price and l.terms_version = w.terms
    and l.currency = p_currency and l.storefront_id = p_storefront
  left join sku s on s.id = l.sku_id
  left join product p on p.id = s.product_id and p.state = 'on_sale'
  where (w.parent is null and p.id is null) or now() < p_since or now() >= p_until
     or (p_customer is not null and not exists (select 1 from customer c where c.id = p_customer and c.level_id is not distinct from p_level))
  limit 1;
  if not found then
    select w.listing into v_changed
    from unnest(p_lines, p_listings, p_skus, p_quantities, p_kinds) as w (line, listing, sku, quantity, kind)
    where w.kind in ('bundle', 'subscription') and (
      select array_agg((x.sku_id, x.quantity * w.quantity) order by x.sku_id) from (
        select b.sku_id, b.quantity from bundle_part b where b.bundle_sku_id = w.sku
        union all
        select s.delivers_sku_id, s.quantity from subscription_plan s cross join generate_series(1, s.cycles) where s.sku_id = w.sku
      ) x
    ) is distinct from (
      select array_agg((c.sku, c.quantity) order by c.sku)
      from unnest(p_parents, p_skus, p_quantities) as c (parent, sku, quantity) where c.parent = w.line
    )
    limit 1;
  end if;
  if found then
    return query select 'changed', null::uuid, null::text, v_changed;
    return;
  end if;

  select w.listing_id into v_changed
  from unnest(p_listings, p_prices, p_parents, p_values) as w (listing_id, price, parent, value)
  join listing l on l.id = w.listing_id and w.price < coalesce(l.least_rate * w.value, l.least_minor)
  where w.parent is null
  limit 1;
  if found then
    return query select 'below_floor', null::uuid, null::text, v_changed;
    return;
  end if;

  perform pg_advisory_xact_lock(hashtextextended(current_schema() || encode(p_contact_fp, 'hex'), 0));  -- one buyer's orders, one after another
  select array_agg(h.sku), array_agg(h.units), coalesce(sum(h.units), 0) into v_held_skus, v_held_units, v_held
  from held_unpaid(p_contact_fp, p_hold) h;
  if v_held + (select sum(u) from unnest(p_stock_units) u) > p_most_unpaid then
    raise exception 'too much unpaid' using errcode = 'QY003';
  end if;
  select w.sku into v_over
  from unnest(p_stock, p_stock_units) as w (sku, quantity)
  join stock s on s.sku_id = w.sku
  left join unnest(v_held_skus, v_held_units) as h (sku, units) on h.sku = w.sku
  where coalesce(h.units, 0) + w.quantity > greatest(p_always, (s.available + s.reserved) * p_share_percent / 100)
  limit 1;
  if found then
    raise exception 'too large a share' using errcode = 'QY004', detail = v_over::text;
  end if;

  insert into shop_order
    (id, order_no, state, storefront_id, idempotency_key, request_hash, contact_kind, contact, contact_masked, contact_fingerprint,
     tail_fingerprint, address_fingerprint, locale, total_minor, currency, placed_at, expires_at, sales_channel)
  values
    (p_id, p_order_no, 'awaiting_payment', p_storefront, p_key, p_request_hash, p_contact_kind, p_contact, p_contact_masked, p_contact_fp,
     p_tail_fp, p_address_fp, p_locale, p_total, p_currency, now(), v_expires, p_channel);

  insert into order_line
    (id, order_id, line_no, product_id, sku_id, listing_id, product_name, sku_name, delivery_kind, quantity, unit_price_minor, total_minor,
     parent_line_id, bundle_policy, price_rule_id, price_rule_version, face_value_minor, face_value_currency, attributes)
  select w.line_id, p_id, w.n, w.product, w.sku, w.listing, w.product_name, w.sku_name, w.kind, w.quantity, w.price, w.total, w.parent, w.policy,
         w.rule, w.rule_version, w.value, w.value_currency, p.attributes
  from unnest(p_lines, p_products, p_skus, p_listings, p_product_names, p_sku_names, p_kinds, p_quantities, p_prices, p_totals, p_parents, p_policies,
              p_rules, p_rule_versions, p_values, p_value_currencies)
    with ordinality as w (line_id, product, sku, listing, product_name, sku_name, kind, quantity, price, total, parent, policy, rule, rule_version,
                          value, value_currency, n)
  join product p on p.id = w.product;

  insert into delivery_unit (order_line_id, unit_no, order_id, sku_id, state, amount_minor)
  select w.line_id, u.unit_no, p_id, w.sku, 'reserved', w.price
  from unnest(p_lines, p_skus, p_quantities, p_prices, p_parents, p_kinds) as w (line_id, sku, quantity, price, parent, kind)
  cross join generate_series(1, w.quantity) as u (unit_no)
  where w.parent is null and w.kind not in ('bundle', 'subscription')
  union all
  select w.line_id, w.unit_no, p_id, w.sku, w.state, w.amount
  from unnest(p_share_lines, p_share_nos, p_share_skus, p_share_amounts, p_share_states) as w (line_id, unit_no, sku, amount, state);

  for i in 1 .. coalesce(array_length(p_limited, 1), 0) loop
    insert into buyer_usage as b (product_id, contact_fingerprint, units)
    select p_limited[i], p_contact_fp, p_limited_units[i] where p_limited_units[i] <= p_limits[i]
    on conflict (product_id, contact_fingerprint) do update
    set units = b.units + excluded.units where b.units + excluded.units <= p_limits[i];
    if not found then
      raise exception 'over the buyer''s limit' using errcode = 'QY002', detail = p_limited[i]::text;
    end if;
  end loop;

  perform sweep_unpaid_at(v_expires, p_sweep_task);

  for i in 1 .. coalesce(array_length(p_stock, 1), 0) loop
    perform expire_card_keys(p_stock[i], 20000) from stock where sku_id = p_stock[i] and turns_on <= v_today;
    update stock set available = available - p_stock_units[i], reserved = reserved + p_stock_units[i]
    where sku_id = p_stock[i] and turns_on > v_today and available >= p_stock_units[i] and allotted = 0
      and available >= coalesce(p_least_left[i], 0) and (p_most_left[i] is null or available <= p_most_left[i]);
    if not found and not take_of_quota(p_stock[i], p_stock_units[i], p_channel, p_id, p_least_left[i], p_most_left[i]) then
      if exists (select 1 from stock where sku_id = p_stock[i] and available - allotted >= p_stock_units[i]) then
        raise exception 'the price changed with the stock' using errcode = 'QY005', detail = p_stock[i]::text;
      end if;
      raise exception 'sold out' using errcode = 'QY001', detail = p_stock[i]::text;
    end if;
  end loop;

  return query select 'placed', p_id, p_order_no, null::uuid;
end
$$;
