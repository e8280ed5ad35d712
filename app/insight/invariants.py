"""What must hold at every committed point, as questions whose only right answer is "none". Asked after tests, by `./quanyi check-invariants`, and by a timer.

Each question names the first rows that break it. They read tables alone and trust no counter: what can be counted is counted again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from app.aftersales.models import AFTER_SALE_EDGES, CLAIM_EDGES
from app.cases.models import CASE_EDGES
from app.fulfillment.models import ATTEMPT_EDGES
from app.issuing.models import ISSUE_EDGES
from app.kernel import audit, clock
from app.kernel.audit import Proven
from app.kernel.errors import N_
from app.ordering.models import ORDER_EDGES, SUBSCRIPTION_EDGES, UNIT_EDGES
from app.payments.models import PAYMENT_EDGES, REFUND_EDGES
from app.replenishment.models import REPLENISHMENT_EDGES
from tenants.session import Tx

_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Invariant:
    """A standing rule: its number in the fault catalogue, what it says, and the query that finds what breaks it."""

    number: str
    says: str
    query: str


@dataclass(frozen=True, slots=True)
class Breach:
    """A rule that does not hold, and the first rows that show it."""

    number: str
    says: str
    rows: tuple[str, ...]


_MESSAGES = """
select m.id::text from outgoing_message m where m.state = 'waiting' and not exists (select 1 from task t where t.subject_id = m.id)
"""
INVARIANTS = (
    Invariant(
        "INV-1",
        N_("A card-key serves one delivery unit at most, and a key that serves one counts as delivered or was voided after it."),
        """
select k.id::text from card_key k join delivery_unit u on u.card_key_id = k.id
group by k.id, k.state having count(*) > 1 or k.state not in ('delivered', 'voided')
union all
select k.id::text from card_key k
where k.state = 'delivered' and not exists (select 1 from delivery_unit u where u.card_key_id = k.id)
""",
    ),
    Invariant(
        "INV-2",
        N_(
            "Units of a line are numbered one to its quantity, their amounts sum to it, the parts of a bundle or subscription to it and lines to their order; "
            "an ended order's units are all delivered, refunded or released."
        ),
        """
select l.id::text from order_line l left join delivery_unit u on u.order_line_id = l.id
where l.delivery_kind not in ('bundle', 'subscription')
group by l.id, l.quantity, l.total_minor
having count(u.unit_no) <> l.quantity or min(u.unit_no) <> 1 or max(u.unit_no) <> l.quantity or sum(u.amount_minor) <> l.total_minor
union all
select l.id::text from order_line l left join order_line p on p.parent_line_id = l.id
where l.delivery_kind in ('bundle', 'subscription')
group by l.id, l.quantity, l.total_minor
having count(p.id) = 0 or sum(p.total_minor) <> l.total_minor or bool_or(p.quantity % l.quantity <> 0 or p.order_id <> l.order_id)
    or exists (select 1 from delivery_unit u where u.order_line_id = l.id)
union all
select o.id::text from shop_order o join order_line l on l.order_id = o.id
where l.parent_line_id is null
group by o.id, o.total_minor having sum(l.total_minor) <> o.total_minor
union all
select o.id::text from shop_order o join delivery_unit u on u.order_id = o.id
where (o.state = 'delivered' and u.state <> 'delivered')
   or (o.state = 'refunded' and u.state <> 'refunded')
   or (o.state = 'partly_delivered' and u.state not in ('delivered', 'refunded'))
   or (o.state in ('cancelled', 'expired') and u.state not in ('released', 'scheduled'))
   or (o.state = 'awaiting_payment' and u.state not in ('reserved', 'scheduled'))
   or (o.state = 'running' and u.state not in ('scheduled', 'delivered', 'refunded'))
""",
    ),
    Invariant(
        "INV-3",
        N_("A SKU's counters are what its keys and orders say, and free keys + allowed = available + reserved − short."),
        """
