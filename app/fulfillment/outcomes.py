"""What suppliers answered, written down: delivered units, refusals that go to the next supplier, and what has to be asked about.

An answer counts only while the call that got it still holds its attempt. A success for an attempt that was given up is never the buyer's:
its secret becomes recovered stock and a person is told.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import asyncpg

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.fulfillment import attempts, receiving, wholes
from app.fulfillment.attempts import BUYER_IS_WRONG, NOT_SENT, Decided
from app.fulfillment.ending import give_up, settle_orders
from app.fulfillment.models import OPEN_STATES, AttemptState
from app.fulfillment.undelivered import give_up_and_tell
from app.kernel import clock
from app.kernel.tasks import Lane, add_tasks
from app.suppliers.connectors.port import Accepted, Delivered, Found, NoSuchPurchase, Rejected, Unknown
from app.suppliers.health import Called, note_calls
from tenants.session import Tx

_ACCEPTED_DELAYS_S = (1, 2, 3, 3, 5, 5, 10, 20, 30, 60, 120, 300, 600)
_UNKNOWN_DELAYS_S = (5, 10, 20, 40, 80, 160, 300, 600, 600)
_AFTER_CASE_S = 1800
_CASE_AFTER = timedelta(minutes=30)
_MOST_SENDS = 5
_NOT_FOUND_TIMES = 2


@dataclass(frozen=True, slots=True)
class Answer:
    """What one call about an attempt came to. `fence` is None for a question; `may_send_again` says that its supplier promises the same number buys once."""

    attempt_id: UUID
    fence: UUID | None
    found: Found
    took_ms: int
    not_found_grace: timedelta = timedelta(minutes=10)
    may_send_again: bool = False


@dataclass(slots=True)
class _Sorted:
    """Answers by what follows from them."""

    delivered: list[tuple[asyncpg.Record, Delivered]]
    decided: list[Decided]
    elsewhere: list[UUID]
    """Attempts refused for good, whose units go to the next supplier."""
    hopeless: list[UUID]
    """Attempts refused because of what the buyer typed."""
    ask: dict[UUID, int]
    again: set[UUID]
    """Connections with attempts that are sent once more."""


async def record(tx: Tx, answers: Sequence[Answer]) -> None:
    """Write down what calls came to. An answer that comes twice, or after its attempt went on, changes nothing.

    Locks: the orders, the attempts, both in id order, then keys, stock and ledger, and the connections last.
    """
    rows = {row["id"]: row for row in await attempts.lock(tx, [answer.attempt_id for answer in answers])}
    valid = [(rows[a.attempt_id], a) for a in answers if a.attempt_id in rows and _counts(rows[a.attempt_id], a)]
    late = [(row, a.found) for row, a in valid if row["state"] == AttemptState.FAILED and isinstance(a.found, Delivered)]
    await _count_not_found(tx, valid)
    sorted_ = _sort([(row, a) for row, a in valid if row["state"] in OPEN_STATES])
    took = {a.attempt_id: a.took_ms for _, a in valid}
    refused = await receiving.receive(tx, sorted_.delivered, took_ms=took)
    await receiving.recover(tx, late)
    await attempts.decide(tx, sorted_.decided, took_ms=took)
    await _follow_up(tx, sorted_, refused)
    await _open_cases(tx, [row for row, _ in valid if row["id"] in sorted_.ask])
    of_wholes = sorted({row["order_id"] for row, _ in valid if row["is_of_whole"]})
    if of_wholes:
        await wholes.go_on(tx, of_wholes)
    await settle_orders(tx, sorted({row["order_id"] for row in rows.values()}), with_wholes=bool(of_wholes))
    await note_calls(tx, [_called(row, a) for row, a in valid])


async def _count_not_found(tx: Tx, valid: Sequence[tuple[asyncpg.Record, Answer]]) -> None:
    asked = [
        (row["id"], isinstance(a.found, NoSuchPurchase), not isinstance(a.found, Unknown)) for row, a in valid if a.fence is None
    ]
    if asked:
        await tx.executemany(_NOT_FOUND, asked)


def _counts(row: asyncpg.Record, answer: Answer) -> bool:
    if row["state"] == AttemptState.FAILED:
        return isinstance(answer.found, Delivered)
    return row["state"] in OPEN_STATES and row["fence"] == answer.fence


def _sort(valid: Sequence[tuple[asyncpg.Record, Answer]]) -> _Sorted:
    into = _Sorted([], [], [], [], {}, set())
    for row, answer in valid:
        match answer.found:
            case Delivered():
                into.delivered.append((row, answer.found))
            case Accepted(supplier_ref, evidence):
                if row["state"] != AttemptState.ACCEPTED:
                    into.decided.append(Decided(row, AttemptState.ACCEPTED, supplier_ref, evidence=evidence))
                into.ask[row["id"]] = _delay(_ACCEPTED_DELAYS_S, row)
            case Rejected(reason, says, evidence):
                into.decided.append(Decided(row, AttemptState.FAILED, None, reason, says, evidence))
                (into.hopeless if reason in BUYER_IS_WRONG else into.elsewhere).append(row["id"])
            case NoSuchPurchase(evidence):
                _sort_not_found(into, row, answer, evidence)
            case Unknown(says, is_sent, evidence):
                _sort_unknown(into, row, says, evidence, is_sent=is_sent or answer.fence is None)
    return into


def _sort_unknown(into: _Sorted, row: asyncpg.Record, says: str, evidence: str, *, is_sent: bool) -> None:
    """A purchase of which no byte left us is as good as refused; anything else is asked about."""
    if not is_sent:
        into.decided.append(Decided(row, AttemptState.FAILED, None, NOT_SENT, says, evidence))
        into.elsewhere.append(row["id"])
        return
    if row["state"] == AttemptState.SENDING:
        into.decided.append(Decided(row, AttemptState.UNKNOWN, says=says, evidence=evidence))
    into.ask[row["id"]] = _delay(_UNKNOWN_DELAYS_S, row)


def _sort_not_found(into: _Sorted, row: asyncpg.Record, answer: Answer, evidence: str) -> None:
    """Not found counts only after the grace, and only twice in a row; then the same number is sent again where that is promised to buy once."""
    in_grace = clock.now() < row["sent_at"] + answer.not_found_grace
    if in_grace or row["times_not_found"] + 1 < _NOT_FOUND_TIMES:
        into.ask[row["id"]] = _delay(_UNKNOWN_DELAYS_S, row)
    elif answer.may_send_again and row["times_sent"] < _MOST_SENDS and row["state"] == AttemptState.UNKNOWN:
        into.decided.append(Decided(row, AttemptState.PLANNED, says="not found", evidence=evidence))
        into.again.add(row["connection_id"])
    else:
        into.decided.append(Decided(row, AttemptState.FAILED, None, "not_found", "not found", evidence))
        into.elsewhere.append(row["id"])


def _delay(delays_s: Sequence[int], row: asyncpg.Record) -> int:
    if row["sent_at"] is not None and clock.now() - row["sent_at"] > _CASE_AFTER:
        return _AFTER_CASE_S
    return delays_s[min(int(row["times_asked"]), len(delays_s) - 1)]


async def _follow_up(tx: Tx, sorted_: _Sorted, refused: Sequence[UUID]) -> None:
    decided = [one.row["id"] for one in sorted_.decided if one.state in (AttemptState.FAILED, AttemptState.PLANNED)]
    await attempts.forget_asking(tx, decided)
    await attempts.ask_later(tx, sorted_.ask)
    unserved = await attempts.plan(tx, await attempts.units_of(tx, [*sorted_.elsewhere, *refused]))
    unserved = await attempts.leave_to_own_stock(tx, unserved)
    await give_up_and_tell(tx, unserved)
    await give_up(tx, await attempts.units_of(tx, sorted_.hopeless))
    await add_tasks(tx, "fulfillment.buy", lane=Lane.SUPPLY, subject_ids=sorted(sorted_.again))


async def _open_cases(tx: Tx, rows: Sequence[asyncpg.Record]) -> None:
    """Half an hour after it was sent, an attempt that still has to be asked about is a person's too."""
    for row in rows:
        if row["sent_at"] and clock.now() - row["sent_at"] > _CASE_AFTER:
            facts = {"out_no": row["out_no"], "unit_no": row["unit_no"]}
            await cases.open_case(tx, Trouble(CaseKind.SUPPLIER_UNKNOWN, "attempt", row["id"], row["order_id"], facts))


def _called(row: asyncpg.Record, answer: Answer) -> Called:
    return Called(
        row["connection_id"],
        row["offer_id"],
        answer.took_ms,
        went_well=not isinstance(answer.found, Unknown),
        is_refused=isinstance(answer.found, Rejected),
        is_delivered=isinstance(answer.found, Delivered),
    )


def sent_too_long_ago(sent_at: datetime, life: timedelta | None) -> bool:
    """Whether a supplier no longer promises that this number buys once."""
    return life is None or clock.now() - sent_at > life


_NOT_FOUND = """
update attempt
set times_not_found = case when $2 then times_not_found + 1 else 0 end, answered_at = case when $3 then now() else answered_at end
where id = $1
"""
