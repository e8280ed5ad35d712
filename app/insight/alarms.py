"""Alarms: a standing rule that does not hold is written down, told to the operators, and closed by itself when the rule holds again.

A tenant whose operator wants it so stops selling meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from app.access import messages as access_messages
from app.insight.invariants import Breach, breaches, platform_breaches
from app.integrations import service as integrations
from app.integrations.service import Message
from app.kernel import history, links
from app.kernel.contact import EMAIL
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.kernel.metrics import ALARMS
from tenants import operating
from tenants.directory import PLATFORM, Tenant
from tenants.session import Tx, tenant_tx

_SHOWN = 100


async def look_at(home: Tenant) -> list[Breach]:
    """Ask one home what must always hold, and set its alarms by the answer. Idempotent; what does not hold now."""
    async with tenant_tx(home) as tx:
        found = await (platform_breaches if home == PLATFORM else breaches)(tx, again=True)
    async with tenant_tx(PLATFORM) as tx:
        opened = [breach for breach in found if await _open(tx, home, breach)]
        await tx.execute(_CLOSE, home.id, [breach.number for breach in found])
        await _tell_operators(tx, home, opened)
        if home != PLATFORM:
            await _turn_sales(tx, home, found)
    return found


async def _open(tx: Tx, home: Tenant, breach: Breach) -> bool:
    """Whether this is news."""
    return bool(await tx.fetchval(_OPEN, new_id(), home.id, breach.number, breach.says, ", ".join(breach.rows)[:2000]))


async def _tell_operators(tx: Tx, home: Tenant, opened: Sequence[Breach]) -> None:
    if not opened:
        return
    params = {
        "home": home.name,
        "rules": "; ".join(f"{breach.number} {breach.says}" for breach in opened),
        "url": links.app("/console/health"),
    }
    operators = await access_messages.operators(tx)
    await integrations.queue_messages(
        tx, [Message("rule_broken", (EMAIL, person["email"]), person["locale"], params) for person in operators]
    )


async def _turn_sales(tx: Tx, home: Tenant, found: Sequence[Breach]) -> None:
    """Stop or start the sales of a tenant whose operator wants them to stand still while a rule does not hold."""
    if await operating.set_paused(tx, home, is_paused=bool(found)):
        event = "tenant.sales_paused" if found else "tenant.sales_resumed"
        note = ", ".join(breach.number for breach in found)
        await history.record(tx, Happened("tenant", home.id, event, note=note))


async def forget(tx: Tx, home_id: UUID) -> None:
    """A home is no more, so nothing of it is alarming. Idempotent."""
    await tx.execute("delete from alarm where home_id = $1", home_id)


async def count() -> None:
    """Set the figure of open alarms by rule, for Prometheus."""
    async with tenant_tx(PLATFORM) as tx:
        rows = await tx.fetch("select rule, count(*) filter (where closed_at is null) as open from alarm group by rule")
    for row in rows:
        ALARMS.labels(row["rule"]).set(row["open"])


async def recent(tx: Tx) -> list[asyncpg.Record]:
    """Open alarms, then those that closed, newest first, with the tenants' names."""
    return await tx.fetch(_RECENT, _SHOWN)


_OPEN = """
insert into alarm (id, home_id, rule, says, shown) values ($1, $2, $3, $4, $5)
on conflict (home_id, rule) where closed_at is null do update set seen_at = now(), shown = excluded.shown
returning id = $1
"""
_CLOSE = "update alarm set closed_at = now() where home_id = $1 and closed_at is null and rule <> all($2::text[])"
_RECENT = """
select a.home_id, a.rule, a.says, a.shown, a.opened_at, a.seen_at, a.closed_at, t.slug, t.name
from alarm a left join tenant t on t.id = a.home_id
order by a.closed_at is null desc, a.opened_at desc
limit $1
"""
