"""The profit report: by product, SKU, sales channel or day, beside what the ledger says."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any

from litestar import Controller, Response, get
from pydantic import BeforeValidator
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.insight.profit import MOST_DAYS, By, profit
from app.kernel import clock
from app.kernel.errors import N_
from app.kernel.forms import Form, InvalidForm, RawForm, invalid, parse
from app.kernel.web import AnyRequest, fragment, is_partial, page
from tenants.directory import Tenant
from tenants.session import raw

_PAGE, _PART = "insight/profit.html", "insight/_profit.html"
_SHOWN_DAYS = 30
BY_WORDS = {By.PRODUCT: N_("Product"), By.SKU: N_("SKU"), By.CHANNEL: N_("Sales channel"), By.DAY: N_("Day")}
LAST_BEFORE_FIRST = N_("The last day cannot be before the first.")
TOO_LONG = N_("A report spans 366 days at most.")


def _empty(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


Day = Annotated[date | None, BeforeValidator(_empty)]


class ProfitForm(Form):
    """Days of the business, both included; the last thirty where none is named."""

    first: Day = None
    last: Day = None
    by: By = By.PRODUCT


class ProfitPages(Controller):
    path = "/m/{tenant_slug:str}/profit"
    guards = (may(Permission.PAYMENTS_VIEW),)

    @get()
    async def show(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        """The report of the days in the address."""
        today = clock.business_day()
        context: dict[str, Any] = {"here": f"/m/{tenant.slug}/profit", "home": f"/m/{tenant.slug}", "by_words": BY_WORDS}
        try:
            asked = _read(request, today)
        except InvalidForm as refusal:
            return page(
                request, _PAGE, status=refusal.status, errors=refusal.errors, values=refusal.values, **context, **_NOTHING
            )
        last = asked.last or today
        first = asked.first or last - timedelta(days=_SHOWN_DAYS - 1)
        report = await profit(await raw(session), first=first, last=last, by=asked.by)
        context |= {"report": report, "first": first, "last": last, "by": asked.by}
        return fragment(request, _PART, **context) if is_partial(request) else page(request, _PAGE, **context)


_NOTHING: dict[str, Any] = {"report": None, "first": "", "last": "", "by": By.PRODUCT}


def _read(request: AnyRequest, today: date) -> ProfitForm:
    sent = RawForm({name: [str(value)] for name, value in request.query_params.items() if name in ProfitForm.model_fields}, {})
    form = parse(ProfitForm, sent)
    last = form.last or today
    first = form.first or last
    if first > last:
        raise invalid(sent, {"last": LAST_BEFORE_FIRST})
    if (last - first).days >= MOST_DAYS or first.year < 2000 or last.year > 2200:
        raise invalid(sent, {"first": TOO_LONG})
    return form
