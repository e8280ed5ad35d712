"""What tills ask of codes beside using them: what one is good for, and taking the last use back."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from app.catalog import minting as rules
from app.fulfillment import uses
from app.fulfillment.minting import NoSuchCode, normalised
from app.fulfillment.models import MintedState
from app.integrations.models import WebhookTopic
from app.kernel import audit, clock, history, i18n
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.vault import keyring
from app.ordering.models import UnitState
from tenants.session import Tx

VOID_WITHIN = timedelta(minutes=30)


class TooLateToVoid(DomainError):
    message = N_("Only within %(minutes)s minutes can a use be taken back; this one is of %(at)s.")


class NotTheLastUse(DomainError):
    message = N_("The code was used again after this, so this use stays. Take the later one back first.")


async def look_up(tx: Tx, *, typed: str, place: str) -> dict[str, Any]:
    """What a code is, what is left of it and whether it can be used now, there; nothing is used. Raises: NoSuchCode."""
    row = await tx.fetchrow(_LOOK_UP, (await keyring(tx)).fingerprint("minted_good", normalised(typed)))
    if row is None:
        raise NoSuchCode
    own = rules.rules_of(json.loads(row["rules"]))
    state, why = _standing(row, own, place)
    return {
        "masked": row["masked"],
        "state": state,
        "why": why,
        "product": row["product_name"],
        "sku": row["sku_name"],
        "kind": row["kind"],
        "order_no": row["order_no"],
        "most_uses": row["most_uses"],
        "uses_left": row["most_uses"] - row["uses"] if state in ("usable", "not_now") else 0,
        "places": list(own.shops),
        "last_day": row["ends_on"],
        "first_use": {"at": row["first_at"], "place": row["first_place"]} if row["first_at"] else None,
    }


def _standing(row: asyncpg.Record, own: rules.MintingRules, place: str) -> tuple[str, str]:
    if row["state"] == MintedState.REVOKED:
        return "revoked", ""
    if row["unit_state"] != UnitState.DELIVERED:
        return "given_back", ""
    if row["uses"] >= row["most_uses"]:
        return "used_up", ""
    at = clock.now().astimezone(clock.BUSINESS_ZONE)
    found = rules.obstacle(own, at=at, place=place or next(iter(own.shops), ""), ends_on=row["ends_on"])
    return ("not_now", i18n.gettext(found[0]) % found[1]) if found else ("usable", "")


async def void(tx: Tx, use_id: UUID, *, reason: str, actor: Actor) -> asyncpg.Record:
    """Take the last use of a code back within half an hour: it may be used once more. Idempotent. Locks: the minted good.

    Raises: NotFound, NotTheLastUse, TooLateToVoid.
    """
    row = await tx.fetchrow(_LOCK_USE, use_id)
    if row is None:
        raise NotFound
    if row["voided_at"] is None:
        if row["use_no"] != row["uses"]:
            raise NotTheLastUse
        if clock.now() - row["at"] > VOID_WITHIN:
            raise TooLateToVoid(minutes=int(VOID_WITHIN.total_seconds() // 60), at=i18n.format_datetime(row["at"]))
        await tx.execute(_VOID, use_id, reason)
        await tx.execute("update minted_good set uses = uses - 1, updated_at = now() where id = $1", row["minted_id"])
        facts = {"use_no": row["use_no"], "place": row["place"], "masked": row["masked"], "reference": row["reference"]}
        await audit.record(
            tx, actor, "minted_good.use_voided", subject=("minted_good", row["minted_id"]), reason=reason, facts=facts
        )
        await history.record(
            tx, Happened("order", row["order_id"], "minted_good.use_voided", note=reason, facts=facts), actor=actor
        )
        await uses.tell(tx, WebhookTopic.REDEMPTION_VOIDED, use_id)
    return await uses.use_or_404(tx, use_id)


def voidable_until(used_at: datetime) -> datetime:
    """Until when a use can be taken back."""
    return used_at + VOID_WITHIN


_LOOK_UP = """
select m.kind, m.state, m.uses, m.most_uses, m.rules::text as rules, m.ends_on, m.masked, l.product_name, l.sku_name, o.order_no,
       u.state as unit_state, w.at as first_at, w.place as first_place
from minted_good m
join delivery_unit u on u.order_line_id = m.order_line_id and u.unit_no = m.unit_no
join order_line l on l.id = m.order_line_id
join shop_order o on o.id = l.order_id
left join minted_use w on w.minted_id = m.id and w.use_no = 1 and w.voided_at is null
where m.code_fingerprint = $1 and m.kind <> 'link'
"""
_LOCK_USE = """
select w.id, w.minted_id, w.use_no, w.at, w.place, w.reference, w.voided_at, m.uses, m.masked, l.order_id
from minted_use w join minted_good m on m.id = w.minted_id join order_line l on l.id = m.order_line_id
where w.id = $1 and m.kind <> 'link'
for update of m, w
"""
_VOID = "update minted_use set voided_at = now(), void_reason = $2 where id = $1"
