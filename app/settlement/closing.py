"""Closing the bill of a supplier's contracted period, by itself, on the day it ends. A closed bill never changes; what was missed is on the next."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

import asyncpg

from app.integrations.alerts import Raised, Readers, raise_alert
from app.kernel import audit, clock
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.settlement import rules
from tenants.session import Tx

_MOST_PERIODS = 60
_GRACE = timedelta(minutes=10)
"""So long after midnight a period is closed, for purchases that are being written down."""


class PaidAlready(DomainError):
    message = N_("This bill is paid already.")


async def close_due(tx: Tx, supplier_id: UUID, readers: Readers) -> int:
    """Close every contracted period that has ended, and come back when the next one does; how many bills were made.

    Idempotent: one bill per supplier, period and currency, and each purchase is on one bill at most. Locks: the supplier.
    """
    supplier = await tx.fetchrow(
        "select id, name, settlement_days, created_at from supplier where id = $1 for update", supplier_id
    )
    if supplier is None or supplier["settlement_days"] == 0:
        return 0
    last = await tx.fetchval("select max(last_day) from settlement_statement where supplier_id = $1", supplier_id)
    after = last or clock.business_day(supplier["created_at"]) - timedelta(days=1)
    days = supplier["settlement_days"]
    due = rules.periods_due(after, days, clock.business_day(clock.now() - _GRACE), most=_MOST_PERIODS)
    made = [await _close(tx, supplier, period, readers) for period in due]
    ends = (due[-1][1] if due else after) + timedelta(days=days + 1)
    await add_task(tx, "settlement.close", lane=Lane.BULK, subject_id=supplier_id, run_at=clock.day_starts(ends) + _GRACE)
    return sum(made)


async def _close(tx: Tx, supplier: asyncpg.Record, period: tuple[date, date], readers: Readers) -> int:
    """The bills of one period, one per currency something was bought in; in the tenant's own currency one with nothing on it where nothing was."""
    until = clock.day_range(period[1])[1]
    currencies = [row["currency"] for row in await tx.fetch(_CURRENCIES, supplier["id"], until)] or ["CNY"]
    for currency in currencies:
        bill_id = new_id()
        await tx.execute(_BILL, bill_id, supplier["id"], *period, currency)
        await tx.execute(_LINES, bill_id, supplier["id"], currency, until)
        total = await tx.fetchval(_TOTAL, bill_id)
        facts = {"supplier": supplier["name"], "last_day": str(period[1]), "amount_minor": total, "currency": currency}
        await audit.record(tx, SYSTEM, "settlement.closed", subject=("settlement_statement", bill_id), facts=facts)
        shown = {**facts, "first_day": str(period[0]), "path": f"/suppliers/bills/{bill_id}"}
        await raise_alert(tx, Raised("supplier_bill_closed", f"bill:{bill_id}", shown), readers)
    return len(currencies)


async def mark_paid(tx: Tx, bill_id: UUID, *, note: str, actor: Actor) -> None:
    """Say that a bill was paid, with the receipt's number. Raises: NotFound, PaidAlready."""
    state = await tx.fetchval("select state from settlement_statement where id = $1 for update", bill_id)
    if state is None:
        raise NotFound
    if state == "paid":
        raise PaidAlready
    await tx.execute(
        "update settlement_statement set state = 'paid', paid_at = now(), paid_note = $2, updated_at = now() where id = $1",
        bill_id,
        note,
    )
    await audit.record(tx, actor, "settlement.paid", subject=("settlement_statement", bill_id), reason=note)


_CURRENCIES = """
select a.currency from attempt a join supplier_connection c on c.id = a.connection_id
where c.supplier_id = $1 and a.state in ('succeeded', 'succeeded_late') and a.decided_at < $2
  and not exists (select 1 from settlement_line l where l.attempt_id = a.id)
union
select d.currency from discrepancy d join supplier_connection c on c.id = d.connection_id
where c.supplier_id = $1 and d.state = 'adjusted' and d.decided_at < $2
  and not exists (select 1 from settlement_line l where l.discrepancy_id = d.id)
order by currency
"""
_BILL = """
insert into settlement_statement (id, supplier_id, first_day, last_day, currency, purchases, total_minor) values ($1, $2, $3, $4, $5, 0, 0)
"""
_LINES = """
insert into settlement_line (statement_id, line_no, attempt_id, discrepancy_id, amount_minor)
select $1, row_number() over (order by o.decided_at, o.attempt_id, o.discrepancy_id), o.attempt_id, o.discrepancy_id, o.amount_minor
from (
  select a.currency, a.id as attempt_id, null::uuid as discrepancy_id, a.decided_at, round(coalesce(a.unit_cost, a.expected_cost) * 100)::bigint as amount_minor
  from attempt a join supplier_connection c on c.id = a.connection_id
  where c.supplier_id = $2 and a.state in ('succeeded', 'succeeded_late') and a.decided_at < $4
    and not exists (select 1 from settlement_line l where l.attempt_id = a.id)
  union all
  select d.currency, null, d.id, d.decided_at, d.adjusted_minor
  from discrepancy d join supplier_connection c on c.id = d.connection_id
  where c.supplier_id = $2 and d.state = 'adjusted' and d.decided_at < $4
    and not exists (select 1 from settlement_line l where l.discrepancy_id = d.id)
) o
where o.currency = $3
"""
_TOTAL = """
update settlement_statement s
set total_minor = coalesce(t.total, 0), purchases = t.purchases
from (select sum(amount_minor) as total, count(attempt_id)::int as purchases from settlement_line where statement_id = $1) t
where s.id = $1
returning s.total_minor
"""
