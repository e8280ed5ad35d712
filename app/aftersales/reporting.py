"""A report about a delivered unit, and what follows by itself: whoever delivered it is asked, and small values are settled without a person."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

import asyncpg

from app.aftersales import claiming, remedying, rules
from app.aftersales import service as cases
from app.aftersales.models import AfterSaleAuthor, AfterSaleState, Complaint, RemedyKind, Verdict
from app.aftersales.rules import Policy, Standing
from app.aftersales.words import COMPLAINTS
from app.catalog.models import DeliveryKind
from app.fulfillment.reissuing import UnitOf
from app.kernel import clock, history
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.ids import drawn_number, new_id
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from app.ordering import service as ordering
from app.ordering.models import OrderState
from tenants.session import Tx

_RATES_AFTER_S = 3
"""Reports of one moment are counted together before a rate is judged."""
SETTLED_ITSELF = N_("Settled by itself, as the shop's rules say.")


class TooLate(DomainError):
    message = N_(
        "This was delivered more than %(days)s days ago, which is the longest the shop takes reports. Write to the shop."
    )


class NotSeenYet(DomainError):
    message = N_("Show the key and try it first; then report what is wrong with it.")


class TooManyOfUnit(DomainError):
    message = N_("This was reported %(most)s times already. Write to the shop, so that a person looks at the whole story.")


@dataclass(frozen=True, slots=True)
class Report:
    """What is said about one unit. `picture` is encoded again by us already: its media type and bytes."""

    unit: UnitOf
    complaint: Complaint
    words: str = field(default="", repr=False)
    picture: tuple[str, bytes] | None = field(default=None, repr=False)


async def report(tx: Tx, told: Report, *, actor: Actor, is_own: bool = False) -> UUID:
    """Open a case about a unit that stands delivered, and have it checked; its id.

    Idempotent: while a case about this unit is open, that one is answered. `is_own`: by the merchant, for whom there is no time limit.
    Locks: the rules' row, the order, and what a remedy locks when one follows by itself. Raises: NotFound, TooLate, NotSeenYet, TooManyOfUnit.
    """
    policy = await cases.policy_of(tx, lock=True)
    await ordering.lock_order(tx, told.unit.order_id)
    row = await tx.fetchrow(_UNIT, told.unit.order_id, told.unit.order_line_id, told.unit.unit_no)
    if row is None:
        raise NotFound
    if row["open_case_id"]:
        return UUID(str(row["open_case_id"]))
    if row["unit_state"] != "delivered":
        raise NotFound
    if not is_own:
        _refuse(row, policy)
    case_id = await _open(tx, told, row, is_own=is_own)
    await _keep(tx, case_id, told, actor)
    await _begin(tx, case_id)
    await add_task(tx, "aftersales.rates", lane=Lane.MESSAGES, subject_id=None, after_s=_RATES_AFTER_S)
    return case_id


def _refuse(row: asyncpg.Record, policy: Policy) -> None:
    if clock.now() > row["delivered_at"] + timedelta(days=policy.report_days):
        raise TooLate(days=policy.report_days)
    if row["has_key"] and row["revealed_at"] is None:
        raise NotSeenYet
    if row["earlier_cases"] >= rules.MOST_CASES_OF_UNIT:
        raise TooManyOfUnit(most=rules.MOST_CASES_OF_UNIT)


async def _open(tx: Tx, told: Report, row: asyncpg.Record, *, is_own: bool) -> UUID:
    case_id, unit = new_id(), told.unit
    values = (
        unit.order_id, unit.order_line_id, unit.unit_no, row["sku_id"], row["contact_fingerprint"], told.complaint, row["amount_minor"],
        row["currency"], row["unit_cost"] or 0, row["delivered_at"], row["masked"], row["card_key_id"], row["batch_id"], row["attempt_id"],
        row["connection_id"], row["minted_id"], is_own,
    )  # fmt: skip

    async def insert(number: str) -> int:
        return await tx.execute(_OPEN, case_id, number, *values)

    await drawn_number("A", insert)
    return case_id


async def _keep(tx: Tx, case_id: UUID, told: Report, actor: Actor) -> None:
    if told.words.strip():
        author = AfterSaleAuthor.BUYER if actor.kind == "buyer" else AfterSaleAuthor.NOTE
        await cases.say(tx, case_id, author, told.words, actor=actor)
    if told.picture:
        media_type, body = told.picture
        sealed = (await keyring(tx)).seal("after_sale_picture", "body", case_id, b64encode(body).decode())
        await tx.execute(
            "insert into after_sale_picture (case_id, media_type, body) values ($1, $2, $3)", case_id, media_type, sealed
        )
    facts = {"unit_no": told.unit.unit_no}
    events = (
        Happened("after_sale", case_id, "after_sale.reported", None, AfterSaleState.REPORTED),
        Happened("order", told.unit.order_id, "order.complained", note=COMPLAINTS[told.complaint], facts=facts),
    )
    await history.record(tx, *events, actor=actor)


async def _begin(tx: Tx, case_id: UUID) -> None:
    """Ask the supplier where there is one; what is our own is looked at here and now. A case of the merchant's own waits for him."""
    case = await cases.lock_case(tx, case_id)
    if case["is_own"]:
        await cases.move(tx, case, AfterSaleState.AWAITING_STAFF)
        return
    if case["attempt_id"]:
        await cases.move(tx, case, AfterSaleState.CHECKING_WITH_SUPPLIER)
        await add_task(tx, "aftersales.check", lane=Lane.SUPPLY, subject_id=case_id)
        return
    await settle(tx, case, await _own_verdict(tx, case))


