"""One batch: what its file says before anything counts, how far it is, its rows, and how it goes on."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.catalog.accounts import fields_of
from app.catalog.pages.shared import either
from app.issuing import queries, service, words
from app.issuing.models import IssueState, RowState
from app.issuing.pages.listing import home, shared
from app.kernel import csvfile, history
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.i18n import gettext
from app.kernel.web import AnyRequest, fragment, is_partial, page, see_other
from tenants.directory import Tenant
from tenants.session import Tx, raw

_SHOWN: Final = 100
_MOST_LINES: Final = 100_000
_R = RowState
ROWS: Final = {
    "failed": (N_("Failed to deliver"), (_R.FAILED,), "bad"),
    "open": (N_("On their way"), (_R.WAITING, _R.ORDERED), ""),
    "delivered": (N_("Delivered"), (_R.DELIVERED,), ""),
    "given_up": (N_("Not sent"), (_R.GIVEN_UP,), ""),
    "all": (N_("All"), tuple(_R), ""),
}
LINES: Final = {"all": (N_("All"), None), "bad": (N_("Bad"), False), "duplicate": (N_("Duplicate"), True)}
_WORKS = (IssueState.RUNNING, IssueState.PAUSED)


class IssuePages(Controller):
    path = "/m/{tenant_slug:str}/issues/{issue_no:str}"
    guards = (may(Permission.ISSUE_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, issue_no: FromPath[str]) -> Response[str]:
        """The batch as its state asks for. `?lines=` chooses lines of the file, `?rows=` and `?after=` its recipients."""
        context = await _context(request, await raw(session), tenant, issue_no)
        return either(request, "issuing/show.html", "issuing/_batch.html", **context)

    @get("/progress")
    async def progress(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, issue_no: FromPath[str]
    ) -> Response[str]:
        """How far it is; when its state is no longer as the page knew it, htmx is told to open the page again."""
        tx = await raw(session)
        if not is_partial(request):
            return page(request, "issuing/show.html", **await _context(request, tx, tenant, issue_no))
        batch = await queries.one_or_404(tx, issue_no)
        context = {**shared(request, tenant), **await _standing(tx, tenant, batch)}
        changed = request.query_params.get("seen") != context["seen"]
        return fragment(request, "issuing/_progress.html", headers={"HX-Refresh": "true"} if changed else {}, **context)

    @get("/bad-lines")
    async def bad_lines(self, session: AsyncSession, *, issue_no: FromPath[str]) -> Response[bytes]:
        """The lines that are no rows as CSV: numbers, masks and every problem, never what stood there."""
        tx = await raw(session)
        batch = await queries.one_or_404(tx, issue_no)
        lines = await queries.bad_lines(tx, batch["id"], duplicates=None, limit=_MOST_LINES)
        head = [gettext(N_("Line")), gettext(N_("Content, masked")), gettext(N_("Problem"))]
        body = csvfile.write(head, [(line["line_no"], line["masked"], words.problems(line)) for line in lines])
        name = f"{batch['batch_no']}-bad-lines.csv"
        return Response(body, media_type=csvfile.MEDIA_TYPE, headers={"Content-Disposition": f'attachment; filename="{name}"'})

    @post("/confirmation", guards=[may(Permission.ISSUE)])
    async def confirm(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, issue_no: FromPath[str]
    ) -> Response[Any]:
        """Begin. Raises: NotFound, NobodyToSendTo, NotAsShown."""
        return await _act(
            request, session, tenant, issue_no, _Act(service.confirm, actor, N_("Begun. The page shows how far it is."))
        )

    @post("/abandonment", guards=[may(Permission.ISSUE)])
    async def abandon(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, issue_no: FromPath[str]
    ) -> Response[Any]:
        """Throw it away before it counts. Raises: NotFound, NotAsShown."""
        return await _act(request, session, tenant, issue_no, _Act(service.abandon, actor, N_("Abandoned. Nothing was sent.")))

    @post("/pause", guards=[may(Permission.ISSUE)])
    async def pause(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, issue_no: FromPath[str]
    ) -> Response[Any]:
        """Order no more for now. Raises: NotFound, NotAsShown."""
        said = N_("Paused. What is ordered already is still delivered.")
        return await _act(request, session, tenant, issue_no, _Act(service.pause, actor, said))

    @post("/resumption", guards=[may(Permission.ISSUE)])
    async def resume(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, issue_no: FromPath[str]
    ) -> Response[Any]:
        """Go on. Raises: NotFound, NotAsShown."""
        return await _act(request, session, tenant, issue_no, _Act(service.resume, actor, N_("It goes on.")))

    @post("/cancellation", guards=[may(Permission.ISSUE)])
    async def give_up_rest(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, issue_no: FromPath[str]
    ) -> Response[Any]:
        """Send nothing to those who still wait. Raises: NotFound, NotAsShown."""
        said = N_("The rest is not sent. What is ordered already is still delivered.")
        return await _act(request, session, tenant, issue_no, _Act(service.give_up_rest, actor, said))

    @post("/retries", guards=[may(Permission.ISSUE)])
    async def try_again(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, issue_no: FromPath[str]
    ) -> Response[Any]:
        """Try what failed again, each row once. Raises: NotFound, NotAsShown."""
        return await _act(request, session, tenant, issue_no, _Act(service.try_again, actor, N_("What failed is tried again.")))


Verb = Callable[..., Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class _Act:
    """One button: its verb, who pressed it, and what he is told."""

    verb: Verb
    actor: Actor
    said: str


async def _act(request: AnyRequest, session: AsyncSession, tenant: Tenant, issue_no: str, act: _Act) -> Response[Any]:
    tx = await raw(session)
    batch = await queries.one_or_404(tx, issue_no, lock=True)
    await act.verb(tx, batch, actor=act.actor)
    return see_other(request, f"{home(tenant)}/{issue_no}", flash=act.said)


async def _context(request: AnyRequest, tx: Tx, tenant: Tenant, issue_no: str) -> dict[str, Any]:
    batch = await queries.one_or_404(tx, issue_no)
    charged, taken_off = await queries.owed_minor(tx, batch["id"])
    common = {
        **shared(request, tenant),
        **await _standing(tx, tenant, batch),
        "fields": fields_of(json.loads(batch["asked"])),
        "goods": await queries.goods_or_none(tx, batch["listing_id"]),
        "charged_minor": charged,
        "taken_off_minor": taken_off,
        "story": words.told(await history.of_subjects(tx, [batch["id"]], limit=50)),
    }
    return common | await _lines(request, tx, common) | await _rows(request, tx, common)


async def _standing(tx: Tx, tenant: Tenant, batch: asyncpg.Record) -> dict[str, Any]:
    """How far a batch is, and what it stands still for."""
    by_state = await queries.rows_by_state(tx, batch["id"])
    waiting, failed = by_state.get(_R.WAITING, 0), by_state.get(_R.FAILED, 0)
    free = await tx.fetchval("select available - allotted from stock where sku_id = $1", batch["sku_id"]) or 0
    return {
        "batch": batch,
        "here": f"{home(tenant)}/{batch['batch_no']}",
        "by_state": by_state,
        "done": sum(by_state.get(state, 0) for state in (_R.DELIVERED, _R.FAILED, _R.GIVEN_UP)),
        "lacking": max(0, waiting - free) if batch["state"] == IssueState.RUNNING else 0,
        "works": batch["state"] in _WORKS and bool(waiting or by_state.get(_R.ORDERED)),
        "seen": f"{batch['state']}.{failed}",
    }


async def _lines(request: AnyRequest, tx: Tx, standing: dict[str, Any]) -> dict[str, Any]:
    batch, here = standing["batch"], standing["here"]
    bad, duplicate = batch["bad_count"], batch["duplicate_count"]
    counts = {"all": bad + duplicate, "bad": bad, "duplicate": duplicate}
    asked = request.query_params.get("lines", "")
    view = asked if asked in LINES else "all"
    lines = await queries.bad_lines(tx, batch["id"], duplicates=LINES[view][1], limit=_SHOWN) if counts["all"] else []
    return {
        "lines": [(line, words.problems(line)) for line in lines],
        "line_views": [
            {"label": gettext(word), "href": f"{here}?lines={name}#lines", "count": counts[name], "current": name == view}
            for name, (word, _) in LINES.items()
        ],
        "more_lines": counts[view] - len(lines),
    }


async def _rows(request: AnyRequest, tx: Tx, standing: dict[str, Any]) -> dict[str, Any]:
    by_state, batch = standing["by_state"], standing["batch"]
    counts = {name: sum(by_state.get(state, 0) for state in states) for name, (_, states, _tone) in ROWS.items()}
    asked, after = request.query_params.get("rows", ""), request.query_params.get("after", "")
    view = asked if asked in ROWS else "failed" if counts["failed"] else "all"
    start = int(after) if after.isascii() and after.isdigit() and len(after) < 9 else 0
    rows = await queries.rows_of(tx, batch["id"], ROWS[view][1], after=start, limit=_SHOWN + 1)
    last = rows[_SHOWN - 1]["row_no"] if len(rows) > _SHOWN else 0
    return {
        "rows": [(row, words.why(row) if row["state"] == _R.FAILED else "") for row in rows[:_SHOWN]],
        "rows_view": view,
        "row_views": [
            {
                "label": gettext(word),
                "href": f"{standing['here']}?rows={name}",
                "count": counts[name],
                "tone": tone if counts[name] else "",
                "current": name == view,
            }
            for name, (word, _, tone) in ROWS.items()
        ],
        "more_rows": f"{standing['here']}?rows={view}&after={last}" if last else "",
        "first_rows": f"{standing['here']}?rows={view}" if start else "",
    }
