"""Telling the merchant's people what they should know: in the app, by mail and to their group chats, each alert once.

An alert's key names what happened, so whoever raises it again, after a crash or twice at once, tells nobody twice.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.integrations import templates
from app.integrations.service import Message, queue_messages
from app.kernel import clock
from app.kernel.errors import N_
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_tasks
from tenants.session import Tx

Readers = Sequence[tuple[str, str]]
"""Addresses and locales."""

EVENTS: Mapping[str, tuple[str, str]] = {
    "supplier_failing": (N_("A supplier fails and is not bought from"), "bad"),
    "supplier_back": (N_("A supplier is back"), "ok"),
    "supply_brown_out": (N_("A supplier answers badly for one of your goods"), "warn"),
    "sku_delisted": (N_("A product left the shelf"), "bad"),
    "sku_relisted": (N_("A product is on the shelf again"), "ok"),
    "offer_too_dear": (N_("An offer costs more than your least margin allows"), "warn"),
    "supplier_balance_low": (N_("A balance is under the line you drew"), "warn"),
    "supplier_balance_ending": (N_("A balance will run out soon"), "warn"),
    "supplier_bill_closed": (N_("A supplier's bill closed"), "info"),
    "stock_low": (N_("Card-keys are running low"), "warn"),
    "replenishment_answered": (N_("A supplier answered a replenishment"), "info"),
    "replenishment_sent": (N_("A supplier sent goods"), "info"),
    "replenishment_file": (N_("A supplier's keys wait to be looked at"), "warn"),
    "replenishment_message": (N_("A supplier has written"), "info"),
    "unit_undelivered": (N_("Something paid could not be delivered and is paid back"), "bad"),
    "cycle_missed": (N_("A cycle of a subscription could not be delivered"), "bad"),
    "handover_overdue": (N_("Paid goods wait for somebody to hand them over"), "bad"),
    "failure_rate_high": (N_("Too much of what was delivered fails"), "bad"),
    "after_sale_overdue": (N_("A buyer's case waits too long"), "bad"),
    "webhook_failing": (N_("A webhook takes nothing"), "bad"),
}
"""What alerts are about, by template: the words a merchant chooses by, and the tone."""
PAGE = 50
MOST_UNREAD = 100
_KEPT = timedelta(days=180)


@dataclass(frozen=True, slots=True)
class Raised:
    """Something to tell. `key` names the very event; `params` fill the template's words and hold the `path` of the page it leads to."""

    template: str
    key: str
    params: Mapping[str, Any]


async def raise_alert(tx: Tx, raised: Raised, readers: Readers) -> bool:
    """Tell the merchant's people, unless they were told under this key; whether it was new.

    Idempotent: the alert, its mails and its robots' messages are written in one transaction, or none is.
    """
    assert raised.template in EVENTS, raised.template
    alert_id = new_id()
    params = json.dumps(dict(raised.params))
    if await tx.fetchval(_INSERT, alert_id, raised.key, raised.template, params) is None:
        return False
    await queue_messages(tx, [Message(raised.template, ("email", to), locale, raised.params) for to, locale in readers])
    robots = [row["id"] for row in await tx.fetch(_LISTENING, raised.template)]
    await tx.executemany(_FOR_ROBOT, [(new_id(), robot_id, alert_id) for robot_id in robots])
    await add_tasks(tx, "integrations.tell_robot", lane=Lane.MESSAGES, subject_ids=robots)
    return True


async def told(tx: Tx, keys: Sequence[str]) -> set[str]:
    """Which of these alerts were raised already."""
    return {row["key"] for row in await tx.fetch("select key from alert where key = any($1)", list(keys))}


async def newest(tx: Tx, *, before: UUID | None = None) -> list[asyncpg.Record]:
    """A page of alerts and one more, newest first, older than the one named."""
    return await tx.fetch(_NEWEST, before, PAGE + 1)


async def unread(tx: Tx, user_id: UUID) -> int:
    """How many alerts somebody has not read; counted up to `MOST_UNREAD`."""
    return int(await tx.fetchval(_UNREAD, user_id, MOST_UNREAD))


async def read_until(tx: Tx, user_id: UUID) -> Any:
    """The instant until which somebody has read; None for nothing yet."""
    return await tx.fetchval("select read_until from alert_reader where user_id = $1", user_id)


async def mark_read(tx: Tx, user_id: UUID, alert_id: UUID) -> None:
    """Somebody has read the alerts up to this one. Idempotent; never goes back."""
    await tx.execute(_READ, user_id, alert_id)


async def forget(tx: Tx) -> int:
    """Drop alerts of half a year ago, which no robot waits for any more; how many."""
    return await tx.execute(_FORGET, clock.now() - _KEPT)


def words_of(row: asyncpg.Record) -> tuple[str, list[str], dict[str, Any]]:
    """An alert's title and lines in the language spoken this moment, and its params."""
    params = json.loads(row["params"]) if isinstance(row["params"], str) else dict(row["params"])
    title, lines = templates.words(row["template"], params)
    return title, lines, params


_INSERT = """
insert into alert (id, key, template, params) values ($1, $2, $3, $4::jsonb) on conflict (key) do nothing returning id
"""
_LISTENING = "select id from robot where is_on and $1 = any(events) order by id limit 20"
_FOR_ROBOT = """
insert into robot_message (id, robot_id, alert_id) values ($1, $2, $3) on conflict do nothing
"""
_NEWEST = """
select id, template, params, created_at from alert
where $1::uuid is null or (created_at, id) < (select created_at, id from alert where id = $1)
order by created_at desc, id desc
limit $2
"""
_UNREAD = """
select count(*) from (
  select 1 from alert where created_at > coalesce((select read_until from alert_reader where user_id = $1), '-infinity') limit $2
) x
"""
_READ = """
insert into alert_reader (user_id, read_until) select $1, created_at from alert where id = $2
on conflict (user_id) do update set read_until = greatest(alert_reader.read_until, excluded.read_until)
"""
_FORGET = """
with old as (
  select a.id from alert a
  where a.created_at < $1 and not exists (select 1 from robot_message m where m.alert_id = a.id and m.state = 'waiting')
  order by a.created_at limit 1000
), told as (
  delete from robot_message where alert_id in (select id from old)
)
delete from alert where id in (select id from old)
"""
