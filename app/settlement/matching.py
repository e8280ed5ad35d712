"""Comparing a statement with our purchases, by sets: our number first, then the supplier's; amount and state; and what only one side knows."""

from __future__ import annotations

from uuid import UUID

from app.kernel import clock
from tenants.session import Tx


async def match(tx: Tx, statement_id: UUID) -> None:
    """Find the purchase of every line, and write down each difference. A difference that a later statement explains ends by itself.

    Idempotent: a difference is known by its purchase and its kind. Locks: the statement.
    """
    row = await tx.fetchrow("select * from supplier_statement where id = $1 for update", statement_id)
    if row is None or row["state"] == "matched":
        return
    await tx.execute(_BY_OUR_NUMBER, statement_id)
    await tx.execute(_BY_TEST_ORDER, statement_id)
    await tx.execute(_BY_THEIR_NUMBER, statement_id)
    await tx.execute(_DIFFERENT, statement_id, row["connection_id"], row["currency"])
    await tx.execute(_THEIRS_ONLY, statement_id, row["connection_id"], row["currency"])
    first, last = clock.day_range(row["first_day"])[0], clock.day_range(row["last_day"])[1]
    await tx.execute(_OURS_ONLY, statement_id, row["connection_id"], first, last)
    await tx.execute(_EXPLAINED, row["connection_id"])
    await tx.execute("update supplier_statement set state = 'matched', updated_at = now() where id = $1", statement_id)


_BY_OUR_NUMBER = """
update supplier_statement_line l set attempt_id = a.id
from attempt a
where l.statement_id = $1 and l.out_no <> '' and a.out_no = l.out_no and a.connection_id = l.connection_id
"""
_BY_TEST_ORDER = """
update supplier_statement_line l set test_order_id = t.id
from test_order t
where l.statement_id = $1 and l.attempt_id is null and t.connection_id = l.connection_id
  and (t.out_no = l.out_no and l.out_no <> '' or t.supplier_ref = l.supplier_ref and l.supplier_ref <> '')
"""
_BY_THEIR_NUMBER = """
update supplier_statement_line l set attempt_id = a.id
from (
  select connection_id, supplier_ref, min(id::text)::uuid as id from attempt
  where supplier_ref is not null and connection_id = (select connection_id from supplier_statement where id = $1)
  group by connection_id, supplier_ref
) a
where l.statement_id = $1 and l.attempt_id is null and l.test_order_id is null and l.supplier_ref <> '' and a.supplier_ref = l.supplier_ref
"""
_DIFFERENT = """
insert into discrepancy (id, connection_id, statement_id, kind, subject, attempt_id, out_no, supplier_ref, ours, theirs, currency)
select gen_random_uuid(), $2, $1, case when c.we_bought = c.they_sold then 'other_amount' else 'other_state' end, c.id::text, c.id, c.out_no,
       coalesce(c.supplier_ref, ''), c.ours, c.theirs, $3
from (
  select a.id, a.out_no, a.supplier_ref, a.state in ('succeeded', 'succeeded_late') as we_bought, bool_or(l.is_success) as they_sold,
         case when a.state in ('succeeded', 'succeeded_late') then coalesce(a.unit_cost, a.expected_cost) else 0 end as ours,
         coalesce(sum(l.amount) filter (where l.is_success), 0) as theirs
  from attempt a join supplier_statement_line l on l.attempt_id = a.id
  where a.id in (select attempt_id from supplier_statement_line where statement_id = $1)
  group by a.id
) c
where c.we_bought <> c.they_sold or (c.we_bought and round(c.ours, 2) <> round(c.theirs, 2))
on conflict (connection_id, subject, kind) do nothing
"""
_THEIRS_ONLY = """
insert into discrepancy (id, connection_id, statement_id, kind, subject, out_no, supplier_ref, ours, theirs, currency)
select gen_random_uuid(), $2, $1, 'theirs_only', coalesce(nullif(l.out_no, ''), l.supplier_ref), max(l.out_no), max(l.supplier_ref), 0, sum(l.amount), $3
from supplier_statement_line l
where l.statement_id = $1 and l.attempt_id is null and l.test_order_id is null and l.is_success
group by coalesce(nullif(l.out_no, ''), l.supplier_ref)
on conflict (connection_id, subject, kind) do nothing
"""
_OURS_ONLY = """
insert into discrepancy (id, connection_id, statement_id, kind, subject, attempt_id, out_no, supplier_ref, ours, theirs, currency)
select gen_random_uuid(), $2, $1, 'ours_only', a.id::text, a.id, a.out_no, coalesce(a.supplier_ref, ''), coalesce(a.unit_cost, a.expected_cost), 0, a.currency
from attempt a
where a.connection_id = $2 and a.state in ('succeeded', 'succeeded_late') and a.decided_at >= $3 and a.decided_at < $4
  and not exists (select 1 from supplier_statement_line l where l.attempt_id = a.id)
on conflict (connection_id, subject, kind) do nothing
"""
_EXPLAINED = """
update discrepancy d set state = 'matched', note = 'A later statement names it.', decided_at = now(), updated_at = now()
where d.connection_id = $1 and d.kind = 'ours_only' and d.state in ('open', 'disputed')
  and exists (select 1 from supplier_statement_line l where l.attempt_id = d.attempt_id)
"""
