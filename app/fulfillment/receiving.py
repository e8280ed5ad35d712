"""Taking in what a supplier sold: its secrets stored, the unit delivered with them, the sale booked. What cannot be the buyer's is kept aside."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import asyncpg

from app.cases import service as cases
from app.cases.models import CaseKind
from app.cases.service import Trouble
from app.catalog.models import DeliveryKind
from app.fulfillment import attempts, booking
from app.fulfillment.attempts import Decided
from app.fulfillment.booking import Spent
from app.fulfillment.models import AttemptState
from app.inventory import service as inventory
from app.inventory.bought import BoughtKey, count_aside, store_bought
from app.inventory.by_value import is_by_value
from app.inventory.models import NEVER, KeyState
from app.kernel.i18n import format_money
from app.kernel.money import CNY
from app.ledger import service as ledger
from app.suppliers import testing
from app.suppliers.connectors.port import Delivered, Issued
from app.suppliers.costing import learn_costs
from app.suppliers.exchange import converted
from tenants.session import Tx

_CARRIES_SECRET = frozenset({DeliveryKind.CARD_KEY})
_ASK_AGAIN_S = 20
KNOWN_CARD = "known_card"
NO_SECRET = "no_secret"  # noqa: S105


@dataclass(frozen=True, slots=True)
class _Served:
    """A unit that an attempt delivered, with the key it got where its kind has one."""

    row: asyncpg.Record
    unit: asyncpg.Record
    key_id: UUID | None
    unit_cost: Decimal

    @property
    def own_cost(self) -> Decimal:
        """What it cost in the shop's currency, at the rate it was bought at."""
        return converted(self.unit_cost, self.row["rate"])


async def receive(tx: Tx, delivered: Sequence[tuple[asyncpg.Record, Delivered]], *, took_ms: Mapping[UUID, int]) -> list[UUID]:
    """Deliver units with what was bought for them; the attempts whose goods were no good, to be bought elsewhere.

    A card this SKU has had before, or a test order brought, is delivered to nobody; a delivery without its card is asked about; a card too many
    becomes stock, or where it is of a face value is kept aside. The caller holds the orders and attempts. Locks: the units, the keys, then ledger
    and stock.
    """
    if not delivered:
        return []
    units = {(u["order_line_id"], u["unit_no"]): u for u in await _units(tx, [row for row, _ in delivered])}
    pairs = [(row, units[row["order_line_id"], row["unit_no"]], answer) for row, answer in delivered]
    empty = [(row, answer) for row, unit, answer in pairs if unit["delivery_kind"] in _CARRIES_SECRET and not answer.issued]
    await _ask_for_secrets(tx, empty)
    whole = [pair for pair in pairs if (pair[0], pair[2]) not in empty]
    served, known = await _store(tx, whole)
    await attempts.decide(tx, [*_succeeded(served, whole), *_known(known, whole)], took_ms=took_ms)
    await attempts.forget_asking(tx, [row["id"] for row, _, _ in whole])
    await _deliver(tx, served)
    await _learn_costs(tx, [one for one in served if one.unit_cost != one.row["expected_cost"]])
    for row in known:
        await cases.open_case(tx, _trouble(row, CaseKind.BAD_GOODS, what=KNOWN_CARD))
    for row, _, answer in whole:
        await _keep_spare(tx, row, answer.issued[1:])
    return [row["id"] for row in known]


async def recover(tx: Tx, late: Sequence[tuple[asyncpg.Record, Delivered]]) -> None:
    """Keep what came for attempts that were given up: cards become stock, those of a face value stay aside, and a person sees the loss."""
    for row, answer in late:
        decided = Decided(row, AttemptState.SUCCEEDED_LATE, answer.supplier_ref, "late", "", answer.evidence, answer.unit_cost)
        await attempts.decide(tx, [decided])
        aside = await _keep_spare(tx, row, answer.issued)
        cost = str(answer.unit_cost or row["expected_cost"])
        await cases.open_case(tx, _trouble(row, CaseKind.SUPPLIER_LATE, cost=cost, **aside))


async def _units(tx: Tx, rows: Sequence[asyncpg.Record]) -> list[asyncpg.Record]:
    found = await tx.fetch(_UNITS, [row["order_line_id"] for row in rows], [row["unit_no"] for row in rows])
    assert all(unit["state"] == "owed" for unit in found), "a unit that is being bought leaves `owed` only by its attempt"
    return found


async def _ask_for_secrets(tx: Tx, empty: Sequence[tuple[asyncpg.Record, Delivered]]) -> None:
    """Sold, says the supplier, and names no card: nothing is delivered by guess, the card is asked for, and a person sees it."""
    open_ones = [row for row, _ in empty if row["state"] == AttemptState.SENDING]
    await attempts.decide(tx, [Decided(row, AttemptState.UNKNOWN, reason=NO_SECRET) for row in open_ones])
    await attempts.ask_later(tx, {row["id"]: _ASK_AGAIN_S for row, _ in empty})
    for row, _ in empty:
        await cases.open_case(tx, _trouble(row, CaseKind.BAD_GOODS, what=NO_SECRET))


async def _store(
    tx: Tx, pairs: Sequence[tuple[asyncpg.Record, asyncpg.Record, Delivered]]
) -> tuple[list[_Served], list[asyncpg.Record]]:
    """Store one key per unit of a kind that has one. Returns what was served, and the attempts whose key was known already."""
    with_key = [(row, unit, answer) for row, unit, answer in pairs if unit["delivery_kind"] in _CARRIES_SECRET]
    unseen = await testing.unseen(tx, [answer.issued[0] for _, _, answer in with_key])
    fresh = [(row, answer) for (row, _, answer), is_unseen in zip(with_key, unseen, strict=True) if is_unseen]
    stored = await store_bought(tx, [_key(row, answer.issued[0], _cost(row, answer)) for row, answer in fresh])
    keys = {row["id"]: None for row, _, _ in with_key}
    keys |= {row["id"]: key_id for (row, _), key_id in zip(fresh, stored, strict=True)}
    served = [
        _Served(row, unit, keys.get(row["id"]), _cost(row, answer))
        for row, unit, answer in pairs
        if row["id"] not in keys or keys[row["id"]] is not None
    ]
    return served, [row for row, _, _ in with_key if keys[row["id"]] is None]


