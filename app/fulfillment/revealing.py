"""Showing a delivered key, or to staff the account a line credits: a separate, audited act, with a reason where staff ask."""

from __future__ import annotations

import json
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from app.fulfillment import handing, minting
from app.inventory import rules
from app.inventory import service as inventory
from app.kernel import audit, history
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import NotFound
from app.kernel.history import Happened
from app.kernel.vault import keyring
from tenants.session import Tx


@dataclass(frozen=True, slots=True)
class Revealed:
    """A key as its reader sees it. Its repr shows nothing."""

    number: str
    password: str

    def __repr__(self) -> str:
        return "Revealed(****)"


async def reveal(tx: Tx, *, order_id: UUID, order_line_id: UUID, unit_no: int, actor: Actor, reason: str = "") -> Revealed:
    """Open one delivered unit's key and write down who saw it. Staff give a reason.

    Raises: NotFound for a unit that is not delivered or not of this order; ReasonMissing.
    """
    if actor.kind is not ActorKind.BUYER and not reason.strip():
        raise inventory.ReasonMissing
    row = await tx.fetchrow(_UNIT, order_id, order_line_id, unit_no)
    if row is None:
        is_staff = actor.kind is not ActorKind.BUYER
        found = await _account(tx, order_id, order_line_id, unit_no, actor=actor, reason=reason) if is_staff else None
        if found is None:
            raise NotFound
        return found
    return await _shown(tx, order_id, row, actor=actor, reason=reason)


async def reveal_all(tx: Tx, *, order_id: UUID, at_most: int, actor: Actor) -> dict[tuple[UUID, int], Revealed]:
    """Every key the buyer of an order holds now, by line and number of its unit; each is written down like a single one.

    The units are locked before they are read: one that goes back meanwhile is left out.
    """
    rows = await tx.fetch(_UNITS, order_id, at_most)
    return {(row["order_line_id"], row["unit_no"]): await _shown(tx, order_id, row, actor=actor, reason="") for row in rows}


async def _shown(tx: Tx, order_id: UUID, row: asyncpg.Record, *, actor: Actor, reason: str) -> Revealed:
    """A unit opened, with the entries of who saw it."""
    kind, subject_id, shown = await _opened(tx, row)
    if actor.kind is ActorKind.BUYER:
        await tx.execute(
            "update delivery_unit set revealed_at = coalesce(revealed_at, now()) where order_line_id = $1 and unit_no = $2",
            row["order_line_id"],
            row["unit_no"],
        )
    facts = {"order_no": row["order_no"], "unit_no": row["unit_no"], "masked": row["masked"]}
    await audit.record(tx, actor, f"{kind}.revealed", subject=(kind, subject_id), reason=reason, facts=facts)
    await history.record(tx, Happened("order", order_id, f"{kind}.revealed", note=reason, facts=facts), actor=actor)
    return shown


async def _opened(tx: Tx, row: asyncpg.Record) -> tuple[str, UUID, Revealed]:
    """What a delivered unit holds: its kind, its id, and itself in clear."""
    if row["handover_id"] is not None:
        return "handover", row["handover_id"], Revealed((await handing.open_text(tx, row["handover_id"])).reveal(), "")
    if row["minted_id"] is not None:
        return "minted_good", row["minted_id"], Revealed(*rules.shown((await minting.open_code(tx, row["minted_id"])).reveal()))
    return "card_key", row["card_key_id"], Revealed(*rules.shown((await inventory.open_key(tx, row["card_key_id"])).reveal()))


async def _account(tx: Tx, order_id: UUID, order_line_id: UUID, unit_no: int, *, actor: Actor, reason: str) -> Revealed | None:
    """What a line's buyer stated, the account it credits, opened for staff; None where nothing was."""
    row = await tx.fetchrow(_ACCOUNT, order_id, order_line_id)
    if row is None:
        return None
    opened = (await keyring(tx)).open("recharge_account", "account", order_line_id, row["account"])
    facts = {"order_no": row["order_no"], "unit_no": unit_no, "masked": row["masked"]}
    subject = ("order_line", order_line_id)
    await audit.record(tx, actor, "recharge_account.revealed", subject=subject, reason=reason, facts=facts)
    await history.record(tx, Happened("order", order_id, "recharge_account.revealed", note=reason, facts=facts), actor=actor)
    labels = {one["name"]: one["label"] for one in json.loads(row["shown"])}
    return Revealed(" · ".join(f"{labels.get(name, name)} {value}" for name, value in json.loads(opened.reveal()).items()), "")


_ACCOUNT = """
select ra.account, ra.masked, ra.shown::text as shown, o.order_no
from recharge_account ra join order_line l on l.id = ra.order_line_id join shop_order o on o.id = l.order_id
where l.order_id = $1 and l.id = $2
"""
_HELD = """
select u.order_line_id, u.unit_no, u.card_key_id, u.minted_id, u.handover_id, o.order_no, coalesce(k.masked, m.masked, h.masked) as masked
from delivery_unit u
join shop_order o on o.id = u.order_id
join order_line l on l.id = u.order_line_id
left join card_key k on k.id = u.card_key_id
left join minted_good m on m.id = u.minted_id
left join handover h on h.id = u.handover_id and h.secret is not null
where u.order_id = $1 and u.state = 'delivered' and coalesce(u.card_key_id, u.minted_id, h.id) is not null
  and m.kind is distinct from 'link'
"""
_UNIT = f"{_HELD} and u.order_line_id = $2 and u.unit_no = $3 for update of u"
_UNITS = f"{_HELD} order by l.line_no, u.unit_no limit $2 for update of u"
