"""The console's pages. To everybody but operators they are not there."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler
from pydantic import StringConstraints

from app.access.guards import identify, logged_in, operator
from app.access.models import MemberRole
from app.console import lookout, queries, service, shell
from app.console.queries import PAGE_SIZE, Asked
from app.insight import alarms
from app.kernel import audit, bell, clock, history, links, templating
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Form, InvalidForm, RawForm, parse
from app.kernel.i18n import gettext
from app.kernel.web import AnyRequest, fragment, is_partial, page, see_other
from app.settings import settings
from tenants import operating
from tenants.directory import PLATFORM, TenantState
from tenants.migrating import head
from tenants.session import tenant_tx

_MOST_PAGES = 1_000
_AUDIT_PAGE = 50
_GUARDS = [operator, shell.enter]
_STATES: dict[str, tuple[str, str]] = {
    TenantState.ACTIVE: (N_("Open for business"), "ok"),
    TenantState.SUSPENDED: (N_("Suspended"), "warn"),
    TenantState.CLOSED: (N_("Closed for good"), ""),
    TenantState.SPARE: (N_("In reserve"), "info"),
}
templating.register_states("tenant", _STATES)
Reason = Annotated[str, StringConstraints(min_length=2, max_length=300, pattern=r"^[^\n\r]*$")]
"""Why an operator does something: one line that the audit trail keeps."""


class SuspensionForm(Form):
    suspend_reason: Reason


class ReopeningForm(Form):
    reopen_reason: Reason


class PausingForm(Form):
    pauses_on_breach: bool = False


class ViewForm(Form):
    view_reason: Reason


class TenantPages(Controller):
    """Who the tenants are."""

    path = "/console"
    guards = _GUARDS

    @get()
    async def index(self, request: AnyRequest) -> Response[str]:
        asked = Asked(_word(request, "q"), _one_of(request, "state", _STATES), _page_no(request))
        async with tenant_tx(PLATFORM) as tx:
            found = await queries.tenants(tx, asked)
            counts = await queries.tenants_by_state(tx, asked.words)
            known = counts if not asked.words else await queries.tenants_by_state(tx, "")
        total = counts.get(asked.state, 0) if asked.state else sum(counts.values())
        return page(
            request,
            "console/index.html",
            asked=asked,
            tenants=found,
            total=total,
            known=sum(known.values()),
            views=[_view(asked, state, counts) for state in ("", TenantState.ACTIVE, TenantState.SUSPENDED, TenantState.CLOSED)],
            first=(asked.page - 1) * PAGE_SIZE + 1,
            previous_href=_list_href(replace(asked, page=asked.page - 1)) if asked.page > 1 else "",
            next_href=_list_href(replace(asked, page=asked.page + 1)) if asked.page * PAGE_SIZE < total else "",
        )

    @get("/tenants/{tenant_id:uuid}")
    async def show(self, request: AnyRequest, tenant_id: FromPath[UUID]) -> Response[str]:
        return page(request, _SHOW, **await _facts(tenant_id))

    @post("/tenants/{tenant_id:uuid}/suspension")
    async def suspend(self, request: AnyRequest, tenant_id: FromPath[UUID], actor: Actor, sent: RawForm) -> Response[Any]:
        facts = await _facts(tenant_id)
        tenant = await service.tenant_or_404(tenant_id)
        form = _suspension(sent, tenant.slug, facts)
        await service.suspend(tenant, reason=form.suspend_reason, actor=actor)
        return see_other(
            request, _href(tenant_id), flash=N_("%(name)s is suspended, its shops show that they are closed."), name=tenant.name
        )

    @post("/tenants/{tenant_id:uuid}/reopening")
    async def reopen(self, request: AnyRequest, tenant_id: FromPath[UUID], actor: Actor, sent: RawForm) -> Response[Any]:
        form = parse(ReopeningForm, sent, retry=_SHOW, **await _facts(tenant_id))
        tenant = await service.tenant_or_404(tenant_id)
        await service.reopen(tenant, reason=form.reopen_reason, actor=actor)
        return see_other(request, _href(tenant_id), flash=N_("%(name)s is open again."), name=tenant.name)

    @post("/tenants/{tenant_id:uuid}/pausing")
    async def choose_pausing(self, request: AnyRequest, tenant_id: FromPath[UUID], actor: Actor, sent: RawForm) -> Response[Any]:
        form = parse(PausingForm, sent, retry=_SHOW, **await _facts(tenant_id))
        tenant = await service.tenant_or_404(tenant_id)
        await service.choose_pausing(tenant, wanted=form.pauses_on_breach, actor=actor)
        return see_other(request, _href(tenant_id), flash=N_("Saved."))

    @post("/tenants/{tenant_id:uuid}/view")
    async def view(self, request: AnyRequest, tenant_id: FromPath[UUID], actor: Actor, sent: RawForm) -> Response[Any]:
        form = parse(ViewForm, sent, retry=_SHOW, **await _facts(tenant_id))
        tenant = await service.tenant_or_404(tenant_id)
        identity = await identify(request)
        assert identity is not None
        await service.start_view(tenant, identity, reason=form.view_reason, actor=actor)
        return see_other(request, f"/m/{tenant.slug}")


@post("/view/end", guards=[logged_in])
async def end_view(request: AnyRequest, actor: Actor) -> Response[Any]:
    """Back to the console, to the tenant that was looked at."""
    identity = await identify(request)
    assert identity is not None
    tenant = await service.end_view(identity, actor=actor)
    return see_other(request, _href(tenant.id) if tenant else "/console", flash=N_("You have left the merchant's pages."))


class WorkPages(Controller):
    """The work that waits, in every home."""

    path = "/console/tasks"
    guards = _GUARDS

    @get()
    async def index(self, request: AnyRequest) -> Response[str]:
        seen = await lookout.look()
        if is_partial(request):
            return fragment(request, "console/_tasks.html", seen=seen)
        return page(request, "console/tasks.html", seen=seen)

    @post("/{home_id:uuid}/{task_id:uuid}/retries")
    async def retry(self, request: AnyRequest, home_id: FromPath[UUID], task_id: FromPath[UUID], actor: Actor) -> Response[Any]:
        kind = await service.retry_task(await service.home_or_404(home_id), task_id, actor=actor)
        return see_other(request, "/console/tasks", flash=N_("%(kind)s is tried again."), kind=kind)


class StatePages(Controller):
    """How the installation is."""

    path = "/console"
    guards = _GUARDS

    @get("/migrations")
    async def migrations(self, request: AnyRequest) -> Response[str]:
        newest, newest_platform = await asyncio.to_thread(head, "tenant"), await asyncio.to_thread(head, "public")
        async with tenant_tx(PLATFORM) as tx:
            at = await queries.revisions(tx)
            behind = await queries.behind(tx, newest)
            platform_at = await queries.platform_revision(tx)
        return page(
            request,
            "console/migrations.html",
            head=newest,
            platform_head=newest_platform,
            platform_at=platform_at,
            revisions=at,
            behind=behind,
            total=sum(row["schemas"] for row in at),
            total_behind=sum(row["schemas"] for row in at if row["revision"] != newest),
        )

    @get("/health")
    async def health(self, request: AnyRequest) -> Response[str]:
        async with tenant_tx(PLATFORM) as tx:
            database = await queries.database_state(tx)
            found = await alarms.recent(tx)
        facts: dict[str, Any] = {
            "database": database,
            "queue": await bell.queue_state(),
            "seen": await lookout.look(),
            "alarms": found,
            "wanted_spares": settings().spare_tenants,
            "at": clock.now(),
        }
        if is_partial(request):
            return fragment(request, "console/_health.html", **facts)
        return page(request, "console/health.html", **facts)

    @get("/audit")
    async def audit_trail(self, request: AnyRequest) -> Response[str]:
        action, by = _word(request, "action"), _word(request, "actor")
        before, wants_check = _whole(request, "before"), _word(request, "check") == "1"
        async with tenant_tx(PLATFORM) as tx:
            entries = await audit.search(tx, action=action, actor=by, before_seq=before, limit=_AUDIT_PAGE + 1)
            broken = await audit.first_broken(tx) if wants_check else None
        shown = entries[:_AUDIT_PAGE]
        more = {"action": action, "actor": by, "before": shown[-1]["seq"]} if len(entries) > _AUDIT_PAGE else None
        return page(
            request,
            "console/audit.html",
            entries=[_entry(row) for row in shown],
            asked={"action": action, "actor": by},
            before=before,
            is_checked=wants_check,
            broken=broken,
            next_href=f"/console/audit?{urlencode(more)}" if more else "",
        )


CONSOLE: list[ControllerRouterHandler] = [TenantPages, WorkPages, StatePages, end_view]
_SHOW = "console/show.html"


def _suspension(sent: RawForm, slug: str, facts: dict[str, Any]) -> SuspensionForm:
    """The form, with the address typed as it is. Raises: InvalidForm with every fault."""
    wrong = {} if sent.get("typed_slug").strip() == slug else {"typed_slug": gettext(_NOT_THE_ADDRESS)}
    try:
        form = parse(SuspensionForm, sent)
    except InvalidForm as refusal:
        raise InvalidForm({**wrong, **refusal.errors}, refusal.values, _SHOW, facts) from None
    if wrong:
        raise InvalidForm(wrong, sent.values(), _SHOW, facts)
    return form


_NOT_THE_ADDRESS = N_("Type the address exactly as it stands above.")


async def _facts(tenant_id: UUID) -> dict[str, Any]:
    """What the page of one tenant shows. Raises: NotFound."""
    tenant = await service.tenant_or_404(tenant_id)
    newest = await asyncio.to_thread(head, "tenant")
    async with tenant_tx(PLATFORM) as tx:
        row = await queries.tenant_or_404(tx, tenant_id)
        return {
            "subject": row,
            "domains": await operating.domains_of(tx, tenant_id),
            "members": [_place(found) for found in await queries.members_by_role(tx, tenant_id)],
            "events": [_told(event) for event in await history.of_subjects(tx, [tenant_id], limit=50)],
            "shop_url": links.shop(tenant),
            "is_current": row["revision"] == newest,
        }


_ROLES = {
    MemberRole.OWNER: N_("Owner"),
    MemberRole.OPERATOR: N_("Operations"),
    MemberRole.FINANCE_MAKER: N_("Finance, makes"),
    MemberRole.FINANCE_CHECKER: N_("Finance, checks"),
    MemberRole.SUPPORT: N_("Support"),
    MemberRole.READ_ONLY: N_("Read only"),
}
_EVENTS = {
    "tenant.suspended": (N_("Suspended"), "warn"),
    "tenant.active": (N_("Opened again"), "ok"),
    "tenant.closed": (N_("Closed for good"), ""),
    "tenant.sales_paused": (N_("Sales paused: a standing rule does not hold"), "bad"),
    "tenant.sales_resumed": (N_("Sales go on: every standing rule holds again"), "ok"),
    "tenant.restored": (N_("Restored from a backup"), "warn"),
    "tenant.reconciled": (N_("Compared with the gateways after a restore"), "ok"),
}


def _place(found: asyncpg.Record) -> tuple[str, int]:
    """A role and how many have it."""
    role = _ROLES[found["role"]]
    return gettext(role), found["people"]


def _told(event: asyncpg.Record) -> dict[str, Any]:
    """One entry of a tenant's story: what happened, by whom and why."""
    title, tone = _EVENTS.get(event["event"], (event["event"], "info"))
    note = " · ".join(part for part in (event["actor_name"], event["note"]) if part)
    return {"title": gettext(title), "note": note, "at": event["at"], "tone": tone}


