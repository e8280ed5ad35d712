-- Take units of a SKU that has quotas for an order: first those kept for its sales channel, the rest from what is anybody's. All of them, or none.
-- Answers whether they were taken; of a SKU without quotas it takes none. Locks the stock row, then the quota: as whoever moves units does.
create or replace function take_of_quota(p_sku uuid, p_units bigint, p_channel text, p_order uuid, p_least_left int, p_most_left int) returns boolean
language plpgsql as $$
declare
  v_own bigint;
begin
  perform 1 from stock
  where sku_id = p_sku and allotted > 0 and turns_on > business_day()
    and available >= coalesce(p_least_left, 0) and (p_most_left is null or available <= p_most_left)
  for update;
  if not found then
    return false;
  end if;
  select least(units, p_units) into v_own from channel_quota where sku_id = p_sku and channel_code = p_channel for update;
  v_own := coalesce(v_own, 0);
  update stock set available = available - p_units, reserved = reserved + p_units, allotted = allotted - v_own
  where sku_id = p_sku and available - allotted >= p_units - v_own;
  if not found then
    return false;
  end if;
  if v_own > 0 then
    update channel_quota set units = units - v_own, stirred_at = now() where sku_id = p_sku and channel_code = p_channel;
    insert into quota_use (order_id, sku_id, channel_code, units) values (p_order, p_sku, p_channel, v_own);
  end if;
  return true;
end
$$;