def _cost(row: asyncpg.Record, answer: Delivered) -> Decimal:
    return answer.unit_cost if answer.unit_cost is not None else Decimal(row["expected_cost"])


def _key(row: asyncpg.Record, issued: Issued, unit_cost: Decimal, state: KeyState = KeyState.DELIVERED) -> BoughtKey:
    return BoughtKey(
        row["sku_id"],
        row["connection_id"],
        row["connection_name"],
        issued.number or issued.link,
        issued.password,
        issued.expires_on,
        converted(unit_cost, row["rate"]),
        CNY if row["rate"] is not None else row["currency"],
        state,
    )


def _succeeded(served: Sequence[_Served], pairs: Sequence[tuple[asyncpg.Record, asyncpg.Record, Delivered]]) -> list[Decided]:
    answers = {row["id"]: answer for row, _, answer in pairs}
    return [
        Decided(
            one.row,
            AttemptState.SUCCEEDED,
            answers[one.row["id"]].supplier_ref,
            evidence=answers[one.row["id"]].evidence,
            unit_cost=one.unit_cost,
        )
        for one in served
    ]


def _known(known: Sequence[asyncpg.Record], pairs: Sequence[tuple[asyncpg.Record, asyncpg.Record, Delivered]]) -> list[Decided]:
    refs = {row["id"]: answer.supplier_ref for row, _, answer in pairs}
    return [Decided(row, AttemptState.FAILED, refs[row["id"]], KNOWN_CARD) for row in known]


async def _deliver(tx: Tx, served: Sequence[_Served]) -> None:
    if not served:
        return
    await tx.execute(
        _DELIVER,
        [one.unit["order_line_id"] for one in served],
        [one.unit["unit_no"] for one in served],
        [one.key_id for one in served],
        [one.row["id"] for one in served],
        [one.own_cost for one in served],
    )
    await ledger.transfer(
        tx,
        [posting for one in served for posting in booking.sold(one.unit, Spent(one.row["id"], one.own_cost))],
    )
    await inventory.move_bought(tx, dict(Counter(one.unit["sku_id"] for one in served)))


async def _learn_costs(tx: Tx, surprising: Sequence[_Served]) -> None:
    if surprising:
        await learn_costs(tx, {one.row["offer_id"]: one.unit_cost for one in surprising})


async def _keep_spare(tx: Tx, row: asyncpg.Record, issued: Sequence[Issued]) -> dict[str, object]:
    """Cards that are no buyer's go on the shelf as own stock; those of a face value never do. A person sees them. What a case says of those kept aside."""
    unseen = [one for one, is_unseen in zip(issued, await testing.unseen(tx, issued), strict=True) if is_unseen]
    if not unseen:
        return {}
    is_aside = row["value_minor"] is not None or await is_by_value(tx, row["sku_id"])
    state = KeyState.VOIDED if is_aside else KeyState.FREE
    keys = [_key(row, one, Decimal(row["expected_cost"]), state) for one in unseen]
    stored = [key_id for key_id in await store_bought(tx, keys) if key_id is not None]
    if not stored:
        return {}
    facts: dict[str, object] = {}
    if is_aside:
        facts = _value(row) | await count_aside(tx, row["sku_id"], stored, worth=_worth(row))
    else:
        days = [key.expires_on for key in keys if key.expires_on]
        last_day = min(days, default=NEVER)
        await inventory.put_on_shelf(tx, sku_id=row["sku_id"], units=len(stored), from_column="imported", last_day=last_day)
    await cases.open_case(tx, _trouble(row, CaseKind.SPARE_GOODS, cards=len(stored), **facts))
    return facts


def _value(row: asyncpg.Record) -> dict[str, object]:
    """The face value of what was bought, where its buyer chose one."""
    return {} if row["value_minor"] is None else {"value_minor": row["value_minor"], "value_currency": row["value_currency"]}


def _worth(row: asyncpg.Record) -> str:
    return "" if row["value_minor"] is None else format_money(row["value_minor"], row["value_currency"])


def _trouble(row: asyncpg.Record, kind: CaseKind, **facts: object) -> Trouble:
    return Trouble(kind, "attempt", row["id"], row["order_id"], {"out_no": row["out_no"], "unit_no": row["unit_no"], **facts})


_UNITS = """
select u.order_line_id, u.unit_no, u.order_id, u.sku_id, u.state, u.amount_minor, o.currency, l.delivery_kind
from unnest($1::uuid[], $2::int[]) as w (order_line_id, unit_no)
join delivery_unit u using (order_line_id, unit_no)
join order_line l on l.id = u.order_line_id
join shop_order o on o.id = u.order_id
order by u.order_line_id, u.unit_no
for update of u
"""
_DELIVER = """
update delivery_unit u
set state = 'delivered', card_key_id = d.card_key_id, attempt_id = d.attempt_id, unit_cost = d.unit_cost, delivered_at = now()
from unnest($1::uuid[], $2::int[], $3::uuid[], $4::uuid[], $5::numeric[]) as d (order_line_id, unit_no, card_key_id, attempt_id, unit_cost)
where u.order_line_id = d.order_line_id and u.unit_no = d.unit_no
"""
