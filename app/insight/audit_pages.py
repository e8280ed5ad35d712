"""The audit trail: every privileged act, who did it, to what and why; whether its chain holds; and a file of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.kernel import audit, clock, csvfile, i18n
from app.kernel.actor import ActorKind
from app.kernel.errors import N_, BadRequest
from app.kernel.history import facts_of
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant
from tenants.session import Tx, raw

_PAGE: Final = 50
_MOST_EXPORTED: Final = 50_000
_LONGEST: Final = 80
ACTIONS: Final[Mapping[str, str]] = {
    "card_key.revealed": N_("Showed a key"),
    "card_key.reveals_stopped": N_("Was stopped from showing more keys"),
    "card_key.mailed": N_("Mailed a key"),
    "card_key.voided": N_("Voided a key"),
    "order.refunded": N_("Refunded an order"),
    "refund.sent_again": N_("Sent a declined refund again"),
    "case.closed": N_("Closed a case"),
    "attempt.sent_again": N_("Bought a unit again"),
    "attempt.marked_failed": N_("Marked a purchase as failed"),
    "attempt.override_proposed": N_("Said that a purchase never took place"),
    "attempt.override_approved": N_("Approved a colleague's word on a purchase"),
    "attempt.override_declined": N_("Declined a colleague's word on a purchase"),
    "gateway.connected": N_("Connected a gateway"),
    "gateway.replaced": N_("Replaced a gateway's account"),
    "gateway.fee_set": N_("Set a gateway's fee"),
    "import_batch.uploaded": N_("Uploaded keys"),
    "import_batch.importing": N_("Confirmed an import"),
    "import_batch.imported": N_("Put a batch back on sale"),
    "import_batch.abandoned": N_("Abandoned an import"),
    "import_batch.quarantined": N_("Stopped a batch"),
    "issue_batch.uploaded": N_("Uploaded a company's recipients"),
    "company_payment.booked": N_("Booked a company's payment"),
    "company_payment.taken_back": N_("Took a company's payment back"),
    "issue_batch.confirmed": N_("Began to send a company's batch"),
    "issue_batch.paused": N_("Paused a company's batch"),
    "issue_batch.resumed": N_("Resumed a company's batch"),
    "issue_batch.abandoned": N_("Abandoned a company's batch"),
    "issue_batch.rest_given_up": N_("Gave up the rest of a company's batch"),
    "issue_batch.tried_again": N_("Had what failed of a company's batch tried again"),
    "replenishment.asked": N_("Asked a supplier for more"),
    "replenishment.confirmed": N_("Wrote down a supplier's answer"),
    "replenishment.cancelled": N_("Cancelled a replenishment"),
    "replenishment.done": N_("Closed a replenishment"),
    "replenishment.batch_linked": N_("Linked a batch to a replenishment"),
    "supplier_desk.made": N_("Made a supplier's private link"),
    "supplier_desk.revoked": N_("Took a supplier's private link away"),
    "sku.restock_set": N_("Set whom a SKU asks for more"),
    "price_rule.added": N_("Added a price rule"),
    "price_rule.changed": N_("Changed a price rule"),
    "price_rule.switched_on": N_("Switched a price rule on"),
    "price_rule.switched_off": N_("Switched a price rule off"),
    "buyer_level.added": N_("Made a buyer level"),
    "buyer_level.removed": N_("Took a buyer level away"),
    "customer.level_given": N_("Gave a buyer a level"),
    "sku.floor_set": N_("Set a SKU's least margin"),
    "category.renamed": N_("Renamed a category"),
    "category.deleted": N_("Deleted a category"),
    "product.created": N_("Created a product"),
    "product.changed": N_("Changed a product"),
    "product.on_sale": N_("Put a product on sale"),
    "product.off_sale": N_("Took a product off sale"),
    "product.account_bound": N_("Bound a product to what its buyers prove, or let it go"),
    "product.rules_changed": N_("Changed the rules of a product's codes"),
    "product.contents_changed": N_("Changed what is in a bundle"),
    "product.content_changed": N_("Changed what a link opens"),
    "product.file_added": N_("Added a file to a product"),
    "product.file_removed": N_("Removed a product's file"),
    "minted_good.revealed": N_("Showed a code"),
    "minted_good.used": N_("Used a code or opened a link"),
    "minted_good.use_voided": N_("Took a use of a code back"),
    "minted_good.revoked": N_("Took a code or link back"),
    "webhook.added": N_("Added a webhook"),
    "webhook.changed": N_("Changed a webhook"),
    "webhook.secret_rolled": N_("Made a new secret for a webhook"),
    "webhook.on": N_("Switched a webhook on"),
    "webhook.off": N_("Switched a webhook off"),
    "webhook.removed": N_("Removed a webhook"),
    "api_client.created": N_("Made an API key"),
    "api_client.rolled": N_("Made a new secret for an API key"),
    "api_client.revoked": N_("Revoked an API key"),
    "storefront.changed": N_("Changed the shop's face"),
    "domain.claimed": N_("Named a domain"),
    "domain.verified": N_("Proved a domain"),
    "domain.dropped": N_("Gave a domain up"),
    "team.invited": N_("Invited a colleague"),
    "team.invitation_withdrawn": N_("Withdrew an invitation"),
    "team.joined": N_("Joined the team"),
    "team.role_changed": N_("Changed a role"),
    "team.removed": N_("Removed a colleague"),
    "tenant.opened": N_("Opened the business"),
    "tenant.view_started": N_("An operator began to look"),
    "tenant.view_ended": N_("An operator stopped looking"),
    "tenant.viewed": N_("An operator looked at a page"),
    "audit.exported": N_("Exported the audit trail"),
}


_FACTS: Final[Mapping[str, str]] = {
    "masked": N_("Key"),
    "unit_no": N_("Unit"),
    "units": N_("Units"),
    "order_no": N_("Order"),
    "refund_no": N_("Refund"),
    "batch_no": N_("Batch"),
    "amount_minor": N_("Amount in minor units"),
    "currency": N_("Currency"),
    "name": N_("Name"),
    "slug": N_("Shop address"),
    "host": N_("Domain"),
    "gateway": N_("Gateway"),
    "keys": N_("Keys"),
    "entries": N_("Entries"),
    "state": N_("State"),
    "delivered": N_("Delivered"),
    "no": N_("Replenishment"),
    "lines": N_("Lines"),
    "rows": N_("Rows"),
    "offers": N_("Offers"),
    "connection": N_("Connection"),
    "product": N_("Product"),
    "sku": N_("SKU"),
    "cost": N_("Cost"),
    "code": N_("Channel code"),
    "url": N_("Address"),
    "topics": N_("Told of"),
}
"""What the facts of an entry are called to a reader; the export keeps their own names."""


class UnknownSearch(BadRequest):
    message = N_("The audit trail cannot be searched by %(name)s = “%(value)s”. Clear the search and choose again.")


@dataclass(frozen=True, slots=True)
class Search:
    """What is looked for: the start of an action's name, a part of an actor's, an object's kind or id, days, and where the page starts."""

    action: str = ""
    actor: str = ""
    subject: str = ""
    since: date | None = None
    until: date | None = None
    before: int | None = None

    @property
    def narrows(self) -> bool:
        return replace(self, before=None) != Search()

    def query(self) -> str:
        """The search as an address."""
        named = {
            "action": self.action,
            "actor": self.actor,
            "object": self.subject,
            "from": self.since,
            "to": self.until,
            "before": self.before,
        }
        return urlencode({name: value for name, value in named.items() if value})


