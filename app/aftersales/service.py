"""Verbs on a case: opened, moved, talked about, rejected, objected to. What ends it stands in `remedying`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from app.aftersales import rules
from app.aftersales.models import AFTER_SALE_EDGES, DECIDABLE, AfterSaleAuthor, AfterSaleState, RemedyKind
from app.aftersales.rules import Policy
from app.integrations import service as integrations
from app.kernel import audit, clock, history
from app.kernel.actor import SYSTEM, Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from tenants.session import Tx

_S = AfterSaleState


class WrongEdge(RuntimeError):
    """A state was to follow that the table does not allow. Always a bug."""


class CaseOver(DomainError):
    message = N_("This case was decided already. Open it again to see how it stands.")


class AlreadyObjected(DomainError):
    message = N_("You have objected once, and the shop has answered. Write to the shop if you want to add something.")


class TooLateToObject(DomainError):
    message = N_("The time to object is over: it was %(days)s days from the answer.")


class WordsMissing(DomainError):
    status = 422
    message = N_("Write what the buyer should read.")


@dataclass(frozen=True, slots=True)
class Said:
    """One thing said in a case, opened."""

    author: AfterSaleAuthor
    author_name: str
    body: str
    at: object


async def policy_of(tx: Tx, *, lock: bool = False) -> Policy:
    """The merchant's rules. Locked, nothing else is decided by itself until this transaction ends."""
    row = await tx.fetchrow(_POLICY + (" for update" if lock else ""))
    if row is None:
        if not lock:
            return Policy()
        await tx.execute("insert into after_sale_policy (id) values (1) on conflict do nothing")
        row = await tx.fetchrow(_POLICY + " for update")
        assert row is not None
    return Policy(**{**row, "prefers": RemedyKind(row["prefers"]), "replies": tuple(json.loads(row["replies"]))})


async def set_policy(tx: Tx, policy: Policy, *, actor: Actor) -> None:
    """Keep the merchant's rules. Locks: their row."""
    await policy_of(tx, lock=True)
    values = (
        policy.auto_most_minor, policy.prefers, policy.auto_per_buyer, policy.auto_per_day, policy.report_days, policy.staff_hours,
        policy.buyer_hours, policy.rate_bp, policy.rate_least, json.dumps(list(policy.replies)),
    )  # fmt: skip
    await tx.execute(_SET_POLICY, *values)
    facts = {"auto_most_minor": policy.auto_most_minor, "auto_per_buyer": policy.auto_per_buyer, "prefers": policy.prefers}
    await audit.record(tx, actor, "after_sale.policy_changed", subject=("tenant", tx.tenant.id), facts=facts)


async def lock_case(tx: Tx, case_id: UUID) -> asyncpg.Record:
    """A case's row, locked until the transaction ends. Raises: NotFound."""
    row = await tx.fetchrow("select * from after_sale_case where id = $1 for update", case_id)
    if row is None:
        raise NotFound
    return row


async def move(tx: Tx, case: asyncpg.Record, state: AfterSaleState, *, note: str = "", actor: Actor = SYSTEM) -> None:
    """Change a case's state, set by when that should be over, and write its history. The caller holds its lock. Raises: WrongEdge."""
    before = AfterSaleState(case["state"])
    if state not in AFTER_SALE_EDGES[before]:
        raise WrongEdge(f"case {case['case_no']}: {before} to {state}")
    due_at = rules.due(await policy_of(tx), state, clock.now())
    is_over = due_at is None
    await tx.execute(_MOVE, case["id"], state, due_at, is_over)
    happened = Happened("after_sale", case["id"], f"after_sale.{state}", before, state, note, {"case_no": case["case_no"]})
    await history.record(tx, happened, actor=actor)
    if due_at is not None:
        await add_task(tx, "aftersales.watch", lane=Lane.MESSAGES, subject_id=case["id"], run_at=due_at)


async def say(tx: Tx, case_id: UUID, author: AfterSaleAuthor, text: str, *, actor: Actor) -> None:
    """Write down what somebody said in a case, sealed."""
    message_id = new_id()
    body = (await keyring(tx)).seal("after_sale_message", "body", message_id, text)
    await tx.execute(_SAY, message_id, case_id, author, actor.name, body)


async def said_in(tx: Tx, case_id: UUID, *, with_notes: bool) -> list[Said]:
    """What was said in a case, oldest first; notes are staff's own."""
    ring = await keyring(tx)
    rows = await tx.fetch(_SAID, case_id, with_notes)
    return [
        Said(
            AfterSaleAuthor(row["author"]), row["author_name"], ring.open("after_sale_message", "body", row["id"], row["body"]).reveal(), row["at"]
        )
        for row in rows
    ]  # fmt: skip


async def note(tx: Tx, case_id: UUID, *, text: str, actor: Actor) -> None:
    """Write a note for the team. Raises: NotFound."""
    await lock_case(tx, case_id)
    await say(tx, case_id, AfterSaleAuthor.NOTE, text, actor=actor)


