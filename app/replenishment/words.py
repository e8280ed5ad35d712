"""How replenishments read: their states, and what happened to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import asyncpg

from app.kernel.actor import ActorKind
from app.kernel.errors import N_
from app.kernel.history import facts_of
from app.kernel.i18n import gettext
from app.kernel.templating import register_states
from app.replenishment.models import ReplenishmentState

_S = ReplenishmentState
register_states(
    "replenishment",
    {
        _S.ASKED: (N_("Waits for an answer"), "warn"),
        _S.CONFIRMED: (N_("Confirmed"), "info"),
        _S.SENT: (N_("Sent by the supplier"), "info"),
        _S.PARTLY_RECEIVED: (N_("Partly received"), "warn"),
        _S.DONE: (N_("Done"), "ok"),
        _S.DECLINED: (N_("Declined"), "bad"),
        _S.CANCELLED: (N_("Cancelled"), ""),
    },
)
_EVENTS = {
    "replenishment.asked": (N_("The supplier was asked"), ""),
    "replenishment.confirmed": (N_("Confirmed by the supplier"), "ok"),
    "replenishment.declined": (N_("Declined by the supplier"), "bad"),
    "replenishment.sent": (N_("Sent by the supplier"), "ok"),
    "replenishment.batch": (N_("Keys were given"), ""),
    "replenishment.partly_received": (N_("Partly received"), "warn"),
    "replenishment.done": (N_("Done"), "ok"),
    "replenishment.cancelled": (N_("Cancelled by the shop"), "bad"),
}


def timeline(rows: Sequence[asyncpg.Record]) -> list[dict[str, Any]]:
    """What happened, newest first, with who did it and what he wrote."""
    return [_entry(row, *_EVENTS[row["event"]]) for row in rows if row["event"] in _EVENTS]


def _entry(row: asyncpg.Record, title: str, tone: str) -> dict[str, Any]:
    return {"title": gettext(title), "tone": tone, "note": _note(row), "at": row["at"]}


def _note(row: asyncpg.Record) -> str:
    who = gettext(N_("By itself")) if row["actor_kind"] == ActorKind.SYSTEM else row["actor_name"]
    said = [who, facts_of(row).get("batch_no", ""), row["note"]]
    return " · ".join(part for part in said if part)