def _entry(row: asyncpg.Record) -> dict[str, Any]:
    """One entry of the audit chain; its facts as words beside each other."""
    facts = " · ".join(f"{name}: {value}" for name, value in json.loads(row["facts"]).items())
    return {**row, "facts": facts}


def _view(asked: Asked, state: str, counts: Mapping[str, int]) -> dict[str, Any]:
    label = gettext(_STATES[state][0]) if state else gettext(N_("All"))
    count = counts.get(state, 0) if state else sum(counts.values())
    return {
        "label": label,
        "href": _list_href(replace(asked, state=state, page=1)),
        "count": count,
        "current": asked.state == state,
    }


def _list_href(asked: Asked) -> str:
    wanted = {"q": asked.words, "state": asked.state, "page": asked.page if asked.page > 1 else ""}
    query = urlencode({name: value for name, value in wanted.items() if value})
    return f"/console?{query}" if query else "/console"


def _href(tenant_id: UUID) -> str:
    return f"/console/tenants/{tenant_id}"


# What an address asks for: anything that cannot be meant is as if it was not there


def _word(request: AnyRequest, name: str) -> str:
    return str(request.query_params.get(name, ""))[:100].replace("\x00", "").strip()


def _one_of(request: AnyRequest, name: str, known: Iterable[str]) -> str:
    word = _word(request, name)
    return word if word in set(known) else ""


def _whole(request: AnyRequest, name: str) -> int | None:
    word = _word(request, name)
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 12 else None


def _page_no(request: AnyRequest) -> int:
    return min(max(1, _whole(request, "page") or 1), _MOST_PAGES)
