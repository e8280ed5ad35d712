"""Giving the demo's orders their past: every instant of an order and of what hangs on it is moved back together, as the owner.

Only the demo does this, on rows it has just made; the audit chain keeps its own instants.
"""

from __future__ import annotations

from collections.abc import Sequence

import asyncpg

from app.kernel import clock
from app.kernel.ids import new_number
from operations.demo_data.trade import DAYS, Traded
from tenants.directory import Tenant

_OPEN_FOR_DAYS = DAYS + 6


async def date_back(owner_url: str, tenant: Tenant, traded: Sequence[Traded]) -> None:
    """Move a merchant's orders to when their plans say, and its opening and stock before the first of them."""
    rows = [(one.order.id, one.plan.at, _number(one)) for one in traded]
    connection = await asyncpg.connect(owner_url, timeout=10)
    try:
        async with connection.transaction():
            await connection.execute(f"set local search_path to {tenant.schema}, public; set local timezone to 'UTC'")
            await connection.execute(
                "create temp table dated (order_id uuid primary key, at timestamptz, order_no text) on commit drop"
            )
            await connection.copy_records_to_table("dated", records=rows)
            for statement in _STATEMENTS:
                await connection.execute(statement)
            await connection.execute(_OPENED, tenant.id, _OPEN_FOR_DAYS)
    finally:
        await connection.close()


def _number(one: Traded) -> str:
    """An order's number carries its day."""
    is_todays = clock.business_day(one.plan.at) == clock.business_day()
    return one.order.order_no if is_todays else new_number("N", one.plan.at)


_STATEMENTS = (
    "create temp table lag on commit drop as select o.id as order_id, d.at - o.placed_at as back from shop_order o join dated d on d.order_id = o.id",
    "analyze lag",
    """
    update shop_order o set order_no = d.order_no, placed_at = o.placed_at + l.back, paid_at = o.paid_at + l.back, ended_at = o.ended_at + l.back,
           created_at = o.created_at + l.back, updated_at = o.updated_at + l.back,
           expires_at = case when o.state = 'awaiting_payment' then now() + interval '3 hours' else o.expires_at + l.back end
    from lag l join dated d on d.order_id = l.order_id where o.id = l.order_id
    """,
    """
    update delivery_unit u set delivered_at = u.delivered_at + l.back, revealed_at = u.revealed_at + l.back from lag l where u.order_id = l.order_id
    """,
    "update history h set at = h.at + l.back from lag l where h.subject_id = l.order_id",
    """
    create temp table subscribed on commit drop as
    select s.id, l.back, business_day() - (d.at at time zone 'Asia/Shanghai')::date as days
    from subscription s join order_line o on o.id = s.order_line_id join lag l on l.order_id = o.order_id join dated d on d.order_id = o.order_id
    """,
    """
    update subscription s set first_day = s.first_day - b.days, last_day = s.last_day - b.days, created_at = s.created_at + b.back
    from subscribed b where b.id = s.id
    """,
    "update subscription_cycle c set due_on = c.due_on - b.days from subscribed b where b.id = c.subscription_id",
    "update history h set at = h.at + b.back from subscribed b where h.subject_id = b.id",
    "update task set run_at = now() where kind = 'ordering.turn_subscription'",
    """
    update attempt a set created_at = a.created_at + l.back, updated_at = a.updated_at + l.back, sent_at = a.sent_at + l.back,
           decided_at = a.decided_at + l.back
    from lag l where a.order_id = l.order_id
    """,
    "update history h set at = h.at + l.back from lag l join attempt a on a.order_id = l.order_id where h.subject_id = a.id",
    "update supplier set created_at = created_at - interval '16 days', updated_at = updated_at - interval '16 days'",
    "update exchange_rate set valid_from = valid_from - interval '16 days', created_at = created_at - interval '16 days'",
    "update history h set at = h.at + l.back from lag l join payment p on p.order_id = l.order_id where h.subject_id = p.id",
    "update history h set at = h.at + l.back from lag l join refund r on r.order_id = l.order_id where h.subject_id = r.id",
    """
    update transfer t set at = t.at + l.back
    from lag l join (select id, order_id from capture union all select id, order_id from order_line union all select id, order_id from refund) s
      on s.order_id = l.order_id
    where t.subject_id = s.id
    """,
    """
    update payment p set created_at = p.created_at + l.back, updated_at = p.updated_at + l.back, succeeded_at = p.succeeded_at + l.back,
           ask_at = null
    from lag l where p.order_id = l.order_id and p.state <> 'open'
    """,
    """
    update capture c set created_at = c.created_at + l.back, updated_at = c.updated_at + l.back, captured_at = c.captured_at + l.back
    from lag l where c.order_id = l.order_id
    """,
    """
    update refund r set created_at = r.created_at + l.back, updated_at = r.updated_at + l.back, succeeded_at = r.succeeded_at + l.back
    from lag l where r.order_id = l.order_id
    """,
    "delete from task where kind = 'payments.ask' and subject_id in (select id from payment where state = 'succeeded')",
    """
    delete from task where kind = 'integrations.send' and subject_id not in (select id from outgoing_message order by created_at desc limit 8)
    """,
    """
    update outgoing_message m set state = 'sent', sent_at = m.created_at
    where m.state = 'waiting' and not exists (select 1 from task t where t.subject_id = m.id)
    """,
    """
    update import_batch set created_at = created_at - interval '16 days', updated_at = updated_at - interval '16 days',
           checked_at = checked_at - interval '16 days', imported_at = imported_at - interval '16 days'
    """,
    "update history set at = at - interval '16 days' where subject_kind in ('import_batch', 'product')",
    "update product set created_at = created_at - interval '16 days', updated_at = updated_at - interval '16 days'",
)
_OPENED = "update public.tenant set opened_at = opened_at - make_interval(days => $2::int) where id = $1"
