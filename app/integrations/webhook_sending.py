"""Telling endpoints what waits for them: some calls at once, tried again for three days, and a person told when one stays untaken.

No call runs inside a transaction. An event is told at least once, each time under the same id: a worker that dies between a call and its record tells it again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

import asyncpg

from app.integrations import webhook_calls, webhooks
from app.integrations.alerts import Raised, Readers, raise_alert
from app.integrations.webhook_calls import Delivered, Gone, Refused, Told
from app.kernel import clock, http
from app.kernel.tasks import Lane, add_task
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

DELAYS_S: Final = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400)
"""Between one try and the next: 75 hours in all, so that a receiver that is down for three days misses nothing."""
_MOST_WAIT_S: Final = 86_400
_AT_ONCE: Final = 8
_A_TURN: Final = 4
_TOLD_AFTER: Final = 4
"""Tries after which the merchant's people hear of it: half an hour."""
_READ_S, _TOTAL_S = 15.0, 20.0
_LEASE_S: Final = 60
"""How long a call that is under way is nobody else's."""


@dataclass(frozen=True, slots=True)
class _Outgoing:
    """One event for one endpoint, ready to be sent."""

    row: asyncpg.Record
    call: http.Call


async def tell(tenant: Tenant, endpoint_id: UUID) -> None:
    """Send what is due for an endpoint, the oldest first, and come back by task for the rest."""
    for _ in range(_A_TURN):
        async with tenant_tx(tenant) as tx:
            outgoing = await _take(tx, endpoint_id)
        if not outgoing:
            return
        told = await asyncio.gather(*(_send(one.call) for one in outgoing))
        async with tenant_tx(tenant) as tx:
            await _note(tx, endpoint_id, list(zip(outgoing, told, strict=True)))
    async with tenant_tx(tenant) as tx:
        await add_task(tx, "integrations.tell_webhook", lane=Lane.MESSAGES, subject_id=endpoint_id)


async def tell_failed(tx: Tx, endpoint_id: UUID, readers: Readers) -> None:
    """Tell the merchant's people, once a day, that an endpoint takes nothing."""
    row = await tx.fetchrow("select name, is_on from webhook_endpoint where id = $1", endpoint_id)
    if row is not None:
        key = f"webhook_failing:{endpoint_id}:{clock.business_day().isoformat()}"
        params = {"name": row["name"], "path": f"/settings/webhooks/{endpoint_id}"}
        await raise_alert(tx, Raised("webhook_failing", key, params), readers)


async def _take(tx: Tx, endpoint_id: UUID) -> list[_Outgoing]:
    """What is sent now, counted as tried; nothing while the endpoint is off. When none is due yet, the task comes back when one is."""
    endpoint = await tx.fetchrow("select url, is_on from webhook_endpoint where id = $1 for no key update", endpoint_id)
    if endpoint is None or not endpoint["is_on"]:
        return []
    rows = await tx.fetch(_DUE, endpoint_id, _AT_ONCE, clock.now() + timedelta(seconds=_LEASE_S))
    if not rows:
        next_at = await tx.fetchval(
            "select min(due_at) from webhook_delivery where endpoint_id = $1 and state = 'waiting'", endpoint_id
        )
        if next_at is not None:
            await add_task(tx, "integrations.tell_webhook", lane=Lane.MESSAGES, subject_id=endpoint_id, run_at=next_at)
        return []
    signing, at = await webhooks.signing_secrets(tx, endpoint_id), clock.now()
    return [_Outgoing(row, webhook_calls.call(endpoint["url"], signing, row["event_id"], row["body"], at)) for row in rows]


async def _send(call: http.Call) -> tuple[Told, int | None]:
    """What a call came to, and the status where there was an answer."""
    try:
        answer = await http.shared().send(call, read_s=_READ_S, total_s=_TOTAL_S)
    except http.CallFailed as error:
        return Refused(error.reason), None
    return webhook_calls.read(answer), answer.status


async def _note(tx: Tx, endpoint_id: UUID, sent: Sequence[tuple[_Outgoing, tuple[Told, int | None]]]) -> None:
    for one, (told, status) in sent:
        match told:
            case Delivered():
                await tx.execute(_DELIVERED, one.row["id"], status)
            case Refused(says, after_s) if one.row["times_tried"] <= len(DELAYS_S):
                wait_s = max(DELAYS_S[one.row["times_tried"] - 1], min(after_s or 0, _MOST_WAIT_S))
                await tx.execute(_LATER, one.row["id"], status, says[:300], clock.now() + timedelta(seconds=wait_s))
            case Refused(says):
                await tx.execute(_FAILED, one.row["id"], status, says[:300])
            case Gone():
                await tx.execute(_FAILED, one.row["id"], status, "answered 410: it wants nothing any more")
                await tx.execute("update webhook_endpoint set is_on = false, updated_at = now() where id = $1", endpoint_id)
    if any(_is_to_be_told(one, told) for one, (told, _) in sent):
        await add_task(tx, "integrations.webhook_failed", lane=Lane.MESSAGES, subject_id=endpoint_id)


def _is_to_be_told(one: _Outgoing, told: Told) -> bool:
    return isinstance(told, Gone) or (isinstance(told, Refused) and one.row["times_tried"] in (_TOLD_AFTER, len(DELAYS_S) + 1))


_DUE = """
update webhook_delivery d set times_tried = d.times_tried + 1, due_at = $3, updated_at = now()
from webhook_event v
where v.id = d.event_id and d.id = any(array(
  select id from webhook_delivery where endpoint_id = $1 and state = 'waiting' and due_at <= now() order by due_at, id limit $2
))
returning d.id, d.event_id, d.times_tried, v.body
"""
_DELIVERED = """
update webhook_delivery set state = 'delivered', last_status = $2, last_error = '', delivered_at = now(), updated_at = now() where id = $1
"""
_LATER = "update webhook_delivery set last_status = $2, last_error = $3, due_at = $4, updated_at = now() where id = $1 and state = 'waiting'"
_FAILED = """
update webhook_delivery set state = 'failed', last_status = $2, last_error = $3, updated_at = now() where id = $1 and state = 'waiting'
"""
