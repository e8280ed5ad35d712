"""Helping a buyer before he complains: the product's steps, whether they helped, and what else its merchant wants of its cases."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.aftersales import queries
from app.catalog.models import DeliveryKind
from app.fulfillment.reissuing import UnitOf
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from tenants.session import Tx

MOST_STEPS = 12
_USUAL = {
    DeliveryKind.CARD_KEY: (
        N_("Copy the key with the button beside it. Typed by hand, 0 and O or 1 and l are easily mistaken."),
        N_("Check that you redeem it at the right place, for the right region and account."),
        N_("Wait a minute and try once more: after several wrong tries many sites lock for a while."),
    ),
    DeliveryKind.DIRECT_TOP_UP: (
        N_("Log out of the app and in again, then look at your balance."),
        N_("Check that the account shown above is the one you are looking at."),
        N_("Some companies credit only after some minutes. Wait ten, then look again."),
    ),
    DeliveryKind.VOUCHER: (
        N_("Show the code large and bright, or read it out letter by letter."),
        N_("Check the shops, days and times it is good for; they stand below the code."),
    ),
    DeliveryKind.SERIAL: (
        N_("Copy the number with the button beside it, without blanks before or after."),
        N_("Look at its list of uses: each use counts, also on another device."),
    ),
}
_ANYTHING = (N_("Read the notes on use once more, and try again."),)


@dataclass(frozen=True, slots=True)
class Guide:
    """The steps to try, and whether they are the merchant's own; else they are the usual ones, as msgids."""

    steps: tuple[str, ...]
    is_own: bool
    settles_itself: bool


async def guide_for(tx: Tx, product_id: UUID, delivery_kind: str) -> Guide:
    """A product's steps, the usual ones of its kind where the merchant wrote none."""
    row = await queries.guide_of(tx, product_id)
    own = tuple(json.loads(row["steps"])) if row else ()
    usual = next((steps for kind, steps in _USUAL.items() if kind == delivery_kind), _ANYTHING)
    return Guide(own or usual, bool(own), row["settles_itself"] if row else True)


async def set_guide(tx: Tx, product_id: UUID, *, steps: Sequence[str], settles_itself: bool, actor: Actor) -> None:
    """Keep a product's steps; none brings the usual ones back."""
    await tx.execute(_SET, product_id, json.dumps(list(steps)), settles_itself)
    facts = {"steps": len(steps), "settles_itself": settles_itself}
    await audit.record(tx, actor, "product.guide_changed", subject=("product", product_id), facts=facts)


async def answer(tx: Tx, unit: UnitOf, *, has_helped: bool) -> None:
    """Write down whether the steps helped with a unit. Idempotent: said again, the last answer counts. Raises: NotFound."""
    product_id = await tx.fetchval(_PRODUCT, unit.order_id, unit.order_line_id, unit.unit_no)
    if product_id is None:
        raise NotFound
    await tx.execute(_ANSWER, unit.order_line_id, unit.unit_no, product_id, has_helped)


_SET = """
insert into product_guide (product_id, steps, settles_itself) values ($1, $2::jsonb, $3)
on conflict (product_id) do update set steps = excluded.steps, settles_itself = excluded.settles_itself
"""
_PRODUCT = """
select l.product_id from order_line l join delivery_unit u on u.order_line_id = l.id
where l.order_id = $1 and l.id = $2 and u.unit_no = $3 and u.state = 'delivered'
"""
_ANSWER = """
insert into guide_answer (order_line_id, unit_no, product_id, has_helped) values ($1, $2, $3, $4)
on conflict (order_line_id, unit_no) do update set has_helped = excluded.has_helped, at = now()
"""