select s.sku_id::text from stock s
left join (
  select sku_id, count(*) as all_keys, count(*) filter (where state = 'free') as free, count(*) filter (where state = 'delivered') as delivered,
         count(*) filter (where state = 'voided') as voided, count(*) filter (where state = 'quarantined') as quarantined,
         count(*) filter (where state = 'expired') as expired
  from card_key group by sku_id
) k on k.sku_id = s.sku_id
left join (
  select sku_id, count(*) filter (where state in ('reserved', 'owed')) as reserved,
         count(*) filter (where coalesce(attempt_id, minted_id, handover_id) is not null and card_key_id is null) as without_key
  from delivery_unit group by sku_id
) u on u.sku_id = s.sku_id
where (s.imported, s.delivered, s.voided, s.quarantined, s.expired, s.reserved)
      is distinct from
      (coalesce(k.all_keys, 0) + coalesce(u.without_key, 0), coalesce(k.delivered, 0) + coalesce(u.without_key, 0), coalesce(k.voided, 0),
       coalesce(k.quarantined, 0), coalesce(k.expired, 0), coalesce(u.reserved, 0))
   or coalesce(k.free, 0) + s.allowed <> s.available + s.reserved - s.short
""",
    ),
    Invariant(
        "BY-VALUE",
        N_("What is sold by face value has no key for sale, and no unit of a face value was served with a key of one's own."),
        """
select k.id::text from card_key k join sku_range v on v.sku_id = k.sku_id where k.state = 'free'
union all
select u.order_line_id::text || ' ' || u.unit_no from delivery_unit u join order_line l on l.id = u.order_line_id
where l.face_value_minor is not null and u.card_key_id is not null and u.attempt_id is null
""",
    ),
    Invariant(
        "QUOTA",
        N_(
            "What is kept for sales channels is the sum of their quotas, and each quota is what was moved to it less what was moved away and sold."
        ),
        """
select s.sku_id::text from stock s
left join (select sku_id, sum(units) as units from channel_quota group by sku_id) q on q.sku_id = s.sku_id
where s.allotted <> coalesce(q.units, 0)
union all
select q.sku_id::text || ' ' || q.channel_code from channel_quota q
where q.units + (select coalesce(sum(u.units), 0) from quota_use u where u.sku_id = q.sku_id and u.channel_code = q.channel_code)
   <> (select coalesce(sum(case when m.to_code = q.channel_code then m.units else -m.units end), 0) from quota_move m
       where m.sku_id = q.sku_id and q.channel_code in (m.from_code, m.to_code))
union all
select u.order_id::text from quota_use u join shop_order o on o.id = u.order_id where o.sales_channel <> u.channel_code
""",
    ),
    Invariant(
        "INV-4",
        N_("Over all accounts of a currency, debits equal credits."),
        "select currency from ledger_account group by currency having sum(debits_minor) <> sum(credits_minor)",
    ),
    Invariant(
        "INV-5",
        N_("Every account's sums equal its transfers."),
        """
select a.name || ' ' || a.currency from ledger_account a
where a.debits_minor <> coalesce((select sum(amount_minor) from transfer where debit_account_id = a.id), 0)
   or a.credits_minor <> coalesce((select sum(amount_minor) from transfer where credit_account_id = a.id), 0)
""",
    ),
    Invariant(
        "COST",
        N_("What the ledger says delivered units cost is what they cost, each rounded once."),
        """
select u.order_line_id::text from delivery_unit u
where u.delivered_at >= (select min(at) from transfer where kind = 'cost_of_goods')
group by u.order_line_id
having max(u.lost_cost) = 0 and sum(round(coalesce(u.unit_cost, 0) * 100)) <>
       coalesce((select sum(t.amount_minor) from transfer t where t.subject_id = u.order_line_id and t.kind = 'cost_of_goods'), 0)
""",
    ),
    Invariant(
        "INV-7",
        N_(
            "An order that its buyer paid has exactly one capture over its total, one that a company owes for has none; "
            "any other capture is a surplus with a refund or a case of its own."
        ),
        """
