"""Uses of goods we bought, as their suppliers tell of them: each written down once, shown with its order, and told to the merchant's systems.

A message is only taken here once its signature is known to be right. It moves no money and delivers nothing: it is what people and the rules of
after-sales know of a unit. The newest by its own time counts, in whatever order messages come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import asyncpg
import structlog

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.fulfillment import attempts
from app.fulfillment.models import AttemptState
from app.integrations import webhooks
from app.integrations.models import WebhookTopic
from app.kernel import clock, history
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.suppliers.connecting import connection_of
from app.suppliers.connectors.port import Ability, IncompleteConnection, UseNotice
from tenants.session import Tx

MOST_OF_PURCHASE = 100
"""So many messages about one purchase are kept; nothing bought has more uses, so what comes beyond is acknowledged and left."""
_log = structlog.get_logger(__name__)


async def take(tx: Tx, connection_id: UUID, notice: UseNotice) -> None:
    """Write a genuine notice down, have its order, its people and the merchant's systems know. A number that is not this connection's changes nothing.

    What was undecided is asked about, for a use says that it was delivered. Goods that were replaced or given back, and are used nevertheless, are a
    case. Idempotent: an event that was taken before changes nothing. Locks: the attempt.
    """
    row = await tx.fetchrow(_ATTEMPT, notice.out_no, connection_id, notice.supplier_ref)
    if row is None:
        return
    if row["told"] >= MOST_OF_PURCHASE:
        _log.warning("told_use.too_many", attempt=str(row["id"]))
        return
    use_id, used_at = new_id(), notice.used_at or clock.now()
    values = (use_id, row["id"], connection_id, notice.event_key, notice.is_taken_back, used_at, notice.place)
    if not await tx.execute(_INSERT, *values):
        return
    facts = {"unit_no": row["unit_no"], "place": notice.place, "used_at": used_at.isoformat()}
    event = "attempt.use_taken_back" if notice.is_taken_back else "attempt.used"
    await history.record(tx, Happened("order", row["order_id"], event, note=notice.place, facts=facts))
    if row["state"] not in (AttemptState.SUCCEEDED, AttemptState.SUCCEEDED_LATE, AttemptState.REPLACED):
        await attempts.ask_now(tx, row["id"])
    elif not row["is_kept"] and not notice.is_taken_back and row["state"] != AttemptState.SUCCEEDED_LATE:
        await cases.open_case(
            tx, Trouble(CaseKind.USED_AFTERWARDS, "attempt", row["id"], row["order_id"], {**facts, "out_no": row["out_no"]})
        )
    await _tell(tx, use_id)


async def of_order(tx: Tx, order_id: UUID) -> list[asyncpg.Record]:
    """What suppliers told of an order's goods, the newest first."""
    return await tx.fetch(_OF_ORDER, order_id)


async def of_units(tx: Tx, order_id: UUID) -> dict[tuple[UUID, int], asyncpg.Record]:
    """When and where the delivered units of an order were last used, as their suppliers tell; those that were not are left out."""
    rows = await tx.fetch(_LAST, order_id, None)
    return {(row["order_line_id"], row["unit_no"]): row for row in rows if not row["is_taken_back"]}


async def are_awaited(tx: Tx, connection_ids: Iterable[UUID]) -> bool:
    """Whether one of these suppliers tells of uses by itself. One whose settings are no longer whole tells nothing."""
    for connection_id in connection_ids:
        try:
            opened = await connection_of(tx, connection_id)
        except IncompleteConnection:
            continue
        if Ability.USE_NOTICES in opened.connector.abilities:
            return True
    return False


async def last_of(tx: Tx, attempt_id: UUID) -> datetime | None:
    """When what a purchase delivered was last used, as its supplier tells; None where it was not, or where that use was taken back."""
    rows = await tx.fetch(_LAST, None, attempt_id)
    return rows[0]["used_at"] if rows and not rows[0]["is_taken_back"] else None


async def _tell(tx: Tx, use_id: UUID) -> None:
    endpoint_ids: Sequence[UUID] = await webhooks.listening(tx, WebhookTopic.REDEMPTION_TOLD)
    row = await tx.fetchrow(_TOLD, use_id) if endpoint_ids else None
    if row is None:
        return
    told = {
        "id": str(row["id"]),
        "order_no": row["order_no"],
        "product": row["product_name"],
        "sku": row["sku_name"],
        "unit_no": row["unit_no"],
        "masked": row["masked"],
        "supplier": row["who"],
        "at": row["at"].isoformat(),
        "place": row["place"],
        "is_taken_back": row["is_taken_back"],
    }
    await webhooks.publish(tx, WebhookTopic.REDEMPTION_TOLD, endpoint_ids, told)


_ATTEMPT = """
select a.id, a.order_id, a.unit_no, a.out_no, a.state,
       u.attempt_id is not distinct from a.id and u.state = 'delivered' as is_kept,
       (select count(*) from told_use t where t.attempt_id = a.id)::int as told
from attempt a
join delivery_unit u on u.order_line_id = a.order_line_id and u.unit_no = a.unit_no
where a.out_no = $1 and a.connection_id = $2 and coalesce(a.supplier_ref = $3, true)
for update of a
"""
_INSERT = """
insert into told_use (id, attempt_id, connection_id, event_key, is_taken_back, used_at, place) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (connection_id, event_key) do nothing
"""
_SHOWN = """
select t.id, t.used_at as at, t.place, t.is_taken_back, c.name as who, l.product_name, l.sku_name, a.unit_no, o.order_no,
       coalesce(k.masked, '') as masked
from told_use t
join attempt a on a.id = t.attempt_id
join supplier_connection c on c.id = t.connection_id
join order_line l on l.id = a.order_line_id
join shop_order o on o.id = a.order_id
left join delivery_unit u on u.attempt_id = a.id and u.order_line_id = a.order_line_id and u.unit_no = a.unit_no
left join card_key k on k.id = u.card_key_id
"""
_OF_ORDER = _SHOWN + "where a.order_id = $1\norder by t.used_at desc, t.id desc\nlimit 500"
_TOLD = _SHOWN + "where t.id = $1"
_LAST = """
select distinct on (t.attempt_id) a.order_line_id, a.unit_no, t.used_at, t.place, t.is_taken_back
from told_use t
join attempt a on a.id = t.attempt_id
join delivery_unit u on u.attempt_id = a.id and u.order_line_id = a.order_line_id and u.unit_no = a.unit_no
where u.state = 'delivered' and ($1::uuid is null or a.order_id = $1) and ($2::uuid is null or a.id = $2)
order by t.attempt_id, t.used_at desc, t.id desc
"""
