"""What a task leaves behind when its tries are used up: where it was about a sale or a message, a case that a person sees.

A text message about an order whose buyer left an e-mail address too goes there first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.integrations import service as messages
from app.integrations.alerts import EVENTS
from app.integrations.models import MessageMedium
from app.integrations.sending import Facts
from app.integrations.service import GivenUp
from app.kernel import history
from app.kernel.history import Happened
from app.ordering import second_contacts
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


async def give_up_refused(tx: Tx, refused: Mapping[UUID, str]) -> None:
    """Give up messages whose other side will never take them, and why it said so. Idempotent."""
    for message_id, problem in refused.items():
        await _give_up_message(tx, message_id, problem)


async def _give_up_message(tx: Tx, message_id: UUID, problem: str) -> None:
    """A message that nobody took goes by mail where its buyer left an address too; else it is a person's.

    Alerts stand in the app as well, and a code that comes late is worth nothing: those leave no case.
    """
    message = await messages.give_up(tx, message_id)
    if message is None or tx.tenant == PLATFORM or message.template in EVENTS or message.template in _SHORT_LIVED:
        return
    if await _is_mailed(tx, message_id, message):
        return
    facts = {"template": message.template, "to": message.to, "problem": (message.problem or problem)[:200]}
    await cases.open_case(tx, Trouble(CaseKind.MESSAGE_FAILED, "message", message_id, message.order_id, facts))


async def _is_mailed(tx: Tx, message_id: UUID, message: GivenUp) -> bool:
    """Whether a text message about an order goes to the second contact of its buyer now, as it does once."""
    if message.medium != MessageMedium.SMS or message.order_id is None:
        return False
    second = await second_contacts.of_order(tx, message.order_id)
    if second is None:
        return False
    if await messages.mail_instead(tx, message_id, second):
        await history.record(tx, Happened("order", message.order_id, "order.text_failed", note=second.masked))
    return True


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
