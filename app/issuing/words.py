"""How batches for companies read: their states and their rows', why a row failed, and what happened."""

from __future__ import annotations

import json
from typing import Any, Final

import asyncpg

from app.issuing.models import IssueState, RowState
from app.kernel.actor import ActorKind
from app.kernel.errors import N_
from app.kernel.history import facts_of
from app.kernel.i18n import filled, format_number, gettext
from app.kernel.templating import register_states

_S, _R = IssueState, RowState
register_states(
    "issue_batch",
    {
        _S.READY: (N_("To confirm"), "warn"),
        _S.RUNNING: (N_("Being sent"), "info"),
        _S.PAUSED: (N_("Paused"), "warn"),
        _S.ENDED: (N_("All sent"), "ok"),
        _S.ABANDONED: (N_("Abandoned"), ""),
    },
)
register_states(
    "issue_row",
    {
        _R.WAITING: (N_("Waits"), ""),
        _R.ORDERED: (N_("On its way"), "info"),
        _R.DELIVERED: (N_("Delivered"), "ok"),
        _R.FAILED: (N_("Failed to deliver"), "bad"),
        _R.GIVEN_UP: (N_("Not sent"), ""),
    },
)
NOBODY_DELIVERS: Final = N_("Nobody could deliver it.")
_REASONS: Final = {
    "bad_account": N_("The supplier does not accept the account."),
    "out_of_stock": N_("The supplier is out of stock."),
    "no_balance": N_("Our balance at the supplier is used up."),
    "price_changed": N_("The supplier's price changed."),
    "not_for_sale": N_("The supplier does not sell it now."),
    "refused": N_("The supplier refused it."),
}
_EVENTS: Final = {
    "issue_batch.ready": (N_("File read"), ""),
    "issue_batch.confirmed": (N_("Confirmed"), "info"),
    "issue_batch.paused": (N_("Paused"), "warn"),
    "issue_batch.resumed": (N_("Resumed"), "info"),
    "issue_batch.ended": (N_("Every row has come to its end"), "ok"),
    "issue_batch.abandoned": (N_("Abandoned"), ""),
    "issue_batch.rest_given_up": (N_("The rest is not sent"), "warn"),
    "issue_batch.tried_again": (N_("What failed is tried again"), "info"),
}


def why(row: asyncpg.Record) -> str:
    """Why a row failed: our word for the reason, and what the supplier said."""
    sentence = gettext(_REASONS.get(row["reason"], NOBODY_DELIVERS))
    return f"{sentence} {row['says']}".strip()


def problems(row: asyncpg.Record) -> str:
    """Everything that is wrong with a line, each with the label of its column."""
    said = []
    for one in json.loads(row["problems"]):
        sentence = filled(one["says"], one["facts"])
        said.append(f"{one['field']}: {sentence}" if one["field"] else sentence)
    return " ".join(said)


def told(story: list[asyncpg.Record]) -> list[dict[str, Any]]:
    """What happened to a batch, as a timeline shows it."""
    return [_entry(event) for event in story if event["event"] in _EVENTS]


def _entry(event: asyncpg.Record) -> dict[str, Any]:
    (title, tone), rows = _EVENTS[event["event"]], facts_of(event).get("rows")
    who = event["actor_name"] if event["actor_kind"] == ActorKind.STAFF else ""
    many = gettext(N_("%(num)s rows")) % {"num": format_number(int(rows))} if rows else ""
    return {"title": gettext(title), "note": ", ".join(filter(None, (who, many))), "at": event["at"], "tone": tone}
