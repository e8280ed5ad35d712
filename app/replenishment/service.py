"""Verbs on a replenishment: asked for, confirmed or declined, sent, cancelled, closed. What brings its goods stands in `receiving`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

import asyncpg

from app.kernel import audit, history
from app.kernel.actor import SYSTEM, Actor, ActorKind
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.ids import drawn_number, new_id
from app.kernel.tasks import Lane, add_task
from app.replenishment import queries, telling
from app.replenishment.models import MOST_LINES, REPLENISHMENT_EDGES, ReplenishmentState
from tenants.session import Tx

_S = ReplenishmentState


class NothingAsked(DomainError):
    status = 422
    message = N_("Choose at least one SKU and how many units of it.")


class NoSuchGoods(DomainError):
    status = 422
    message = N_("One of the SKUs is not there any more, is not of card-keys, or is sold by face value. Choose again.")


class NothingConfirmed(DomainError):
    status = 422
    message = N_("Confirm at least one unit, or decline it.")


class AnsweredAlready(DomainError):
    message = N_("Replenishment %(no)s is no longer as this page showed it. Open it again to see how it stands.")


@dataclass(frozen=True, slots=True)
class WantedGoods:
    """So many units of a SKU, at an agreed cost of one in major units."""

    sku_id: UUID
    units: int
    unit_cost: Decimal


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a supplier. `id` makes it once, however often its form is sent; `rule_sku_id` is the SKU that asks by itself."""

    id: UUID
    supplier_id: UUID
    goods: Sequence[WantedGoods]
    wanted_on: date | None = None
    note: str = ""
    rule_sku_id: UUID | None = None


async def ask(tx: Tx, request: Request, *, actor: Actor) -> str | None:
    """Ask a supplier for goods, and mail him; its number. None where its SKU has asked by itself already and is not served yet.

    Idempotent by the request's id. Raises: NotFound, NothingAsked, NoSuchGoods.
    """
    if not 0 < len(request.goods) <= MOST_LINES:
        raise NothingAsked
    if not await tx.fetchval("select exists (select 1 from supplier where id = $1)", request.supplier_id):
        raise NotFound
    if known := await _number_of(tx, request.id):
        return known
    if not await _write(tx, request, actor):
        return await _number_of(tx, request.id)
    row = await tx.fetchrow("select * from replenishment where id = $1", request.id)
    assert row is not None
    facts = {"no": row["replenishment_no"], "lines": len(request.goods), "units": sum(one.units for one in request.goods)}
    happened = Happened("replenishment", row["id"], "replenishment.asked", None, _S.ASKED, request.note, facts)
    await history.record(tx, happened, actor=actor)
    await audit.record(tx, actor, "replenishment.asked", subject=("replenishment", row["id"]), facts=facts)
    await telling.write_to_supplier(tx, row, "replenishment_asked")
    return str(row["replenishment_no"])


async def confirm(tx: Tx, row: asyncpg.Record, units: Mapping[UUID, int], *, promised_on: date | None, actor: Actor) -> None:
    """The supplier can send so many of each line, by a day; the caller holds the row's lock. Idempotent for the same answer.

    Raises: AnsweredAlready, NothingConfirmed.
    """
    promised = {line["id"]: units.get(line["id"], 0) for line in await queries.lines_of(tx, row["id"])}
    if not any(promised.values()):
        raise NothingConfirmed
    if row["state"] == _S.CONFIRMED and await _is_promised(tx, row, promised, promised_on):
        return
    await tx.execute(_PROMISE, list(promised), list(promised.values()))
    await tx.execute("update replenishment set promised_on = $2 where id = $1", row["id"], promised_on)
    facts = {"no": row["replenishment_no"], "units": sum(promised.values())}
    await move(tx, row, _S.CONFIRMED, facts=facts, actor=actor)
    await _tell_staff(tx, row, actor, "replenishment.tell_answer")


async def decline(tx: Tx, row: asyncpg.Record, *, reason: str, actor: Actor) -> None:
    """The supplier cannot, and says why; the caller holds the row's lock. Idempotent. Raises: AnsweredAlready."""
    if row["state"] == _S.DECLINED:
        return
    await tx.execute("update replenishment set reason = $2 where id = $1", row["id"], reason)
    await move(tx, row, _S.DECLINED, note=reason, actor=actor)
    await _tell_staff(tx, row, actor, "replenishment.tell_answer")


async def say_sent(tx: Tx, row: asyncpg.Record, *, actor: Actor) -> None:
    """The goods are on their way; the caller holds the row's lock. Idempotent. Raises: AnsweredAlready."""
    if row["state"] == _S.SENT:
        return
    await move(tx, row, _S.SENT, actor=actor)
    await _tell_staff(tx, row, actor, "replenishment.tell_sent")