select o.id::text from shop_order o
left join capture c on c.order_id = o.id and c.purpose = 'order'
where (c.id is not null and c.amount_minor <> o.total_minor)
   or (c.id is null and o.billed_to is null and o.state in ('paid', 'running', 'delivered', 'partly_delivered', 'refunding', 'refunded'))
   or (c.id is not null and (o.billed_to is not null or o.state in ('awaiting_payment', 'cancelled', 'expired')))
union all
select c.id::text from capture c
where c.purpose = 'surplus' and not exists (select 1 from refund r where r.capture_id = c.id and r.amount_minor = c.amount_minor)
  and not exists (select 1 from staff_case s where s.subject_id = c.id and s.kind = 'wrong_amount')
""",
    ),
    Invariant(
        "INV-8",
        N_("Refunds of a capture, succeeded or not yet decided, never exceed it."),
        """
select c.id::text from capture c join refund r on r.capture_id = c.id
where r.state <> 'declined' group by c.id, c.amount_minor having sum(r.amount_minor) > c.amount_minor
""",
    ),
    Invariant(
        "INV-10",
        N_(
            "Every order that is paid or being refunded, and every refund the gateway declined, has work waiting or a case a person sees."
        ),
        """
select o.id::text from shop_order o
where o.state in ('paid', 'refunding')
  and not exists (select 1 from task t where t.subject_id = o.id and t.state <> 'failed')
  and not exists (select 1 from refund r join task t on t.subject_id = r.id where r.order_id = o.id and t.state <> 'failed')
  and not exists (select 1 from staff_case s where s.order_id = o.id and (s.state = 'open' or s.kind = 'refund_declined'))
  and not exists (
    select 1 from attempt a join task t on t.subject_id in (a.id, a.connection_id)
    where a.order_id = o.id and a.state in ('planned', 'sending', 'accepted', 'unknown') and t.state <> 'failed'
  )
union all
select r.id::text from refund r
where r.state = 'declined' and not exists (select 1 from staff_case s where s.subject_id = r.id and s.kind = 'refund_declined')
union all
select o.id::text from shop_order o join task t on t.subject_id = o.id
where o.state in ('paid', 'refunding') and t.state = 'waiting' and t.run_at < now() - interval '15 minutes'
""",
    ),
    Invariant(
        "INV-11",
        N_("The role of this home reaches no schema but its own, and the bells."),
        """
select n.nspname::text from pg_namespace n
where n.nspname not in (current_schema(), 'work', 'information_schema', 'pg_catalog') and n.nspname !~ '^pg_(toast|temp)'
  and has_schema_privilege(n.oid, 'usage')
""",
    ),
    Invariant(
        "INV-12",
        N_("What must be sealed is: it bears the head of a data key of this home."),
        """
with heads as (select '\x01'::bytea || int2send(version) as head from data_key where purpose = 'seal')
select 'card_key ' || id from card_key where substring(secret from 1 for 3) not in (select head from heads)
union all
select 'supplier ' || id from supplier where substring(email from 1 for 3) not in (select head from heads)
union all
select 'replenishment_message ' || id from replenishment_message where substring(body from 1 for 3) not in (select head from heads)
union all
select 'handover ' || id from handover where substring(secret from 1 for 3) not in (select head from heads)
union all
select 'recharge_account ' || order_line_id from recharge_account where substring(account from 1 for 3) not in (select head from heads)
union all
select 'issue_row ' || id from issue_row where substring(recipient from 1 for 3) not in (select head from heads)
union all
select 'shop_order ' || id from shop_order where substring(contact from 1 for 3) not in (select head from heads)
union all
select 'second_contact ' || order_id from second_contact where substring(email from 1 for 3) not in (select head from heads)
union all
select 'import_line ' || batch_id || ' ' || line_no from import_line where substring(secret from 1 for 3) not in (select head from heads)
union all
select 'minted_good ' || id from minted_good where substring(secret from 1 for 3) not in (select head from heads)
union all
select 'content_piece ' || file_id || ' ' || seq from content_piece where substring(body from 1 for 3) not in (select head from heads)
union all
select 'gateway_connection ' || id from gateway_connection where substring(config from 1 for 3) not in (select head from heads)
union all
select 'outgoing_message ' || id from outgoing_message
where substring(recipient from 1 for 3) not in (select head from heads) or substring(params from 1 for 3) not in (select head from heads)
""",
    ),
    Invariant(
        "INV-13b",
        N_("Every key its buyer has seen has the entry of that in the audit chain."),
        """
