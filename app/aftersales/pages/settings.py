"""The rules of after-sales: what settles itself, how long anybody may take, when a rate alarms, and what staff often say."""

from __future__ import annotations

from typing import Annotated, Any

from litestar import Controller, Response, get, post
from pydantic import AfterValidator, Field
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.aftersales import service
from app.aftersales.models import RemedyKind
from app.aftersales.rules import Policy
from app.catalog.pages.shared import base
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Amount, Count, Form, RawForm, Text, fail, parse
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant
from tenants.session import Tx, raw

_PAGE = "aftersales/settings.html"
MOST_REPLIES = 30
LONGEST_REPLY = 500


def _replies(value: str) -> str:
    found = lines(value)
    if len(found) > MOST_REPLIES:
        raise fail(N_("At most %(most)s replies."), most=MOST_REPLIES)
    if any(len(one) > LONGEST_REPLY for one in found):
        raise fail(N_("A reply has at most %(most)s characters."), most=LONGEST_REPLY)
    return value


def lines(text: str) -> list[str]:
    """The lines of a text that say something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


class PolicyForm(Form):
    auto_most: Annotated[Amount, Field(le=100_000_00)] = 0
    prefers: RemedyKind = RemedyKind.REPLACE
    auto_per_buyer: Annotated[Count, Field(le=100)] = 2
    auto_per_day: Annotated[Count, Field(le=100_000)] = 50
    report_days: Annotated[Count, Field(ge=1, le=365)] = 30
    staff_hours: Annotated[Count, Field(ge=1, le=720)] = 24
    buyer_hours: Annotated[Count, Field(ge=1, le=720)] = 72
    rate_percent: Annotated[Count, Field(ge=1, le=100)] = 5
    rate_least: Annotated[Count, Field(ge=1, le=10_000)] = 5
    replies: Annotated[Text, AfterValidator(_replies)] = ""


class PolicyPages(Controller):
    path = "/m/{tenant_slug:str}/after-sales/settings"
    guards = (may(Permission.SETTINGS_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant) -> Response[str]:
        return page(request, _PAGE, **await _context(request, await raw(session), tenant))

    @post(guards=[may(Permission.SETTINGS_EDIT)])
    async def change(
        self, request: AnyRequest, session: AsyncSession, *, tenant: Tenant, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        tx = await raw(session)
        form = parse(PolicyForm, sent, retry=_PAGE, **await _context(request, tx, tenant))
        await service.set_policy(tx, _policy(form), actor=actor)
        return see_other(request, f"{base(tenant)}/after-sales/settings", flash=N_("Saved."))


async def _context(request: AnyRequest, tx: Tx, tenant: Tenant) -> dict[str, Any]:
    return {
        "base": base(tenant),
        "home": f"{base(tenant)}/after-sales",
        "policy": await service.policy_of(tx),
        "may_edit": may_do(request, Permission.SETTINGS_EDIT),
    }


def _policy(form: PolicyForm) -> Policy:
    return Policy(
        auto_most_minor=form.auto_most,
        prefers=form.prefers,
        auto_per_buyer=form.auto_per_buyer,
        auto_per_day=form.auto_per_day,
        report_days=form.report_days,
        staff_hours=form.staff_hours,
        buyer_hours=form.buyer_hours,
        rate_bp=form.rate_percent * 100,
        rate_least=form.rate_least,
        replies=tuple(lines(form.replies)),
    )
