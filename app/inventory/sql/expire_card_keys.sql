-- Take up to so many free card-keys of a SKU that are past their last day off the shelf, and say when the next one's turn comes; how many were taken.
-- Units reserved beyond what is left become short. Nothing is done, or locked for long, before the day has come.
-- The stock row is locked first, so that keys arriving meanwhile are counted before or after, never overlooked; keys others hold are left to them.
create or replace function expire_card_keys(p_sku uuid, p_most int) returns int
language plpgsql as $$
declare
  v_today date := business_day();
  v_gone int;
begin
  perform 1 from stock where sku_id = p_sku and turns_on <= v_today for update;
  if not found then
    return 0;
  end if;
  with gone as (
    update card_key set state = 'expired', changed_at = now()
    where id = any(array(
      select k.id from card_key k where k.sku_id = p_sku and k.state = 'free' and k.expires_on < v_today
      order by k.expires_on limit p_most for update skip locked
    ))
    returning 1
  )
  select count(*) into v_gone from gone;
  update stock
  set expired = expired + v_gone, short = short + v_gone - least(available, v_gone), available = available - least(available, v_gone),
      turns_on = coalesce(
        (select k.expires_on + 1 from card_key k where k.sku_id = p_sku and k.state = 'free' order by k.expires_on limit 1), 'infinity')
  where sku_id = p_sku;
  return v_gone;
end
$$;
