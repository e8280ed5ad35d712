"""What operators do once the faults are over, so that nothing waits for its own time: breakers put back, catalogs read, open purchases asked about."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from app.kernel.errors import DomainError
from app.kernel.tasks import Lane, add_task
from app.suppliers import health
from tenants.session import tenant_tx
from torture import purchases
from torture.companies import PROMISING, Companies
from torture.staff import MERCHANT
from torture.stage import Merchant

_EVERY_S = 3.0
_MOST = 500


async def tend(merchants: Sequence[Merchant], companies: Companies) -> None:
    """Runs until it is cancelled. What was sent and is not decided is taken to have been sent longer ago than any grace: no company has a call left
    that could still take effect, because no attempt is being sent.
    """
    for merchant in merchants:
        async with tenant_tx(merchant.tenant) as tx:
            for account in merchant.accounts:
                await add_task(tx, "suppliers.sync", lane=Lane.BULK, subject_id=account.connection_id)
    while True:
        for merchant in merchants:
            await _restore(merchant)
            await _ask(merchant)
            await _have_told_again(merchant, companies)
        await asyncio.sleep(_EVERY_S)


async def _restore(merchant: Merchant) -> None:
    async with tenant_tx(merchant.tenant) as tx:
        for row in await tx.fetch("select id from supplier_connection where breaker <> 'closed'"):
            await health.restore(tx, row["id"], actor=MERCHANT)


async def _ask(merchant: Merchant) -> None:
    async with tenant_tx(merchant.tenant) as tx:
        is_sending = await tx.fetchval("select exists (select 1 from attempt where state in ('planned', 'sending'))")
    if is_sending:
        return
    for purchase in await purchases.undecided(merchant, [one.connection_id for one in merchant.accounts], most=_MOST):
        with suppress(DomainError):  # its answer came meanwhile
            await purchases.ask(merchant, purchase, long_after=True)


async def _have_told_again(merchant: Merchant, companies: Companies) -> None:
    """The company that sends notices tells once more of what we gave up: it may have sold it."""
    for account in merchant.accounts:
        if account.protocol == PROMISING:
            async with tenant_tx(merchant.tenant) as tx:
                rows = await tx.fetch(_GIVEN_UP, account.connection_id, _MOST)
            for row in rows:
                await companies.tell_again(PROMISING, row["out_no"])


_GIVEN_UP = """
select out_no from attempt where connection_id = $1 and state = 'failed' and times_sent > 0 order by id limit $2
"""
