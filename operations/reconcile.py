"""`./quanyi reconcile [--tenant T]`: after a restore, compare a tenant, or each that was restored, with its gateways and let it sell and send again.

Each payment and refund is asked about; money the gateway took is booked, every difference is listed. What was to be delivered, refunded or mailed
waits on the console's page Tasks until a person has it tried again, and free card-keys go into quarantine: after the backup they may have been
handed out. Say --keys-unsold if nothing was sold since the backup. While a gateway does not answer nothing is let go: run this again.
"""

import argparse
import asyncio
import json
from typing import Any

from app.inventory import quarantining
from app.kernel import audit, history
from app.kernel.actor import SYSTEM
from app.kernel.history import Happened
from app.kernel.tasks import leave_to_a_person
from app.payments.reconciling import Difference, compare
from operations.homes import tenants_named, visiting
from operations.restore import OUTWARD, WHY
from operations.trouble import Trouble
from tenants import operating
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_session, tenant_tx
from workers.failing import leave_cases


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="./quanyi reconcile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tenant", default="", help="one tenant alone, by its address")
    parser.add_argument(
        "--keys-unsold", action="store_true", help="nothing was sold since the backup: leave the free keys on the shelf"
    )
    options = parser.parse_args(arguments)
    return asyncio.run(_reconcile(options.tenant, keys_unsold=options.keys_unsold))


async def _reconcile(slug: str, *, keys_unsold: bool) -> int:
    async with visiting():
        tenants = [tenant for tenant in await tenants_named(slug) if slug or tenant.is_reconciling]
        found = [(tenant, one) for tenant in tenants for one in await reconcile(tenant, keys_unsold=keys_unsold)]
    for tenant, one in found:
        print(f"{tenant.slug}: {one.number}: here {one.ours}, at the gateway {one.theirs}")
    unanswered = sum(one.is_open for _, one in found)
    answer = {
        "reconcile": "blocked" if unanswered else "ok",
        "tenants": len(tenants),
        "differences": len(found),
        "unanswered": unanswered,
    }
    print(json.dumps(answer))
    return 1 if unanswered else 0


async def reconcile(tenant: Tenant, *, keys_unsold: bool = False) -> list[Difference]:
    """Compare, set aside what may have been done, and lift the block unless a question stayed open. Idempotent. Raises: Trouble."""
    if not tenant.is_reconciling:
        raise Trouble(f"{tenant.slug} was not restored, or is reconciled already: there is nothing to do.")
    differences = [difference async for difference in compare(tenant)]
    if any(difference.is_open for difference in differences):
        return differences
    quarantined = 0 if keys_unsold else await _quarantine_free_keys(tenant)
    async with tenant_tx(tenant) as tx:
        aside = await leave_to_a_person(tx, OUTWARD, why=WHY)
        await leave_cases(tx, OUTWARD, WHY)
    facts: dict[str, Any] = {"differences": [f"{one.number}: {one.ours}, {one.theirs}" for one in differences[:_WRITTEN_DOWN]]}
    facts |= {"batches_quarantined": quarantined, "tasks_set_aside": aside}
    await _let_go(tenant, facts)
    return differences


async def _quarantine_free_keys(tenant: Tenant) -> int:
    """Every batch with free keys; how many."""
    async with tenant_tx(tenant) as tx:
        numbers = [row["batch_no"] for row in await tx.fetch(_WITH_FREE_KEYS)]
    for number in numbers:
        async with tenant_session(tenant) as session:
            batch = await quarantining.quarantine(session, batch_no=number, reason=_REASON, actor=SYSTEM)
        await quarantining.go_on(tenant, batch.id)
    return len(numbers)


async def _let_go(tenant: Tenant, facts: dict[str, Any]) -> None:
    async with tenant_tx(tenant) as tx:
        await audit.record(tx, SYSTEM, "tenant.reconciled", subject=("tenant", tenant.id), facts=facts)
    async with tenant_tx(PLATFORM) as tx:
        await audit.record(tx, SYSTEM, "tenant.reconciled", subject=("tenant", tenant.id), facts=facts)
        await history.record(tx, Happened("tenant", tenant.id, "tenant.reconciled"))
        await operating.set_reconciled(tx, tenant)


_WRITTEN_DOWN = 200
_REASON = "Restored from a backup: after it these keys may have been handed out"
_WITH_FREE_KEYS = """
select b.batch_no from import_batch b
where b.state = 'imported' and exists (select 1 from card_key k where k.batch_id = b.id and k.state = 'free')
order by b.created_at
"""
