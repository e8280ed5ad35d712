"""Bringing a difference to its end: it was none, it is booked, or the supplier is asked."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from app.kernel import audit, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.ledger import service as ledger
from app.ledger.service import Posting, TransferKind
from app.settlement import rules
from app.settlement.models import DIFFERENCE_EDGES, DifferenceState
from tenants.session import Tx


class Decided(DomainError):
    message = N_("This difference has ended already. What was decided stands; book a correction in the next period.")


class NothingToBook(DomainError):
    status = 422
    message = N_("Both sides cost the same, so there is nothing to book. End it as matched.")


@dataclass(frozen=True, slots=True)
class Decision:
    """How a difference ends, and why."""

    state: DifferenceState
    note: str


async def difference_or_404(tx: Tx, difference_id: UUID, *, lock: bool = False) -> asyncpg.Record:
    """Raises: NotFound."""
    row = await tx.fetchrow(_LOCKED if lock else _ONE, difference_id)
    if row is None:
        raise NotFound
    return row


async def decide(tx: Tx, difference_id: UUID, decision: Decision, *, actor: Actor) -> None:
    """Move a difference on. Adjusting books what the supplier says more or less than we did, against what we owe him.

    Idempotent: the same decision again changes nothing. Locks: the difference, then the ledger's accounts.
    Raises: NotFound, Decided, NothingToBook.
    """
    row = await difference_or_404(tx, difference_id, lock=True)
    before = DifferenceState(row["state"])
    if before is decision.state:
        return
    if decision.state not in DIFFERENCE_EDGES[before]:
        raise Decided
    booked = await _book(tx, row) if decision.state is DifferenceState.ADJUSTED else 0
    await tx.execute(_DECIDED, difference_id, decision.state, decision.note, actor.name, booked)
    facts = {"kind": row["kind"], "out_no": row["out_no"], "adjusted_minor": booked}
    happened = Happened(
        "discrepancy", difference_id, f"difference.{decision.state}", before, decision.state, decision.note, facts
    )
    await history.record(tx, happened, actor=actor)
    action = f"settlement.{decision.state}"
    await audit.record(tx, actor, action, subject=("discrepancy", difference_id), reason=decision.note, facts=facts)


async def _book(tx: Tx, row: asyncpg.Record) -> int:
    owed = rules.minor(row["theirs"]) - rules.minor(row["ours"])
    if owed == 0:
        raise NothingToBook
    kind = TransferKind.STATEMENT_CHARGE if owed > 0 else TransferKind.STATEMENT_CREDIT
    await ledger.transfer(tx, [Posting(kind, row["id"], abs(owed), row["currency"])])
    return owed


_ONE = """
select d.*, c.name as connection_name, s.file_name, s.first_day, s.last_day, a.state as attempt_state, o.order_no
from discrepancy d join supplier_connection c on c.id = d.connection_id join supplier_statement s on s.id = d.statement_id
left join attempt a on a.id = d.attempt_id left join shop_order o on o.id = a.order_id
where d.id = $1
"""
_LOCKED = "select * from discrepancy where id = $1 for update"
_DECIDED = """
update discrepancy set state = $2, note = $3, decided_by = $4, adjusted_minor = $5, decided_at = now(), updated_at = now() where id = $1
"""
