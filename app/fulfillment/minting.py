"""Goods we make ourselves: a code for each unit of a voucher or serial, its uses written one by one, and none beyond what was sold."""

from __future__ import annotations

import json
import secrets
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from app.catalog import minting as rules
from app.catalog.models import DeliveryKind
from app.fulfillment import uses
from app.fulfillment.models import MintedState
from app.integrations.models import WebhookTopic
from app.kernel import audit, clock, history, i18n
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.history import Happened
from app.kernel.ids import new_id
from app.kernel.vault import Secret, keyring
from app.ordering.models import UnitState
from tenants.session import Tx

MINTED = frozenset({DeliveryKind.VOUCHER, DeliveryKind.SERIAL, DeliveryKind.LINK})
"""The kinds whose units are minted when they are delivered."""
_SIGNS = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"
_GROUPS, _IN_GROUP = 4, 4
"""Eighty bits: nobody guesses one. A link's token, which nobody types, has twice as many."""
Unit = tuple[UUID, int]


class NoSuchCode(DomainError):
    status = 404
    message = N_("There is no such code here. Type it again, letter by letter; it was not used.")


class UsedUp(DomainError):
    message = N_("Used up. The first use was on %(at)s at %(place)s, by %(who)s; it was good for %(most)s.")


class CannotUseNow(DomainError):
    message = N_("Not used: %(why)s")


class Revoked(DomainError):
    message = N_("This code was taken back on %(at)s and is good for nothing.")


class ReferenceReused(DomainError):
    message = N_("This reference stands at another use, or at one that was taken back. Nothing was used; give it one of its own.")


class GivenBack(DomainError):
    message = N_("What this code was for was refunded, and the code is good for nothing.")


class ReasonMissing(DomainError):
    status = 422
    message = N_("Write down why; the reason stays in the audit trail.")


@dataclass(frozen=True, slots=True)
class Used:
    """One use that counted: which it was, of how many, and what the code is for."""

    use_id: UUID
    minted_id: UUID
    order_id: UUID
    use_no: int
    most_uses: int
    what: str
    masked: str


def normalised(typed: str) -> str:
    """A code as it is compared: plain capitals and digits alone, without blanks and dashes; full-width signs of a Chinese keyboard are their plain ones."""
    return "".join(sign for sign in unicodedata.normalize("NFKC", typed).upper() if sign.isalnum())[:64]


async def mint(tx: Tx, units: Sequence[asyncpg.Record]) -> dict[Unit, UUID]:
    """Make a code for each owed unit and deliver it; the ids made. The caller books the sale and moves the stock. Locks: the units."""
    if not units:
        return {}
    ring, today = await keyring(tx), clock.business_day()
    terms = {
        row["sku_id"]: rules.rules_of(json.loads(row["minting"])) for row in await tx.fetch(_TERMS, [u["sku_id"] for u in units])
    }
    made: dict[Unit, UUID] = {}
    rows = []
    for unit in units:
        minted_id, code = new_id(), _new_code(unit["delivery_kind"])
        own = terms[unit["sku_id"]]
        made[unit["order_line_id"], unit["unit_no"]] = minted_id
        rows.append(
            (
                minted_id, unit["order_line_id"], unit["unit_no"], unit["sku_id"], unit["delivery_kind"],
                ring.seal("minted_good", "secret", minted_id, code), ring.fingerprint("minted_good", normalised(code)), f"****{code[-4:]}",
                json.dumps(rules.stored(own)), own.most_uses, own.ends_on(today),
            )
        )  # fmt: skip
    await tx.executemany(_MINT, rows)
    await tx.execute(_DELIVER, [u[0] for u in made], [u[1] for u in made], list(made.values()))
    return made


def _new_code(kind: str) -> str:
    if kind == DeliveryKind.LINK:
        return "".join(secrets.choice(_SIGNS) for _ in range(2 * _GROUPS * _IN_GROUP))
    return "-".join("".join(secrets.choice(_SIGNS) for _ in range(_IN_GROUP)) for _ in range(_GROUPS))


