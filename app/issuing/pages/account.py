"""What one company owes for its batches and has paid: its account, payments booked and taken back, and a statement to send it.

A company is named by one of its batches, for it has no record of its own: the name on its batches is all there is.
"""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

import asyncpg
from litestar import Controller, Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may, may_do
from app.access.permissions import Permission
from app.issuing import paying, queries
from app.issuing.forms import PaymentForm, ReasonForm
from app.issuing.pages.listing import home, shared
from app.issuing.paying import Paid
from app.kernel import clock, csvfile
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import RawForm, parse
from app.kernel.i18n import gettext
from app.kernel.ids import id_of, new_id
from app.kernel.money import plain_minor
from app.kernel.web import AnyRequest, page, see_other
from tenants.directory import Tenant
from tenants.session import Tx, raw

_PAGE: Final = "issuing/account.html"


class CompanyAccountPages(Controller):
    path = "/m/{tenant_slug:str}/issues/{issue_no:str}/account"
    guards = (may(Permission.ISSUE_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, issue_no: FromPath[str]) -> Response[str]:
        """What the company of a batch was charged, has paid and owes. Raises: NotFound."""
        return page(request, _PAGE, **await _context(request, await raw(session), tenant, issue_no))

    @get("/statement.csv")
    async def statement(self, session: AsyncSession, *, issue_no: FromPath[str]) -> Response[bytes]:
        """Charges and payments by day with what was owed after each, as CSV to send to the company. Raises: NotFound."""
        tx = await raw(session)
        batch = await queries.one_or_404(tx, issue_no)
        head = [N_("Day"), N_("What"), N_("Reference"), N_("Currency"), N_("Amount"), N_("Owed after it")]
        words = {True: gettext(N_("Payment")), False: gettext(N_("Batch"))}
        rows = [
            (
                line["day"].isoformat(), words[line["is_payment"]], line["reference"], line["currency"],
                plain_minor(line["amount_minor"]), plain_minor(line["owed_minor"]),
            )
            for line in await queries.statement_of(tx, batch["client"])
        ]  # fmt: skip
        body = csvfile.write([gettext(word) for word in head], rows)
        disposition = f'attachment; filename="{batch["batch_no"]}-statement.csv"'
        return Response(body, media_type=csvfile.MEDIA_TYPE, headers={"Content-Disposition": disposition})

    @post("/payments", guards=[may(Permission.ISSUE_PAID)])
    async def book(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm, issue_no: FromPath[str]
    ) -> Response[Any]:
        """Book what came to the bank; sent twice, it is booked once. Raises: NotFound, and the refusals of `paying.book`."""
        tx = await raw(session)
        context = await _context(request, tx, tenant, issue_no)
        form = parse(PaymentForm, sent, retry=_PAGE, **context)
        paid = Paid(
            id_of("company_payment", form.request_id),
            context["client"],
            form.amount,
            form.currency,
            form.received_on,
            form.reference,
        )
        await paying.book(tx, paid, actor=actor)
        return see_other(request, context["here"], flash=N_("Booked."))

    @post("/payments/{company_payment_id:uuid}/take-back", guards=[may(Permission.ISSUE_PAID)])
    async def take_back(
        self,
        request: AnyRequest,
        session: AsyncSession,
        tenant: Tenant,
        *,
        actor: Actor,
        sent: RawForm,
        issue_no: FromPath[str],
        company_payment_id: FromPath[UUID],
    ) -> Response[Any]:
        """Undo a payment that was booked by mistake. Raises: NotFound, NoReason."""
        tx = await raw(session)
        context = await _context(request, tx, tenant, issue_no)
        form = parse(ReasonForm, sent, retry=_PAGE, **context)
        await paying.take_back(tx, company_payment_id, client=context["client"], reason=form.reason, actor=actor)
        return see_other(request, context["here"], flash=N_("Undone. The company owes it again."))


async def _context(request: AnyRequest, tx: Tx, tenant: Tenant, issue_no: str) -> dict[str, Any]:
    batch: asyncpg.Record = await queries.one_or_404(tx, issue_no)
    return {
        **shared(request, tenant),
        "client": batch["client"],
        "here": f"{home(tenant)}/{batch['batch_no']}/account",
        "accounts": await queries.accounts_of(tx, batch["client"]),
        "payments": await paying.of_client(tx, batch["client"]),
        "may_book": may_do(request, Permission.ISSUE_PAID),
        "request_id": str(new_id()),
        "today": clock.business_day().isoformat(),
    }
