-- Keys that leave the shelf, whoever takes them off, leave the quotas too: the largest first, so that no channel is promised what is not there.
create or replace function trim_quotas() returns trigger
language plpgsql as $$
declare
  v_over bigint := new.allotted - new.available;
  v_quota record;
  v_cut bigint;
begin
  for v_quota in select channel_code, units from channel_quota where sku_id = new.sku_id and units > 0 order by units desc, channel_code for update loop
    v_cut := least(v_quota.units, v_over);
    update channel_quota set units = units - v_cut where sku_id = new.sku_id and channel_code = v_quota.channel_code;
    insert into quota_move (id, sku_id, from_code, units, reason) values (gen_random_uuid(), new.sku_id, v_quota.channel_code, v_cut, 'lost');
    v_over := v_over - v_cut;
    exit when v_over = 0;
  end loop;
  new.allotted := new.available;
  return new;
end
$$;
