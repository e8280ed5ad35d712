-- Have the orders that expire at an instant swept within ten seconds of it: one task and one bell for all orders of those ten seconds.
create or replace function sweep_unpaid_at(p_expires timestamptz, p_task uuid) returns void
language plpgsql as $$
declare
  v_due timestamptz := date_bin('10 seconds', p_expires, 'epoch') + interval '10 seconds';
begin
  insert into task (id, kind, lane, dedupe, run_at)
  values (p_task, 'ordering.expire', 'orders', 'ordering.expire:' || extract(epoch from v_due)::bigint, v_due)
  on conflict do nothing;
  if found then
    insert into work.bell (home, lane, ring_at)
    values (current_schema(), 'orders', v_due)
    on conflict do nothing;
  end if;
end
$$;
