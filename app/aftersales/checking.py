"""Asking the supplier about a purchase that a buyer says is no good. No protocol we speak takes complaints, so it is asked what became of the purchase.

What the supplier told of its use counts more than the answer: it is the later word.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

from app.aftersales import reporting
from app.aftersales import service as cases
from app.aftersales.models import AfterSaleState, Verdict
from app.fulfillment import told_uses
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.errors import NotFound
from app.kernel.tasks import Lane, add_task
from app.suppliers.connecting import connection_of
from app.suppliers.connectors.port import Accepted, Asked, Delivered, Found, NoSuchPurchase, Rejected, Unknown
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_ASK_S = 30
_DELAYS_S = (10, 60, 300)
"""A supplier that cannot say is asked so often again; then a person looks."""


async def check(tenant: Tenant, case_id: UUID) -> None:
    """Ask what became of a case's purchase, write the answer down, and go on with the case. Idempotent: a case that went on is left alone.

    The call runs in no transaction.
    """
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(_PURCHASE, case_id)
        if row is None:
            return
        connection = await connection_of(tx, row["connection_id"])
    try:
        async with asyncio.timeout(_ASK_S):
            found: Found = await connection.connector.query(Asked(row["out_no"], row["supplier_ref"], row["sent_at"]))
    except TimeoutError:
        found = Unknown("the question took too long")
    async with tenant_tx(tenant) as tx:
        await _go_on(tx, case_id, found)


async def ask_again(tx: Tx, case_id: UUID, *, actor: Actor) -> None:
    """Have the supplier asked once more, because a person wants to know. Locks: the case. Raises: NotFound for goods of our own, CaseOver."""
    case = await cases.lock_case(tx, case_id)
    if case["attempt_id"] is None:
        raise NotFound
    if case["state"] == AfterSaleState.AWAITING_STAFF:
        await cases.move(tx, case, AfterSaleState.CHECKING_WITH_SUPPLIER, actor=actor)
        await tx.execute("update after_sale_case set times_checked = 0 where id = $1", case_id)
    elif case["state"] != AfterSaleState.CHECKING_WITH_SUPPLIER:
        raise cases.CaseOver
    await add_task(tx, "aftersales.check", lane=Lane.SUPPLY, subject_id=case_id)


async def _go_on(tx: Tx, case_id: UUID, found: Found) -> None:
    case = await cases.lock_case(tx, case_id)
    if case["state"] != AfterSaleState.CHECKING_WITH_SUPPLIER:
        return
    verdict, evidence = _read(found)
    if used_at := await told_uses.last_of(tx, case["attempt_id"]):
        verdict = Verdict.USED if used_at >= case["delivered_at"] else Verdict.USED_BEFORE
    await tx.execute(_CHECKED, case_id, verdict, evidence[:500])
    if verdict is Verdict.UNKNOWN and case["times_checked"] < len(_DELAYS_S):
        due = clock.now() + timedelta(seconds=_DELAYS_S[case["times_checked"]])
        await add_task(tx, "aftersales.check", lane=Lane.SUPPLY, subject_id=case_id, run_at=due)
        return
    await reporting.settle(tx, case, verdict)


def _read(found: Found) -> tuple[Verdict, str]:
    match found:
        case Delivered(evidence=evidence):
            return Verdict.DELIVERED, evidence
        case Rejected(says=says, evidence=evidence):
            return Verdict.DENIED, evidence or says
        case NoSuchPurchase(evidence):
            return Verdict.DENIED, evidence
        case Accepted(evidence=evidence):
            return Verdict.UNKNOWN, evidence
        case Unknown(says=says, evidence=evidence):
            return Verdict.UNKNOWN, evidence or says


_PURCHASE = """
select a.out_no, a.supplier_ref, a.sent_at, a.connection_id
from after_sale_case c join attempt a on a.id = c.attempt_id
where c.id = $1 and c.state = 'checking_with_supplier'
"""
_CHECKED = "update after_sale_case set verdict = $2, evidence = $3, times_checked = times_checked + 1 where id = $1"