async def cancel(tx: Tx, row: asyncpg.Record, *, reason: str, actor: Actor) -> None:
    """The merchant wants it no more, and the supplier is told; the caller holds the row's lock. Idempotent. Raises: AnsweredAlready."""
    if row["state"] == _S.CANCELLED:
        return
    await tx.execute("update replenishment set reason = $2 where id = $1", row["id"], reason)
    await move(tx, row, _S.CANCELLED, note=reason, actor=actor)
    await telling.write_to_supplier(tx, row, "replenishment_cancelled")


async def close(tx: Tx, row: asyncpg.Record, *, actor: Actor) -> None:
    """Nothing more is waited for: what came is what came; the caller holds the row's lock. Idempotent. Raises: AnsweredAlready."""
    if row["state"] != _S.DONE:
        if row["state"] != _S.PARTLY_RECEIVED:
            raise AnsweredAlready(no=row["replenishment_no"])
        await move(tx, row, _S.DONE, actor=actor)


async def move(
    tx: Tx,
    row: asyncpg.Record,
    state: ReplenishmentState,
    *,
    note: str = "",
    facts: Mapping[str, object] | None = None,
    actor: Actor = SYSTEM,
) -> None:
    """Change its state, and write its history; a person's act is audited. The caller holds the row's lock. Raises: AnsweredAlready."""
    before = ReplenishmentState(row["state"])
    if state not in REPLENISHMENT_EDGES[before]:
        raise AnsweredAlready(no=row["replenishment_no"])
    await tx.execute("update replenishment set state = $2, updated_at = now() where id = $1", row["id"], state)
    told = {"no": row["replenishment_no"], **(facts or {})}
    await history.record(
        tx, Happened("replenishment", row["id"], f"replenishment.{state}", before, state, note, told), actor=actor
    )
    if actor.kind is ActorKind.STAFF:
        await audit.record(tx, actor, f"replenishment.{state}", subject=("replenishment", row["id"]), reason=note, facts=told)


async def _write(tx: Tx, request: Request, actor: Actor) -> bool:
    """Whether it was written: not where its SKU's own one is open, nor where another press of the same button wrote it."""
    drawn = [0]

    async def insert(number: str) -> int:
        drawn[0] = await tx.execute(
            _INSERT, request.id, number, request.supplier_id, request.wanted_on, request.note, actor.name, request.rule_sku_id
        )
        taken = await tx.fetchval("select exists (select 1 from replenishment where replenishment_no = $1)", number)
        return 0 if taken and not drawn[0] else 1

    await drawn_number("H", insert)
    if not drawn[0]:
        return False
    ids = [new_id() for _ in request.goods]
    columns = zip(*((one.sku_id, one.units, one.unit_cost) for one in request.goods), strict=True)
    if await tx.execute(_LINES, request.id, ids, *(list(column) for column in columns)) != len(ids):
        raise NoSuchGoods
    return True


async def _number_of(tx: Tx, replenishment_id: UUID) -> str | None:
    found: str | None = await tx.fetchval("select replenishment_no from replenishment where id = $1", replenishment_id)
    return found


async def _is_promised(tx: Tx, row: asyncpg.Record, promised: Mapping[UUID, int], promised_on: date | None) -> bool:
    lines = await queries.lines_of(tx, row["id"])
    return row["promised_on"] == promised_on and all(line["confirmed"] == promised[line["id"]] for line in lines)


async def _tell_staff(tx: Tx, row: asyncpg.Record, actor: Actor, task: str) -> None:
    """What the supplier did, staff are told; what they did for him they know."""
    if actor.kind is ActorKind.SUPPLIER:
        await add_task(tx, task, lane=Lane.MESSAGES, subject_id=row["id"])


_INSERT = """
insert into replenishment (id, replenishment_no, supplier_id, wanted_on, note, asked_by, rule_sku_id) values ($1, $2, $3, $4, $5, $6, $7)
on conflict do nothing
"""
_LINES = """
insert into replenishment_line (id, replenishment_id, position, sku_id, units, unit_cost)
select w.id, $1, w.place - 1, w.sku_id, w.units, w.unit_cost
from unnest($2::uuid[], $3::uuid[], $4::int[], $5::numeric[]) with ordinality as w (id, sku_id, units, unit_cost, place)
join sku k on k.id = w.sku_id join product p on p.id = k.product_id and p.delivery_kind = 'card_key'
where not exists (select 1 from sku_range v where v.sku_id = k.id)
"""
_PROMISE = """
update replenishment_line l set confirmed = p.units from unnest($1::uuid[], $2::int[]) as p (id, units) where l.id = p.id
"""