select u.order_line_id || '/' || u.unit_no from delivery_unit u
where u.revealed_at is not null and not exists (
  select 1 from audit_entry a where a.subject_kind in ('card_key', 'minted_good', 'handover') and a.subject_id in (u.card_key_id, u.minted_id, u.handover_id)
    and a.action in ('card_key.revealed', 'card_key.mailed', 'minted_good.revealed', 'handover.revealed'))
""",
    ),
    Invariant("INV-14", N_("Every message that waits has a task that carries it."), _MESSAGES),
    Invariant(
        "USES",
        N_("Every code and link was used as often as its ledger of uses says, and every file is there."),
        """
select m.id::text from minted_good m
where m.uses <> (select count(*) from minted_use w where w.minted_id = m.id and w.voided_at is null)
union all
select f.id::text from content_file f
where not exists (select 1 from content_piece c where c.file_id = f.id)
""",
    ),
    Invariant(
        "INV-19",
        N_("No order holds its stock for more than a minute past its time."),
        "select id::text from shop_order where state = 'awaiting_payment' and expires_at < now() - interval '60 seconds'",
    ),
    Invariant(
        "BUYING",
        N_("What a supplier is at work on, or may have sold, is still owed to its buyer: its money is not on its way back."),
        """
select a.out_no from attempt a join delivery_unit u on u.order_line_id = a.order_line_id and u.unit_no = a.unit_no
where a.state = 'planned' and u.state <> 'owed'
union all
select a.out_no from attempt a join delivery_unit u on u.order_line_id = a.order_line_id and u.unit_no = a.unit_no
where a.state in ('sending', 'accepted', 'unknown') and u.state <> 'owed'
""",
    ),
    Invariant(
        "BILL",
        N_("What a supplier's bill says is owed is the sum of its lines."),
        """
select b.id::text from settlement_statement b left join settlement_line l on l.statement_id = b.id
group by b.id, b.total_minor, b.purchases
having b.total_minor <> coalesce(sum(l.amount_minor), 0) or b.purchases <> count(l.attempt_id)
""",
    ),
    Invariant(
        "RESTOCK",
        N_("What a replenishment received is of its goods and at its cost, and none whose goods came says that none did."),
        """
select b.batch_no from replenishment_batch l join replenishment_line w on w.id = l.line_id join import_batch b on b.id = l.batch_id
where b.sku_id <> w.sku_id or b.unit_cost <> w.unit_cost
   or exists (select 1 from card_key k where k.batch_id = b.id and (k.sku_id <> w.sku_id or k.unit_cost <> w.unit_cost))
union all
select r.replenishment_no from replenishment r
join replenishment_line w on w.replenishment_id = r.id join replenishment_batch l on l.line_id = w.id
join import_batch b on b.id = l.batch_id and b.state in ('imported', 'quarantined')
where r.state in ('confirmed', 'sent') and exists (select 1 from card_key k where k.batch_id = b.id)
  and not exists (select 1 from task t where t.subject_id = b.id and t.kind = 'replenishment.count')
""",
    ),
    Invariant(
        "ISSUE",
        N_(
            "Each try of a row of a batch made one order, and each order of a batch is such a try; a row stands as its order does, a batch that is not done "
            "has work waiting, and what a company owes is the sum of what was not given back."
        ),
        """
