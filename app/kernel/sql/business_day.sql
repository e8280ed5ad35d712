-- The day of this instant where the merchants keep their books, by the database's own clock: what `clock.business_day` is to a page.
create or replace function business_day() returns date language sql stable as $$
  select (now() at time zone 'Asia/Shanghai')::date
$$;