async def use(tx: Tx, *, typed: str, place: str, actor: Actor, reference: str = "") -> Used:
    """Use a code once, there and now. Two at once count one after the other, and one beyond the last is refused with the first's time and place.

    A till's `reference` is of one use: told again for the same code, it is that use and no other.

    Locks: the minted good and its unit. Raises: NoSuchCode, Revoked, GivenBack, UsedUp, CannotUseNow, ReferenceReused.
    """
    fingerprint = (await keyring(tx)).fingerprint("minted_good", normalised(typed))
    row = await tx.fetchrow(_LOCK, fingerprint, None)
    if row is None:
        raise NoSuchCode
    if reference and (known := await tx.fetchrow(_KNOWN, actor.id, reference)) is not None:
        if known["minted_id"] != row["id"] or known["voided_at"] is not None:
            raise ReferenceReused
        return _used(row, known["id"], known["use_no"])
    return await _use(tx, row, place[:120], actor, reference=reference)


async def open_link(tx: Tx, minted_id: UUID, *, what: str, mark: str, actor: Actor) -> Used:
    """Open what a link's unit is for, once, as `use` does. `what` was opened, `mark` stands for the network address it was opened from.

    Locks: the minted good and its unit. Raises: NoSuchCode, Revoked, GivenBack, UsedUp, CannotUseNow.
    """
    row = await tx.fetchrow(_LOCK, None, minted_id)
    if row is None:
        raise NoSuchCode
    return await _use(tx, row, what, actor, mark=mark)


async def _use(tx: Tx, row: asyncpg.Record, place: str, actor: Actor, *, mark: str = "", reference: str = "") -> Used:
    await _refuse(tx, row, place)
    use_id, use_no = new_id(), row["uses"] + 1
    await tx.execute(_COUNT, row["id"])
    if not await tx.fetchval(_WRITE, use_id, row["id"], use_no, place, actor.name, actor.id, mark, reference):
        raise ReferenceReused
    facts = {"use_no": use_no, "most_uses": row["most_uses"], "place": place, "masked": row["masked"]}
    await audit.record(tx, actor, "minted_good.used", subject=("minted_good", row["id"]), facts=facts)
    event = "minted_good.opened" if row["kind"] == DeliveryKind.LINK else "minted_good.used"
    await history.record(tx, Happened("order", row["order_id"], event, facts=facts), actor=actor)
    await uses.tell(tx, WebhookTopic.REDEMPTION_CREATED, use_id)
    return _used(row, use_id, use_no)


def _used(row: asyncpg.Record, use_id: UUID, use_no: int) -> Used:
    what = f"{row['product_name']} {row['sku_name']}"
    return Used(use_id, row["id"], row["order_id"], use_no, row["most_uses"], what, row["masked"])


async def _refuse(tx: Tx, row: asyncpg.Record, place: str) -> None:
    if row["state"] == MintedState.REVOKED:
        raise Revoked(at=_told(row["revoked_at"]))
    if row["unit_state"] != UnitState.DELIVERED:
        raise GivenBack
    if row["uses"] >= row["most_uses"]:
        first = await tx.fetchrow(_FIRST, row["id"])
        assert first is not None, "what was used has its first use in the ledger"
        raise UsedUp(
            at=_told(first["at"]), first_at=first["at"].isoformat(), place=first["place"], who=first["who"], most=row["most_uses"]
        )
    at = clock.now().astimezone(clock.BUSINESS_ZONE)
    found = rules.obstacle(rules.rules_of(json.loads(row["rules"])), at=at, place=place, ends_on=row["ends_on"])
    if found:
        raise CannotUseNow(why=i18n.filled(*found))


def _told(at: datetime) -> str:
    return i18n.format_datetime(at)