select b.batch_no from issue_batch b
where (select count(*) from shop_order o where o.billed_to = b.id)
   <> (select coalesce(sum(r.tries), 0) from issue_row r where r.batch_id = b.id)
   or (select coalesce(sum(case t.kind when 'on_account' then t.amount_minor else -t.amount_minor end), 0) from transfer t where t.subject_id = b.id)
   <> (select coalesce(sum(u.amount_minor), 0) from delivery_unit u join shop_order o on o.id = u.order_id where o.billed_to = b.id and u.state <> 'refunded')
union all
select o.order_no from shop_order o where o.billed_to is not null and not exists (select 1 from issue_batch b where b.id = o.billed_to)
union all
select b.batch_no || ' ' || r.row_no from issue_row r join issue_batch b on b.id = r.batch_id
left join shop_order o on o.id = r.order_id and o.billed_to = b.id left join delivery_unit u on u.order_id = o.id
where r.order_id is not null and (
  o.idempotency_key is distinct from 'issue:' || b.id || ':' || r.row_no || ':' || r.tries
  or (r.state = 'delivered' and u.delivered_at is null) or (r.state = 'failed' and u.state <> 'refunded'))
union all
select b.batch_no from issue_batch b
where exists (select 1 from issue_row r where r.batch_id = b.id and (r.state = 'ordered' or (r.state = 'waiting' and b.state = 'running')))
  and (b.state not in ('running', 'paused') or not exists (
    select 1 from task t where t.subject_id = b.id and t.kind = 'issuing.go_on' and t.state <> 'failed'))
""",
    ),
    Invariant(
        "INV-21",
        N_(
            "A case that says replaced or refunded has what it says: its unit was served anew or given back, and never both for one case."
        ),
        """
select c.case_no from after_sale_case c
join delivery_unit u on u.order_line_id = c.order_line_id and u.unit_no = c.unit_no
left join after_sale_remedy r on r.case_id = c.id
where (c.state in ('replacing', 'replaced') and (r.kind is distinct from 'replace' or u.state = 'reserved'))
   or (c.state = 'replaced' and r.ended_at is null)
   or (c.state = 'refunded' and u.state <> 'refunded')
union all
select c.case_no from after_sale_case c
where c.state in ('reported', 'checking_with_supplier', 'awaiting_staff', 'awaiting_buyer', 'replacing', 'refunding') and c.overdue_told_at is null
  and not exists (select 1 from task t where t.subject_id = c.id and t.kind = 'aftersales.watch')
""",
    ),
    Invariant(
        "CYCLE",
        N_(
            "Each paid line of a subscription has its cycles, one after another; a cycle to come has work waiting for its day, and none is late."
        ),
        """
select l.id::text from subscription_purchase p join order_line l on l.id = p.order_line_id join shop_order o on o.id = l.order_id
join order_line c on c.parent_line_id = l.id left join subscription_cycle y on y.order_line_id = c.id
where o.state in ('paid', 'running', 'delivered', 'partly_delivered') and (y.subscription_id is null or y.subscription_id <> p.subscription_id)
union all
select s.id::text from subscription s join subscription_cycle c on c.subscription_id = s.id
group by s.id having min(c.cycle_no) <> 1 or max(c.cycle_no) <> count(*) or min(c.due_on) <> s.first_day
union all
select s.id::text from subscription s join subscription_cycle c on c.subscription_id = s.id join delivery_unit u on u.order_line_id = c.order_line_id
where c.due_on > s.last_day and u.state not in ('refunding', 'refunded')
union all
select s.id::text from subscription s
where (s.state <> 'ended' or exists (
    select 1 from subscription_cycle c join delivery_unit u on u.order_line_id = c.order_line_id
    where c.subscription_id = s.id and u.state = 'scheduled'))
  and not exists (select 1 from task t where t.subject_id = s.id and t.kind = 'ordering.turn_subscription')