class AuditPages(Controller):
    path = "/m/{tenant_slug:str}/audit"
    guards = (may(Permission.AUDIT_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """The trail, newest first. Raises: UnknownSearch."""
        search = _read(request)
        tx = await raw(session)
        rows = await _find(tx, search, _PAGE + 1)
        has_more, rows = len(rows) > _PAGE, rows[:_PAGE]
        return page(
            request,
            "audit/index.html",
            path=f"/m/{tenant.slug}/audit",
            search=search,
            entries=[_shown(row) for row in rows],
            length=await tx.fetchval("select coalesce(max(seq), 0) from audit_entry"),
            next_href=f"/m/{tenant.slug}/audit?{replace(search, before=rows[-1]['seq']).query()}" if has_more else "",
            first_href=f"/m/{tenant.slug}/audit?{replace(search, before=None).query()}" if search.before else "",
            actions=[(name, i18n.gettext(word)) for name, word in ACTIONS.items()],
        )

    @post("/checks")
    async def check(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[None]:
        """Compute the whole chain again and say whether it holds."""
        broken = await audit.first_broken(session)
        told = (
            N_("The chain holds: every entry fits the one before it.")
            if broken is None
            else N_("Entry %(seq)s does not fit the chain. Tell the platform's operator.")
        )
        facts = {} if broken is None else {"seq": broken}
        return see_other(request, f"/m/{tenant.slug}/audit", flash=told, tone="ok" if broken is None else "bad", **facts)

    @post("/exports")
    async def export(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[bytes]:
        """The entries a search finds as CSV, at most fifty thousand, oldest last; the export itself is an entry."""
        search = replace(_read(request), before=None)
        tx = await raw(session)
        rows = await _find(tx, search, _MOST_EXPORTED)
        actor = request.scope["state"]["actor"]
        await audit.record(
            tx, actor, "audit.exported", subject=("audit", None), facts={"entries": len(rows), "search": search.query()}
        )
        body = csvfile.write(_HEAD, [_cells(row) for row in rows])
        name = f"audit-{tenant.slug}-{clock.business_day().isoformat()}.csv"
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return Response(body, media_type=csvfile.MEDIA_TYPE, headers=headers, status_code=200)


def _read(request: AnyRequest) -> Search:
    """The search an address names. Raises: UnknownSearch for any other name or value."""
    made: dict[str, Any] = {}
    readers: dict[str, Callable[[str], Any]] = {
        "action": str,
        "actor": str,
        "object": str,
        "from": _day,
        "to": _day,
        "before": _seq,
    }
    for name, value in request.query_params.multi_items():
        if name == "lang" or (value == "" and name in readers):
            continue
        try:
            if name not in readers or _FIELDS[name] in made or len(value) > _LONGEST or not value.isprintable():
                raise ValueError(name)
            made[_FIELDS[name]] = readers[name](value.strip())
        except ValueError:
            shown = "".join(sign if sign.isprintable() else "?" for sign in value[:40])
            raise UnknownSearch(name="".join(sign if sign.isprintable() else "?" for sign in name[:40]), value=shown) from None
    return Search(**made)


def _day(text: str) -> date:
    if len(text) != len("2026-11-21") or not text.isascii():
        raise ValueError(text)
    found = date.fromisoformat(text)
    if not date(2000, 1, 1) <= found <= date(2200, 1, 1):
        raise ValueError(text)
    return found


def _seq(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise ValueError(text)
    return int(text)


async def _find(tx: Tx, search: Search, limit: int) -> list[asyncpg.Record]:
    first: datetime | None = clock.day_starts(search.since) if search.since else None
    after = clock.day_starts(search.until + timedelta(days=1)) if search.until else None
    subject_id = _uuid(search.subject)
    kind = search.subject if search.subject and subject_id is None else None
    return await tx.fetch(_SEARCH, search.action, search.actor, kind, subject_id, first, after, search.before, limit)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None


def _shown(row: asyncpg.Record) -> dict[str, Any]:
    """An entry for a reader: its action in words, its facts as before → after where they say so."""
    facts = facts_of(row)
    word = ACTIONS.get(row["action"])
    lines = []
    for fact, value in facts.items():
        name = i18n.gettext(_FACTS[fact]) if fact in _FACTS else fact
        if isinstance(value, dict) and set(value) == {"before", "after"}:
            lines.append((name, f"{_plain(value['before'])} → {_plain(value['after'])}"))
        else:
            lines.append((name, _plain(value)))
    return {
        **dict(row),
        "word": i18n.gettext(word) if word else row["action"],
        "lines": lines,
        "is_operator": row["actor_kind"] == ActorKind.OPERATOR,
    }


def _plain(value: object) -> str:
    if value in (None, ""):
        return "–"
    return str(value) if isinstance(value, str | int) else json.dumps(value, ensure_ascii=False)


def _cells(row: asyncpg.Record) -> list[csvfile.Cell]:
    facts = json.dumps(facts_of(row), ensure_ascii=False, sort_keys=True)
    subject = str(row["subject_id"]) if row["subject_id"] else ""
    return [
        row["seq"],
        row["at"],
        row["actor_kind"],
        row["actor_name"],
        row["action"],
        row["subject_kind"],
        subject,
        row["reason"],
        facts,
    ]


_FIELDS: Final = {"action": "action", "actor": "actor", "object": "subject", "from": "since", "to": "until", "before": "before"}
_HEAD: Final = ("seq", "at", "actor_kind", "actor", "action", "object", "object_id", "reason", "facts")
_SEARCH = """
select seq, at, actor_kind, actor_name, action, subject_kind, subject_id, reason, facts
from audit_entry
where starts_with(action, $1)
  and position(lower($2) in lower(actor_name)) > 0
  and ($3::text is null or subject_kind = $3 or position(lower($3) in lower(facts::text)) > 0)
  and ($4::uuid is null or subject_id = $4)
  and ($5::timestamptz is null or at >= $5)
  and ($6::timestamptz is null or at < $6)
  and ($7::bigint is null or seq < $7)
order by seq desc
limit $8
"""
