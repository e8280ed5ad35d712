"""What a buyer says of a delivered top-up: that the account, which he typed and confirmed, was the wrong one. A person decides."""

from __future__ import annotations

from uuid import UUID

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.kernel import history
from app.kernel.actor import Actor
from app.kernel.errors import NotFound
from app.kernel.history import Happened
from tenants.session import Tx


async def dispute_account(tx: Tx, *, order_id: UUID, order_line_id: UUID, actor: Actor) -> None:
    """Open a case about a credited account; no money moves. Idempotent: told again, there is one case and one event.

    Locks: the line. Raises: NotFound for a line of another order, or of which nothing was credited.
    """
    row = await tx.fetchrow(_CREDITED, order_id, order_line_id)
    if row is None:
        raise NotFound
    if await tx.fetchval(_OPEN, order_line_id, CaseKind.WRONG_ACCOUNT):
        return
    facts = {"masked": row["masked"], "was_confirmed": row["was_confirmed"], "amount_minor": row["amount_minor"]}
    await cases.open_case(tx, Trouble(CaseKind.WRONG_ACCOUNT, "order_line", order_line_id, order_id, facts))
    await history.record(tx, Happened("order", order_id, "order.account_disputed", facts={"masked": row["masked"]}), actor=actor)


_CREDITED = """
select ra.masked,
       exists (select 1 from history h where h.subject_id = l.order_id and h.event = 'order.account_confirmed') as was_confirmed,
       (select sum(u.amount_minor)::bigint from delivery_unit u where u.order_line_id = l.id and u.state = 'delivered') as amount_minor
from order_line l join recharge_account ra on ra.order_line_id = l.id
where l.order_id = $1 and l.id = $2
  and exists (select 1 from delivery_unit u where u.order_line_id = l.id and u.state = 'delivered')
for update of l
"""
_OPEN = "select exists (select 1 from staff_case where subject_id = $1 and kind = $2 and state = 'open')"