union all
select s.id::text from subscription s join task t on t.subject_id = s.id
where t.kind = 'ordering.turn_subscription' and t.state = 'waiting' and t.run_at < now() - interval '15 minutes'
union all
select o.id::text from shop_order o
where o.state = 'running' and not exists (select 1 from delivery_unit u where u.order_id = o.id and u.state = 'scheduled')
""",
    ),
    Invariant(
        "LIMIT",
        N_("No buyer holds more of a limited product than its limit."),
        """
select b.product_id::text from buyer_usage b
join (
  select l.product_id, o.contact_fingerprint, sum(l.quantity) as units
  from order_line l join shop_order o on o.id = l.order_id
  where o.state not in ('cancelled', 'expired', 'refunded') and l.parent_line_id is null and o.billed_to is null
  group by 1, 2
) t on t.product_id = b.product_id and t.contact_fingerprint = b.contact_fingerprint
where b.units < t.units
""",
    ),
)

_EDGES: dict[str, Mapping[Any, frozenset[Any]]] = {
    "order": ORDER_EDGES,
    "unit": UNIT_EDGES,
    "payment": PAYMENT_EDGES,
    "refund": REFUND_EDGES,
    "case": CASE_EDGES,
    "subscription": SUBSCRIPTION_EDGES,
    "attempt": ATTEMPT_EDGES,
    "after_sale": AFTER_SALE_EDGES,
    "supplier_claim": CLAIM_EDGES,
    "replenishment": REPLENISHMENT_EDGES,
    "issue_batch": ISSUE_EDGES,
}


PLATFORM_INVARIANTS = (Invariant("INV-14", N_("Every message that waits has a task that carries it."), _MESSAGES),)
_MOST_SKEW = timedelta(seconds=10)


_proven: dict[UUID, Proven] = {}


async def breaches(tx: Tx, *, again: bool = False) -> list[Breach]:
    """Every rule that does not hold for the tenant of this transaction.

    Asked `again` by one process, the audit chain is followed from where it was found to hold the last time, not from its first entry.
    """
    found = [*await _asked(tx, INVARIANTS), *await _broken_chain(tx, again=again)]
    if wrong := await _wrong_steps(tx):
        found.append(Breach("INV-15", N_("Histories hold only steps the state tables allow."), tuple(wrong[:_SHOWN])))
    return found


async def platform_breaches(tx: Tx, *, again: bool = False) -> list[Breach]:
    """As `breaches`, for the platform itself, this process's clock among it."""
    found = [*await _asked(tx, PLATFORM_INVARIANTS), *await _broken_chain(tx, again=again)]
    skew = clock.now() - await tx.fetchval("select clock_timestamp()")
    if abs(skew) > _MOST_SKEW:
        says = N_("The clocks of our hosts and of the database agree within ten seconds.")
        found.append(Breach("INV-20", says, (f"{skew.total_seconds():+.0f} s",)))
    return found


async def _asked(tx: Tx, rules: Sequence[Invariant]) -> list[Breach]:
    found = []
    for rule in rules:
        if rows := await tx.fetch(rule.query):
            found.append(Breach(rule.number, rule.says, tuple(str(row[0]) for row in rows[:_SHOWN])))
    return found


async def _broken_chain(tx: Tx, *, again: bool) -> list[Breach]:
    start = _proven.get(tx.tenant.id, audit.WHOLE) if again else audit.WHOLE
    _proven[tx.tenant.id], seq = await audit.prove(tx, start)
    return (
        [Breach("INV-13", N_("The audit chain holds from its first entry to its last."), (str(seq),))] if seq is not None else []
    )


async def _wrong_steps(tx: Tx) -> list[str]:
    rows = await tx.fetch(
        "select distinct subject_kind, from_state, to_state from history where from_state is not null and to_state is not null"
    )
    wrong = []
    for row in rows:
        edges = {str(state): {str(to) for to in following} for state, following in _EDGES.get(row["subject_kind"], {}).items()}
        if edges and row["to_state"] not in edges.get(row["from_state"], set()):
            wrong.append(f"{row['subject_kind']}: {row['from_state']} → {row['to_state']}")
    return wrong
