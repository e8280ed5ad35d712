-- Take up to so many free card-keys of a SKU, soonest expiry first. Within one expiry the search starts at a pivot drawn by the caller and wraps
-- around, so that claims neither queue for the same first key nor walk over the ones already sold. Keys other claims hold are skipped.
-- Planned once per connection, by its indexes whatever the tables' size is by then: planning each call anew costs more than the writes.
create or replace function claim_card_keys(p_sku uuid, p_units int, p_today date, p_pivot int)
returns table (id uuid, masked text, unit_cost numeric)
language plpgsql
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
set enable_bitmapscan = off
as $$
declare
  v_left int := p_units;
  v_after date := p_today - 1;  -- strictly after, because the day after infinity is infinity
  v_expiry date;
  v_got int;
begin
  while v_left > 0 loop
    select k.expires_on into v_expiry from card_key k
    where k.sku_id = p_sku and k.state = 'free' and k.expires_on > v_after
    order by k.expires_on limit 1;
    exit when not found;

    return query
    with chosen as (
      select k.id from card_key k
      where k.sku_id = p_sku and k.state = 'free' and k.expires_on = v_expiry and k.pos >= p_pivot
      order by k.pos limit v_left for update skip locked
    )
    update card_key k set state = 'delivered', changed_at = now() from chosen where k.id = chosen.id
    returning k.id, k.masked, k.unit_cost;
    get diagnostics v_got = row_count;
    v_left := v_left - v_got;

    if v_left > 0 then
      return query
      with chosen as (
        select k.id from card_key k
        where k.sku_id = p_sku and k.state = 'free' and k.expires_on = v_expiry and k.pos < p_pivot
        order by k.pos limit v_left for update skip locked
      )
      update card_key k set state = 'delivered', changed_at = now() from chosen where k.id = chosen.id
      returning k.id, k.masked, k.unit_cost;
      get diagnostics v_got = row_count;
      v_left := v_left - v_got;
    end if;
    v_after := v_expiry;
  end loop;
end
$$;
