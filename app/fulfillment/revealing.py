"""Showing a delivered key: a separate, audited act, by its buyer or, with a reason, by staff."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from app.inventory import rules
from app.inventory import service as inventory
from app.kernel import audit, history
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import NotFound
from app.kernel.history import Happened
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
        raise NotFound
    secret = await inventory.open_key(tx, row["card_key_id"])
    if actor.kind is ActorKind.BUYER:
        await tx.execute(
            "update delivery_unit set revealed_at = coalesce(revealed_at, now()) where order_line_id = $1 and unit_no = $2",
            order_line_id,
            unit_no,
        )
    facts = {"order_no": row["order_no"], "unit_no": unit_no, "masked": row["masked"]}
    await audit.record(tx, actor, "card_key.revealed", subject=("card_key", row["card_key_id"]), reason=reason, facts=facts)
    await history.record(tx, Happened("order", order_id, "card_key.revealed", note=reason, facts=facts), actor=actor)
    return Revealed(*rules.shown(secret.reveal()))


_UNIT = """
select u.card_key_id, o.order_no, k.masked
from delivery_unit u
join shop_order o on o.id = u.order_id
join card_key k on k.id = u.card_key_id
where u.order_id = $1 and u.order_line_id = $2 and u.unit_no = $3 and u.state = 'delivered'
for update of u
"""