async def revoke(tx: Tx, *, order_id: UUID, order_line_id: UUID, unit_no: int, reason: str, actor: Actor) -> None:
    """Take a code back: from then on it is good for nothing. Idempotent. Locks: the minted good. Raises: ReasonMissing, NoSuchCode."""
    if not reason.strip():
        raise ReasonMissing
    row = await tx.fetchrow(_OF_UNIT, order_id, order_line_id, unit_no)
    if row is None:
        raise NoSuchCode
    if row["state"] == MintedState.REVOKED:
        return
    await tx.execute("update minted_good set state = 'revoked', revoked_at = now(), updated_at = now() where id = $1", row["id"])
    facts = {"masked": row["masked"], "unit_no": unit_no}
    await audit.record(tx, actor, "minted_good.revoked", subject=("minted_good", row["id"]), reason=reason, facts=facts)
    await history.record(tx, Happened("order", order_id, "minted_good.revoked", note=reason, facts=facts), actor=actor)


async def shops(tx: Tx) -> list[str]:
    """The shops that products' rules name, for the counter to choose from."""
    return [row["shop"] for row in await tx.fetch(_SHOPS)]


async def open_code(tx: Tx, minted_id: UUID) -> Secret:
    """The code itself. The caller writes the audit entry in the same transaction."""
    sealed = await tx.fetchval("select secret from minted_good where id = $1", minted_id)
    return (await keyring(tx)).open("minted_good", "secret", minted_id, sealed)


async def uses_of(tx: Tx, order_id: UUID) -> dict[UUID, list[asyncpg.Record]]:
    """The ledger of uses of an order's codes, by code, oldest first."""
    found: dict[UUID, list[asyncpg.Record]] = {}
    for row in await tx.fetch(_USES, order_id):
        found.setdefault(row["minted_id"], []).append(row)
    return found


_SHOPS = """
select distinct shop from product p cross join lateral jsonb_array_elements_text(coalesce(p.minting -> 'shops', '[]')) as shop
order by shop
limit 100
"""
_TERMS = "select k.id as sku_id, p.minting::text as minting from sku k join product p on p.id = k.product_id where k.id = any($1)"
_MINT = """
insert into minted_good (id, order_line_id, unit_no, sku_id, kind, secret, code_fingerprint, masked, rules, most_uses, ends_on)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9::jsonb, $10, $11)
"""
_DELIVER = """
update delivery_unit u
set state = 'delivered', minted_id = d.minted_id, unit_cost = 0, delivered_at = now()
from unnest($1::uuid[], $2::int[], $3::uuid[]) as d (order_line_id, unit_no, minted_id)
where u.order_line_id = d.order_line_id and u.unit_no = d.unit_no
"""
_LOCK = """
select m.id, m.kind, m.state, m.uses, m.most_uses, m.rules::text as rules, m.ends_on, m.revoked_at, m.masked,
       l.order_id, l.product_name, l.sku_name, u.state as unit_state
from minted_good m
join order_line l on l.id = m.order_line_id
join delivery_unit u on u.order_line_id = m.order_line_id and u.unit_no = m.unit_no
where (m.code_fingerprint = $1 and m.kind <> 'link') or (m.id = $2 and m.kind = 'link')
for update of m, u
"""
"""Codes are found by what was typed, links by their id. The unit is locked too: a refund takes it, and is refused once a use counted."""
_FIRST = "select at, place, who from minted_use where minted_id = $1 and use_no = 1 and voided_at is null"
_COUNT = "update minted_good set uses = uses + 1, updated_at = now() where id = $1"
_WRITE = """
insert into minted_use (id, minted_id, use_no, place, who, who_id, address_mark, reference) values ($1, $2, $3, $4, $5, $6, $7, $8)
on conflict (who_id, reference) where reference <> '' do nothing
returning true
"""
_KNOWN = "select id, minted_id, use_no, voided_at from minted_use where who_id = $1 and reference = $2"
_OF_UNIT = """
select m.id, m.state, m.masked
from minted_good m join order_line l on l.id = m.order_line_id
where l.order_id = $1 and m.order_line_id = $2 and m.unit_no = $3
order by m.created_at desc
limit 1
for update of m
"""
_USES = """
select w.minted_id, w.use_no, w.at, w.place, w.who, w.address_mark, w.reference, w.voided_at, w.void_reason, m.kind, m.masked, l.product_name, l.sku_name
from minted_use w join minted_good m on m.id = w.minted_id join order_line l on l.id = m.order_line_id
where l.order_id = $1
order by w.minted_id, w.id
limit 500
"""
