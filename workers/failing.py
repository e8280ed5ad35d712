"""What a task leaves behind when its tries are used up: where it was about a sale or a message, a case that a person sees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.integrations import service as messages
from app.integrations.alerts import EVENTS
from app.integrations.sending import Facts
from tenants.directory import PLATFORM
from tenants.session import Tx


async def leave_case(tx: Tx, kind: str, subject_id: UUID | None, problem: str) -> None:
    """Open a case for an order, payment, refund, purchase or message whose work was given up. Other subjects, and the platform's own work, leave none."""
    if subject_id is None or tx.tenant == PLATFORM:
        return
    if kind == SEND:
        await _give_up_message(tx, subject_id, problem)
        return
    row = await tx.fetchrow(_ABOUT, subject_id)
    if row is not None:
        facts = {"task": kind, "problem": problem[:200]}
        await cases.open_case(tx, Trouble(CaseKind.WORK_FAILED, row["kind"], subject_id, row["order_id"], facts))


async def leave_cases(tx: Tx, kinds: Sequence[str], problem: str) -> None:
    """As `leave_case`, for every task of some kinds that is set aside already. Idempotent."""
    if tx.tenant == PLATFORM:
        return
    for task in await tx.fetch(
        "select kind, subject_id from task where state = 'failed' and kind = any($1) order by id", list(kinds)
    ):
        await leave_case(tx, task["kind"], task["subject_id"], problem)


async def _give_up_message(tx: Tx, message_id: UUID, problem: str) -> None:
    """A message that nobody took is a person's. Alerts stand in the app as well, and a code that comes late is worth nothing: those leave no case."""
    message = await messages.give_up(tx, message_id)
    if message is None or message.template in EVENTS or message.template in _SHORT_LIVED:
        return
    facts = {"template": message.template, "to": message.to, "problem": (message.problem or problem)[:200]}
    await cases.open_case(tx, Trouble(CaseKind.MESSAGE_FAILED, "message", message_id, message.order_id, facts))


async def close_cases(tx: Tx, sent: Mapping[UUID, Facts]) -> None:
    """Close the cases of messages that were sent after all, and those of deliveries that a later message told."""
    if tx.tenant == PLATFORM:
        return
    told = [UUID(params["order_id"]) for template, params in sent.values() if template == _TELLS_DELIVERY]
    rows = await tx.fetch(_MENDED, CaseKind.MESSAGE_FAILED, list(sent), told, _TELLS_DELIVERY)
    if rows:
        await cases.settle_all(tx, [CaseKind.MESSAGE_FAILED], [row["subject_id"] for row in rows], note=cases.MESSAGE_SENT)


SEND = "integrations.send"
_SHORT_LIVED = frozenset({"contact_code"})
_TELLS_DELIVERY = "order_delivered"
_MENDED = """
select subject_id from staff_case
where state = 'open' and kind = $1 and (subject_id = any($2) or (order_id = any($3) and facts ->> 'template' = $4))
"""
_ABOUT = """
select 'order' as kind, id as order_id from shop_order where id = $1
union all
select 'payment', order_id from payment where id = $1
union all
select 'refund', order_id from refund where id = $1
union all
select 'attempt', order_id from attempt where id = $1
limit 1
"""
