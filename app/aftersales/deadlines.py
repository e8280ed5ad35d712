"""Deadlines of cases: what is overdue stands first in the queue, and whoever answers buyers is told once for each state it is overdue in."""

from __future__ import annotations

from uuid import UUID

from app.integrations.alerts import Raised, Readers, raise_alert
from app.kernel import clock, history
from app.kernel.history import Happened
from app.kernel.tasks import Lane, add_task
from tenants.session import Tx


async def watch(tx: Tx, case_id: UUID, readers: Readers) -> None:
    """Tell that a case is overdue, once; look again when it has time left. Idempotent."""
    row = await tx.fetchrow(_WATCHED, case_id)
    if row is None or row["due_at"] is None or row["overdue_told_at"] is not None:
        return
    if row["due_at"] > clock.now():
        await add_task(tx, "aftersales.watch", lane=Lane.MESSAGES, subject_id=case_id, run_at=row["due_at"])
        return
    await tx.execute("update after_sale_case set overdue_told_at = now() where id = $1", case_id)
    await history.record(tx, Happened("after_sale", case_id, "after_sale.overdue"))
    product = f"{row['product_name']} {row['sku_name']}"
    facts = {"case_no": row["case_no"], "product": product, "path": f"/after-sales/{row['case_no']}"}
    await raise_alert(tx, Raised("after_sale_overdue", f"overdue:{case_id}:{row['due_at']}", facts), readers)


_WATCHED = """
select c.case_no, c.state, c.due_at, c.overdue_told_at, l.product_name, l.sku_name
from after_sale_case c join order_line l on l.id = c.order_line_id
where c.id = $1
for update of c
"""
