"""Having a supplier's interface asked for its statement, day after day, where it offers one."""

from __future__ import annotations

from datetime import date, timedelta
from uuid import UUID

from app.kernel import clock
from app.kernel.errors import N_, DomainError
from app.kernel.tasks import Lane, add_task
from app.settlement import importing
from app.suppliers.connectors import CONNECTORS
from app.suppliers.connectors.port import Ability
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_LOOKS_BACK_DAYS = 7
_AFTER_MIDNIGHT = timedelta(hours=6)


class NoStatements(DomainError):
    message = N_("This supplier's interface tells no statements. Import its file instead.")


def offers_statements(connector: str) -> bool:
    """Whether a protocol tells statements."""
    return connector in CONNECTORS and Ability.STATEMENT in CONNECTORS[connector].traits.abilities


async def start(tx: Tx, connection_id: UUID, connector: str) -> None:
    """Have the statement of the last whole day fetched now, and from then on each day. Idempotent. Raises: NoStatements."""
    if not offers_statements(connector):
        raise NoStatements
    await add_task(tx, "settlement.fetch", lane=Lane.BULK, subject_id=connection_id)


async def fetch_due(tenant: Tenant, connection_id: UUID) -> None:
    """Fetch every day not fetched yet, a week back at most, to yesterday; and come back tomorrow. Idempotent. Raises: NotTold."""
    yesterday = clock.business_day() - timedelta(days=1)
    async with tenant_tx(tenant) as tx:
        last = await tx.fetchval(_LAST, connection_id)
    for day in _days(last, yesterday):
        if await importing.fetch(tenant, connection_id, day) is None:
            return
    due = clock.day_starts(yesterday + timedelta(days=2)) + _AFTER_MIDNIGHT
    async with tenant_tx(tenant) as tx:
        await add_task(tx, "settlement.fetch", lane=Lane.BULK, subject_id=connection_id, run_at=due)


def _days(last: date | None, yesterday: date) -> list[date]:
    first = yesterday if last is None else max(last + timedelta(days=1), yesterday - timedelta(days=_LOOKS_BACK_DAYS - 1))
    return [first + timedelta(days=number) for number in range((yesterday - first).days + 1)]


_LAST = "select max(last_day) from supplier_statement where connection_id = $1 and file_name = ''"
