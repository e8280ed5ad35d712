"""Failure rates, and replacing what a bad batch delivered."""

from __future__ import annotations

from typing import Annotated, Any

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from pydantic import StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.aftersales import failing, queries, recalling, service
from app.aftersales.models import RateSubject
from app.catalog.pages.shared import base, either
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.forms import Form, RawForm, parse
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant
from tenants.session import Tx, raw


class ReasonForm(Form):
    """Why something is done."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class RatePages(Controller):
    path = "/m/{tenant_slug:str}/after-sales/rates"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        """The rates of the last 30 days by supplier, product and batch."""
        tx = await raw(session)
        context: dict[str, Any] = {
            "base": base(tenant),
            "home": f"{base(tenant)}/after-sales",
            "rates": await failing.rates(tx),
            "subjects": list(RateSubject),
            "policy": await service.policy_of(tx),
            "may_void": may_do(request, Permission.INVENTORY_VOID),
        }
        return page(request, "aftersales/rates.html", **context)


class RecallPages(Controller):
    path = "/m/{tenant_slug:str}/imports/{batch_no:str}/recall"
    guards = (may(Permission.INVENTORY_VOID), may(Permission.AFTERSALES_DECIDE))

    @get()
    async def ask(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, batch_no: FromPath[str]) -> Response[str]:
        """How many it concerns, and why it is done."""
        context = await _context(await raw(session), tenant, batch_no)
        return either(request, "aftersales/recall.html", "aftersales/_recall_form.html", **context)

    @post()
    async def recall(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm, batch_no: FromPath[str]
    ) -> Response[None]:
        """Replace for everybody, by a task. Raises: StillOnSale."""
        tx = await raw(session)
        context = await _context(tx, tenant, batch_no)
        form = parse(ReasonForm, sent, retry="aftersales/recall.html", **context)
        await recalling.recall(tx, context["batch"], reason=form.reason, actor=actor)
        return see_other(request, context["back"], flash=N_("Begun. The list of buyers shrinks as they are served."))


async def _context(tx: Tx, tenant: Tenant, batch_no: str) -> dict[str, Any]:
    batch: asyncpg.Record | None = await tx.fetchrow(
        "select id, batch_no, state, unit_cost, currency from import_batch where batch_no = $1", batch_no
    )
    if batch is None:
        raise NotFound
    return {
        "base": base(tenant),
        "batch": batch,
        "back": f"{base(tenant)}/imports/{batch_no}",
        "affected": await queries.affected(tx, batch["id"]),
        "most": recalling.MOST,
    }