async def ask_buyer(tx: Tx, case_id: UUID, *, text: str, actor: Actor) -> None:
    """Ask the buyer something; the case waits for him, and he gets a message. Locks: the case. Raises: WordsMissing, CaseOver, NotFound."""
    case = await _decidable(tx, case_id, text)
    if case["state"] == _S.CHECKING_WITH_SUPPLIER:
        await move(tx, case, _S.AWAITING_STAFF)
        case = await lock_case(tx, case_id)
    if case["state"] == _S.AWAITING_STAFF:
        await move(tx, case, _S.AWAITING_BUYER, actor=actor)
    await say(tx, case_id, AfterSaleAuthor.STAFF, text, actor=actor)
    await tell_buyer(tx, case, "after_sale_question")


async def answer(tx: Tx, case_id: UUID, *, text: str, actor: Actor) -> None:
    """The buyer answers or adds something; a case that waited for him waits for staff again. Locks: the case. Raises: CaseOver, NotFound."""
    case = await _decidable(tx, case_id, text)
    await say(tx, case_id, AfterSaleAuthor.BUYER, text, actor=actor)
    if case["state"] == _S.AWAITING_BUYER:
        await move(tx, case, _S.AWAITING_STAFF, actor=actor)


async def reject(tx: Tx, case_id: UUID, *, text: str, actor: Actor) -> bool:
    """Say no, with the reason the buyer reads; False when it was rejected already. Locks: the case. Raises: WordsMissing, CaseOver, NotFound."""
    case = await lock_case(tx, case_id)
    if case["state"] == _S.REJECTED:
        return False
    case = await _decidable(tx, case_id, text)
    if case["state"] == _S.CHECKING_WITH_SUPPLIER:
        await move(tx, case, _S.AWAITING_STAFF)
        case = await lock_case(tx, case_id)
    await move(tx, case, _S.REJECTED, actor=actor)
    await tx.execute("update after_sale_case set decided_at = now(), decided_by = $2 where id = $1", case_id, actor.name)
    await say(tx, case_id, AfterSaleAuthor.STAFF, text, actor=actor)
    await audit.record(tx, actor, "after_sale.rejected", subject=("after_sale", case_id), facts={"case_no": case["case_no"]})
    await tell_buyer(tx, case, "after_sale_rejected")
    return True


async def object_to(tx: Tx, case_id: UUID, *, text: str, actor: Actor) -> None:
    """The buyer does not accept the no: once, within a week, and another look is taken. Locks: the case.

    Raises: AlreadyObjected, TooLateToObject, WordsMissing, CaseOver for a case that was not rejected, NotFound.
    """
    if not text.strip():
        raise WordsMissing
    case = await lock_case(tx, case_id)
    if case["objected_at"] is not None:
        raise AlreadyObjected
    if case["state"] != _S.REJECTED:
        raise CaseOver
    if (clock.now() - case["ended_at"]).days >= rules.OBJECTION_DAYS:
        raise TooLateToObject(days=rules.OBJECTION_DAYS)
    await tx.execute("update after_sale_case set objected_at = now() where id = $1", case_id)
    await move(tx, case, _S.AWAITING_STAFF, actor=actor)
    await say(tx, case_id, AfterSaleAuthor.BUYER, text, actor=actor)


async def withdraw(tx: Tx, case_id: UUID, *, actor: Actor) -> None:
    """The buyer says that it works after all. Idempotent. Locks: the case. Raises: CaseOver, NotFound."""
    case = await lock_case(tx, case_id)
    if case["state"] == _S.WITHDRAWN:
        return
    if _S.WITHDRAWN not in AFTER_SALE_EDGES[AfterSaleState(case["state"])]:
        raise CaseOver
    await move(tx, case, _S.WITHDRAWN, actor=actor)


async def tell_buyer(tx: Tx, case: asyncpg.Record, template: str) -> None:
    """Send the buyer a message about his case, with the way to his order."""
    order = await tx.fetchrow(
        "select id, order_no, contact, contact_kind, locale from shop_order where id = $1", case["order_id"]
    )
    assert order is not None
    contact = (await keyring(tx)).open("shop_order", "contact", order["id"], order["contact"])
    params = {"order_no": order["order_no"], "order_id": str(order["id"])}
    to = (order["contact_kind"], contact.reveal())
    await integrations.queue_message(tx, template=template, to=to, locale=order["locale"], params=params)


async def _decidable(tx: Tx, case_id: UUID, text: str) -> asyncpg.Record:
    if not text.strip():
        raise WordsMissing
    case = await lock_case(tx, case_id)
    if case["state"] not in DECIDABLE:
        raise CaseOver
    return case


_POLICY = """
select auto_most_minor, prefers, auto_per_buyer, auto_per_day, report_days, staff_hours, buyer_hours, rate_bp, rate_least,
       replies::text as replies
from after_sale_policy where id = 1"""
_SET_POLICY = """
update after_sale_policy
set auto_most_minor = $1, prefers = $2, auto_per_buyer = $3, auto_per_day = $4, report_days = $5, staff_hours = $6, buyer_hours = $7,
    rate_bp = $8, rate_least = $9, replies = $10::jsonb
where id = 1
"""
_MOVE = """
update after_sale_case
set state = $2, due_at = $3, overdue_told_at = null, ended_at = case when $4 then now() end, updated_at = now()
where id = $1
"""
_SAY = "insert into after_sale_message (id, case_id, author, author_name, body) values ($1, $2, $3, $4, $5)"
_SAID = """
select id, author, author_name, body, at from after_sale_message
where case_id = $1 and ($2 or author <> 'note')
order by at, id
limit 200
"""