async def _own_verdict(tx: Tx, case: asyncpg.Record) -> Verdict:
    if case["minted_id"]:
        uses = await tx.fetchval("select uses from minted_good where id = $1", case["minted_id"])
        return Verdict.USED if uses else Verdict.NEVER_USED
    policy = await cases.policy_of(tx)
    is_bad = await tx.fetchval(_IS_BAD_BATCH, case["batch_id"], policy.rate_least, policy.rate_bp)
    return Verdict.BATCH_BAD if is_bad else Verdict.BATCH_GOOD


async def settle(tx: Tx, case: asyncpg.Record, verdict: Verdict) -> None:
    """Go on with a checked case: by itself where the rules allow it, else it waits for staff. The caller holds its lock.

    Locks: the rules' row, so that nobody gets more by asking at once; then what a remedy locks.
    """
    await tx.execute("update after_sale_case set verdict = $2 where id = $1", case["id"], verdict)
    policy = await cases.policy_of(tx, lock=True)
    order = await ordering.lock_order(tx, case["order_id"])
    kind = rules.automatic(policy, await _standing(tx, case, verdict))
    is_standing = await tx.fetchval(_STANDS, case["order_line_id"], case["unit_no"])
    if (kind is RemedyKind.REPLACE and order["state"] == OrderState.REFUNDING) or not is_standing:
        kind = None
    if kind is None:
        await cases.move(tx, case, AfterSaleState.AWAITING_STAFF)
        return
    await remedying.remedy(tx, case["id"], kind, reason=SETTLED_ITSELF, actor=SYSTEM, is_automatic=True)


async def _standing(tx: Tx, case: asyncpg.Record, verdict: Verdict) -> Standing:
    now = clock.now()
    row = await tx.fetchrow(_STANDING, case["id"], now - rules.BUYER_WINDOW, now - timedelta(hours=24), now - rules.RECORD_WINDOW)
    assert row is not None
    return Standing(
        amount_minor=case["amount_minor"],
        delivery_kind=row["delivery_kind"],
        verdict=verdict,
        is_first_of_unit=not row["earlier"],
        automatic_of_buyer=row["of_buyer"],
        automatic_today=row["today"],
        rejected_of_buyer=row["rejected"],
        in_claim_time=await claiming.in_claim_time(tx, case),
        product_settles_itself=row["settles_itself"],
    )


