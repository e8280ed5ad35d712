"""The page that offers a trial shop, and the click that opens one."""

from __future__ import annotations

from typing import Any

from litestar import Controller, Response, get, post

from app.access import log_ins
from app.access.pages.browsers import browser_of, give_session
from app.kernel import i18n
from app.kernel.csrf import STAFF_COOKIE
from app.kernel.errors import N_, NotFound
from app.kernel.web import AnyRequest, page, see_other
from app.settings import settings
from app.trials.service import open_trial
from tenants.directory import PLATFORM
from tenants.session import tenant_tx

_PUBLIC = {"public": True}


class TrialPages(Controller):
    path = "/trial"
    opt = _PUBLIC

    @get()
    async def offer(self, request: AnyRequest) -> Response[str]:
        """What a trial is. Raises: NotFound where none is offered."""
        if not settings().offers_trials:
            raise NotFound
        return page(request, "trials/offer.html", hours=settings().trial_hours)

    @post()
    async def start(self, request: AnyRequest) -> Response[Any]:
        """Open one and log its owner in; a session the browser had ends. Raises: NotFound, TooMany, TooManyTrials, NoShopReady."""
        browser = browser_of(request)
        opened = await open_trial(address=browser.address, locale=i18n.locale())
        async with tenant_tx(PLATFORM) as tx:
            token = await log_ins.start_session(tx, opened.user_id, browser=browser, old_token=request.cookies.get(STAFF_COOKIE))
        give_session(request, token, opened.user_id)
        return see_other(
            request, f"/m/{opened.tenant.slug}", flash=N_("This shop is yours to try. Buy something in it yourself.")
        )
