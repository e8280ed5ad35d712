"""What a task leaves behind when its tries are used up: where it was about a sale, a case that a person sees."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from tenants.directory import PLATFORM
from tenants.session import Tx


async def leave_case(tx: Tx, kind: str, subject_id: UUID | None, problem: str) -> None:
    """Open a case for an order, payment, refund or purchase whose work was given up. Other subjects, and the platform's own work, leave none."""
    if subject_id is None or tx.tenant == PLATFORM:
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