COMPLAINTS_OF = {
    DeliveryKind.CARD_KEY: (Complaint.INVALID, Complaint.USED_ALREADY, Complaint.WRONG_AMOUNT, Complaint.OTHER),
    DeliveryKind.DIRECT_TOP_UP: (Complaint.NOT_ARRIVED, Complaint.WRONG_AMOUNT, Complaint.OTHER),
    DeliveryKind.VOUCHER: (Complaint.REFUSED, Complaint.USED_ALREADY, Complaint.OTHER),
    DeliveryKind.SERIAL: (Complaint.INVALID, Complaint.REFUSED, Complaint.OTHER),
}
"""What a buyer can say of each kind of goods; of any other, the last two."""

_UNIT = """
select u.state as unit_state, u.sku_id, u.amount_minor, u.unit_cost, u.delivered_at, u.revealed_at, u.card_key_id, u.attempt_id, u.minted_id,
       coalesce(u.card_key_id, u.minted_id) is not null and m.kind is distinct from 'link' as has_key, o.contact_fingerprint, o.currency, k.batch_id, a.connection_id,
       coalesce(k.masked, m.masked, ra.masked, '') as masked,
       (select c.id from after_sale_case c where c.order_line_id = u.order_line_id and c.unit_no = u.unit_no
          and c.state in ('reported', 'checking_with_supplier', 'awaiting_staff', 'awaiting_buyer', 'replacing', 'refunding')) as open_case_id,
       (select count(*) from after_sale_case c where c.order_line_id = u.order_line_id and c.unit_no = u.unit_no)::int as earlier_cases
from delivery_unit u
join shop_order o on o.id = u.order_id
left join card_key k on k.id = u.card_key_id
left join minted_good m on m.id = u.minted_id
left join attempt a on a.id = u.attempt_id
left join recharge_account ra on ra.order_line_id = u.order_line_id
where u.order_id = $1 and u.order_line_id = $2 and u.unit_no = $3
"""
_OPEN = """
insert into after_sale_case
  (id, case_no, order_id, order_line_id, unit_no, sku_id, contact_fingerprint, complaint, amount_minor, currency, unit_cost, delivered_at, masked,
   card_key_id, batch_id, attempt_id, connection_id, minted_id, is_own)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
on conflict (case_no) do nothing
"""
_STANDS = "select state = 'delivered' from delivery_unit where order_line_id = $1 and unit_no = $2"
_IS_BAD_BATCH = """
select b.state in ('quarantining', 'quarantined') or (f.failed >= $2 and f.failed * 10000 >= d.delivered * $3)
from import_batch b
cross join lateral (
  select count(*)::bigint as failed from after_sale_case c where c.batch_id = b.id and c.state not in ('rejected', 'withdrawn')
) f
cross join lateral (
  select count(*)::bigint as delivered from card_key k where k.batch_id = b.id and k.state in ('delivered', 'voided')
) d
where b.id = $1
"""
_STANDING = """
select l.delivery_kind, coalesce(g.settles_itself, true) as settles_itself,
       (select count(*) from after_sale_case e where e.order_line_id = c.order_line_id and e.unit_no = c.unit_no and e.id <> c.id
          and e.state <> 'withdrawn')::int as earlier,
       (select count(*) from after_sale_remedy r where r.is_automatic and r.contact_fingerprint = c.contact_fingerprint
          and r.made_at > $2)::int as of_buyer,
       (select count(*) from after_sale_remedy r where r.is_automatic and r.made_at > $3)::int as today,
       (select count(*) from after_sale_case e where e.contact_fingerprint = c.contact_fingerprint and e.state = 'rejected'
          and e.created_at > $4)::int as rejected
from after_sale_case c join order_line l on l.id = c.order_line_id left join product_guide g on g.product_id = l.product_id
where c.id = $1
"""
