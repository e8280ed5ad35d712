"""Exchange rates: the table a merchant keeps, and what his suppliers' currencies wait for."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any

from litestar import Controller, Response, get, post
from pydantic import BeforeValidator, Field, StringConstraints
from sqlalchemy.ext.asyncio import AsyncSession

from app.access.guards import may
from app.access.permissions import Permission
from app.kernel import clock
from app.kernel.actor import Actor
from app.kernel.errors import N_
from app.kernel.forms import Count, Form, InvalidForm, OptionalDay, RawForm, fail, parse, share_up_to
from app.kernel.i18n import gettext
from app.kernel.money import CNY, parse_cost
from app.kernel.web import AnyRequest, page, see_other
from app.suppliers import exchange
from app.suppliers.exchange import NotInOrder, OwnCurrency, RateTerms
from app.suppliers.pages.shared import shared
from tenants.directory import Tenant
from tenants.session import raw

_PAGE = "suppliers/rates.html"
_MOST_SAFETY_BP = 5_000


def _rate(value: object) -> object:
    rate = parse_cost(value) if isinstance(value, str) else None
    if rate is None or not Decimal("0.000001") <= rate <= 100_000:
        raise fail(N_("Type a rate such as 7.1032, above zero and with six decimals at most."))
    return rate


class RateForm(Form):
    """A rate that begins now, or on a day to come."""

    currency: Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z]{3}$")]
    rate: Annotated[Decimal, BeforeValidator(_rate)]
    begins: OptionalDay = None
    good_days: Annotated[Count, BeforeValidator(lambda value: value or "7"), Field(ge=1, le=90)] = 7
    safety: Annotated[int, share_up_to(_MOST_SAFETY_BP)] = 0


class RatePages(Controller):
    path = "/m/{tenant_slug:str}/exchange-rates"
    guards = (may(Permission.SUPPLY_VIEW),)

    @get()
    async def index(self, request: AnyRequest, session: AsyncSession, tenant: Tenant) -> Response[str]:
        return page(request, _PAGE, **await _context(request, session, tenant))

    @post(guards=[may(Permission.SUPPLY_EDIT)])
    async def set_rate(
        self, request: AnyRequest, session: AsyncSession, tenant: Tenant, *, actor: Actor, sent: RawForm
    ) -> Response[Any]:
        context = await _context(request, session, tenant)
        form = parse(RateForm, sent, retry=_PAGE, **context)
        begins = clock.day_starts(form.begins) if form.begins and form.begins > clock.business_day() else None
        if form.begins and form.begins < clock.business_day():
            raise InvalidForm({"begins": gettext(NotInOrder.message)}, sent.values(), _PAGE, context)
        terms = RateTerms(form.currency, form.rate, begins, form.good_days, form.safety)
        try:
            await exchange.set_rate(session, terms, actor=actor)
        except OwnCurrency as refusal:
            raise InvalidForm({"currency": gettext(refusal.message)}, sent.values(), _PAGE, context) from None
        except NotInOrder as refusal:
            raise InvalidForm({"begins": gettext(refusal.message)}, sent.values(), _PAGE, context) from None
        return see_other(request, f"/m/{tenant.slug}/exchange-rates", flash=N_("Saved. The shelf follows within seconds."))


async def _context(request: AnyRequest, session: AsyncSession, tenant: Tenant) -> dict[str, Any]:
    tx = await raw(session)
    now = await exchange.rates_now(tx)
    return {
        **shared(request, tenant),
        "own": CNY,
        "rates": await exchange.rates(tx),
        "wanted": [(row, now.get(row["currency"])) for row in await exchange.currencies_wanted(tx)],
    }
