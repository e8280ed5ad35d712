"""Robots of group chats: writing one down, telling it of alerts under its company's limit, trying it out.

No call runs inside a transaction. A message is handed over at least once: a worker that dies between the call and its record sends it again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.integrations import robot_calls, templates
from app.integrations.models import RobotCompany
from app.integrations.robot_calls import CALLS_A_MINUTE, NotNow, Refused, Said, Taken
from app.kernel import audit, clock, http, i18n
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from tenants.directory import Tenant
from tenants.session import Tx, raw, tenant_tx

MOST_ROBOTS: Final = 20
_WINDOW: Final = timedelta(seconds=60)
_DELAYS_S: Final = (5, 20, 60, 300)
_MOST_TRIES: Final = len(_DELAYS_S) + 1
_A_TURN: Final = 20
_TEST: Final = N_("This is a test: alerts will appear here.")


class RobotNameTaken(DomainError):
    message = N_("%(name)s exists already. Choose another name.")


class TooManyRobots(DomainError):
    message = N_("At most %(most)s robots. Remove one that is not needed.")


class TooManyCalls(DomainError):
    status = 429
    message = N_("This group had %(most)s messages within a minute, which is all its company takes. Try again in a minute.")


@dataclass(frozen=True, slots=True)
class RobotTerms:
    """A robot as its form gives it. An empty address or secret of a robot that exists keeps what it had."""

    company: RobotCompany
    name: str
    address: str
    secret: str
    locale: str
    events: tuple[str, ...]

    def __repr__(self) -> str:
        return f"RobotTerms({self.name})"


async def all_robots(tx: Tx) -> list[asyncpg.Record]:
    """Every robot with what became of its last messages."""
    return await tx.fetch(_ALL, MOST_ROBOTS)


async def robot_or_404(tx: Tx, robot_id: UUID) -> asyncpg.Record:
    """Raises: NotFound."""
    row = await tx.fetchrow("select id, company, name, address_masked, locale, events, is_on from robot where id = $1", robot_id)
    if row is None:
        raise NotFound
    return row


async def keep(session: AsyncSession, terms: RobotTerms, *, actor: Actor, robot_id: UUID | None = None) -> UUID:
    """Write a robot down, or change one; its id. Address and secret are sealed. Raises: RobotNameTaken, TooManyRobots, NotFound."""
    tx = await raw(session)
    if await tx.fetchval("select 1 from robot where name = $1 and id is distinct from $2", terms.name, robot_id):
        raise RobotNameTaken(name=terms.name)
    known = await _config(tx, robot_id) if robot_id else {"address": "", "secret": ""}
    config = {"address": terms.address or known["address"], "secret": terms.secret or known["secret"]}
    if robot_id is None and await tx.fetchval("select count(*) from robot") >= MOST_ROBOTS:
        raise TooManyRobots(most=MOST_ROBOTS)
    chosen = robot_id or new_id()
    cipher = (await keyring(tx)).seal("robot", "config", chosen, json.dumps(config))
    masked = robot_calls.masked(config["address"])
    await tx.execute(_KEEP, chosen, terms.company, terms.name, cipher, masked, terms.locale, list(terms.events))
    facts = {"name": terms.name, "company": terms.company, "events": list(terms.events)}
    action = "robot.changed" if robot_id else "robot.added"
    await audit.record(session, actor, action, subject=("robot", chosen), facts=facts)
    return chosen


async def switch(tx: Tx, robot_id: UUID, *, is_on: bool, actor: Actor) -> None:
    """Let a robot be told, or not; what waits for it goes out when it is on again. Idempotent. Raises: NotFound."""
    row = await robot_or_404(tx, robot_id)
    if row["is_on"] == is_on:
        return
    await tx.execute("update robot set is_on = $2, updated_at = now() where id = $1", robot_id, is_on)
    await audit.record(tx, actor, "robot.on" if is_on else "robot.off", subject=("robot", robot_id), facts={"name": row["name"]})
    await add_task(tx, "integrations.tell_robot", lane=Lane.MESSAGES, subject_id=robot_id)


async def remove(tx: Tx, robot_id: UUID, *, actor: Actor) -> None:
    """Forget a robot, its address and what waits for it. Raises: NotFound."""
    row = await robot_or_404(tx, robot_id)
    await tx.execute("delete from robot where id = $1", robot_id)
    await audit.record(tx, actor, "robot.removed", subject=("robot", robot_id), facts={"name": row["name"]})


async def try_out(tenant: Tenant, robot_id: UUID) -> Said:
    """Say a test sentence in the group, at once. The call counts towards the limit. Raises: NotFound, TooManyCalls."""
    async with tenant_tx(tenant) as tx:
        row = await _lock(tx, robot_id)
        if row is None:
            raise NotFound
        if _free_at(row["called_at"]):
            raise TooManyCalls(most=CALLS_A_MINUTE)
        await _note_call(tx, row)
        robot = await _open(tx, row)
    with i18n.speaking(row["locale"]):
        text = f"【{tenant.name}】{i18n.gettext(_TEST)}"
    return await _say(robot, text)


async def tell(tenant: Tenant, robot_id: UUID) -> None:
    """Hand over what waits for a robot, oldest first, one call after another, at most so many a minute. Comes back by task for the rest."""
    for _ in range(_A_TURN):
        async with tenant_tx(tenant) as tx:
            row = await _next(tx, robot_id)
            if row is None:
                return
            robot = await _open(tx, row)
            title, lines, url = await templates.spoken(tx, row["template"], row["spoken_in"], json.loads(row["params"]))
        text = "\n".join([f"【{tenant.name}】{title}", *lines, *([url] if url else [])])
        said = await _say(robot, text)
        async with tenant_tx(tenant) as tx:
            await _note(tx, row, said)
    async with tenant_tx(tenant) as tx:
        await add_task(tx, "integrations.tell_robot", lane=Lane.MESSAGES, subject_id=robot_id)


async def _next(tx: Tx, robot_id: UUID) -> asyncpg.Record | None:
    """The message to send now, its call counted; None when none is due, and then the task comes back when one is."""
    row = await _lock(tx, robot_id)
    if row is None or not row["is_on"]:
        return None
    message = await tx.fetchrow(_OLDEST, robot_id)
    if message is None:
        return None
    later = max(
        filter(None, (_free_at(row["called_at"]), message["due_at"] if message["due_at"] > clock.now() else None)), default=None
    )
    if later:
        await add_task(tx, "integrations.tell_robot", lane=Lane.MESSAGES, subject_id=robot_id, run_at=later)
        return None
    await _note_call(tx, row)
    await tx.execute(
        "update robot_message set times_tried = times_tried + 1, updated_at = now() where id = $1", message["message_id"]
    )
    return message


def _free_at(called_at: list[datetime]) -> datetime | None:
    """When the next call is allowed; None for now."""
    recent = [at for at in called_at if at > clock.now() - _WINDOW]
    return recent[-CALLS_A_MINUTE] + _WINDOW if len(recent) >= CALLS_A_MINUTE else None


async def _note_call(tx: Tx, row: asyncpg.Record) -> None:
    called = [*row["called_at"], clock.now()][-CALLS_A_MINUTE:]
    await tx.execute("update robot set called_at = $2 where id = $1", row["id"], called)


async def _note(tx: Tx, row: asyncpg.Record, said: Said) -> None:
    match said:
        case Taken():
            await tx.execute(_SENT, row["message_id"])
        case NotNow(says) if row["times_tried"] + 1 < _MOST_TRIES:
            due = clock.now() + timedelta(seconds=_DELAYS_S[min(row["times_tried"], len(_DELAYS_S) - 1)])
            await tx.execute(_LATER, row["message_id"], due, says[:300])
        case NotNow(says) | Refused(says):
            await tx.execute(_FAILED, row["message_id"], says[:300])


async def _say(robot: robot_calls.Robot, text: str) -> Said:
    try:
        answer = await http.shared().send(robot_calls.call(robot, text, clock.now()), total_s=10)
    except http.ForbiddenDestination as error:
        return Refused(error.reason)
    except http.CallFailed as error:
        return NotNow(error.reason)
    return robot_calls.read(robot.company, answer)


async def _lock(tx: Tx, robot_id: UUID) -> asyncpg.Record | None:
    return await tx.fetchrow("select id, company, config, locale, is_on, called_at from robot where id = $1 for update", robot_id)


async def _open(tx: Tx, row: asyncpg.Record) -> robot_calls.Robot:
    config = json.loads((await keyring(tx)).open("robot", "config", row["id"], row["config"]).reveal())
    return robot_calls.Robot(RobotCompany(row["company"]), config["address"], config["secret"])


async def _config(tx: Tx, robot_id: UUID) -> dict[str, Any]:
    row = await _lock(tx, robot_id)
    if row is None:
        raise NotFound
    found: dict[str, Any] = json.loads((await keyring(tx)).open("robot", "config", row["id"], row["config"]).reveal())
    return found


_ALL = """
select r.id, r.company, r.name, r.address_masked, r.is_on, r.events, m.waiting, m.failed, m.sent_at, f.last_error, f.failed_at
from robot r
cross join lateral (
  select (count(*) filter (where state = 'waiting'))::int as waiting, (count(*) filter (where state = 'failed'))::int as failed, max(sent_at) as sent_at
  from robot_message where robot_id = r.id
) m
left join lateral (
  select last_error, updated_at as failed_at from robot_message
  where robot_id = r.id and last_error <> '' order by updated_at desc limit 1
) f on true
order by r.name
limit $1
"""
_KEEP = """
insert into robot (id, company, name, config, address_masked, locale, events) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (id) do update
set name = excluded.name, config = excluded.config, address_masked = excluded.address_masked, locale = excluded.locale, events = excluded.events,
    updated_at = now()
"""
_OLDEST = """
select m.id as message_id, m.due_at, m.times_tried, a.template, a.params, r.id, r.company, r.config, r.locale as spoken_in
from robot_message m join alert a on a.id = m.alert_id join robot r on r.id = m.robot_id
where m.robot_id = $1 and m.state = 'waiting'
order by m.due_at, m.id
limit 1
"""
_SENT = "update robot_message set state = 'sent', sent_at = now(), last_error = '', updated_at = now() where id = $1"
_LATER = "update robot_message set due_at = $2, last_error = $3, updated_at = now() where id = $1"
_FAILED = "update robot_message set state = 'failed', last_error = $2, updated_at = now() where id = $1"
