"""The composition root: the one place that knows every slice, and the application the server runs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
from litestar import Litestar, get
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler
from sqlalchemy.exc import DBAPIError

from app.access import answers
from app.access import pages as access_pages
from app.access.api import ApiPages
from app.aftersales.pages import AFTER_SALES
from app.cases.pages import CasePages
from app.catalog.pages import CATALOG
from app.console.pages import CONSOLE
from app.customers.pages import LevelPages
from app.fulfillment.api import RedemptionApi
from app.fulfillment.counter import RedeemPages, RevocationPages
from app.fulfillment.handovers import HandoverPages
from app.fulfillment.notices import SupplyNotices
from app.fulfillment.pages import AttemptPages
from app.insight import alarms
from app.insight.audit_pages import AuditPages
from app.insight.pages import DashboardPages
from app.insight.profit_pages import ProfitPages
from app.insight.stock_pages import StockReportPages
from app.integrations.pages import INTEGRATIONS
from app.inventory.pages import INVENTORY
from app.issuing.pages import ISSUING
from app.kernel import certificates, csrf, http, logs, metrics, web
from app.kernel.assets import asset
from app.kernel.bell import Ringer, open_queue, share_queue
from app.kernel.errors import DomainError, NotFound
from app.kernel.faults import use_faults
from app.kernel.hosts import Hosts
from app.kernel.patience import allow_many_connections
from app.kernel.starting import keep_what_is_loaded, when_there
from app.kernel.tasks import use_ringer
from app.kernel.vault import forget_keyrings, refuse_wrong_keys
from app.ordering.pages import OrderListPages, OrderPages, OrderViewPages, SubscriptionPages
from app.payments.notices import Notices
from app.payments.pages import PaymentSettingsPages
from app.pricing.pages import PRICING
from app.replenishment.pages import REPLENISHMENT
from app.settings import settings
from app.settlement.pages import SettlementPages
from app.storefront.routes import SHOP
from app.suppliers.pages import SUPPLIERS
from app.trials.pages import TrialPages
from tenants import routing
from tenants.directory import PLATFORM
from tenants.session import AWAY, Databases, databases, tenant_tx, use_databases

ROUTES: list[ControllerRouterHandler] = [
    *CONSOLE,
    *access_pages.ROUTES,
    TrialPages,
    *CATALOG,
    *PRICING,
    LevelPages,
    *INVENTORY,
    *SUPPLIERS,
    *ISSUING,
    *REPLENISHMENT,
    SettlementPages,
    SHOP,
    DashboardPages,
    ProfitPages,
    OrderListPages,
    SubscriptionPages,
    OrderViewPages,
    OrderPages,
    AttemptPages,
    CasePages,
    *AFTER_SALES,
    RedeemPages,
    HandoverPages,
    StockReportPages,
    RevocationPages,
    PaymentSettingsPages,
    *INTEGRATIONS,
    AuditPages,
]
"""The slices' pages, in the order of the sidebar."""
MACHINES: list[ControllerRouterHandler] = [ApiPages, RedemptionApi]
"""What programs of merchants ask."""
MOST_BODY_BYTES = 256 * 1024


@get("/healthz", opt={"public": True}, sync_to_thread=False)
def healthz() -> dict[str, str]:
    """This process answers."""
    return {"status": "ok"}


@get("/readyz", opt={"public": True})
async def readyz() -> dict[str, str]:
    """This process reaches its database."""
    async with tenant_tx(PLATFORM) as tx:
        await tx.fetchval("select 1 from tenant limit 1")
    return {"status": "ready"}


@get("/metrics", opt={"public": True}, media_type="text/plain")
async def figures(request: web.AnyRequest) -> str:
    """Figures, for a scraper on this machine alone. From elsewhere they are not there."""
    if request.scope["state"]["address"] not in ("127.0.0.1", "::1") or "x-forwarded-for" in request.headers:
        raise NotFound
    with contextlib.suppress(*AWAY):
        await alarms.count()
    return metrics.exposition().decode()


@asynccontextmanager
async def _lifespan(_app: Litestar) -> AsyncIterator[None]:
    """Open what the process shares, follow the directory, ring drains; close it all in the reverse order."""
    chosen = settings()
    logs.configure(chosen.log_level)
    allow_many_connections()
    use_databases(
        Databases({"main": chosen.database_url}, size=chosen.database_connections, statement_cache=chosen.statement_cache)
    )
    await refuse_wrong_keys()
    http.start(allow_loopback=chosen.allow_loopback_calls)
    use_faults(chosen.faults)
    queue = open_queue()
    await when_there(queue.connect)
    use_ringer(Ringer(queue).ring)
    share_queue(queue)
    follower = asyncio.create_task(routing.listen(forget_keyrings))
    keep_what_is_loaded()
    try:
        yield
    finally:
        follower.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await follower
        await queue.disconnect()
        await http.stop()
        await databases().close()


def create_app() -> Hosts:
    """The application behind its host map."""
    inner = Litestar(
        route_handlers=[
            healthz,
            readyz,
            figures,
            certificates.may_serve,
            certificates.whose,
            asset,
            Notices,
            SupplyNotices,
            *MACHINES,
            *ROUTES,
        ],
        guards=[csrf.guard],
        dependencies={
            "sent": Provide(web.provide_sent),
            "tenant": Provide(web.provide_tenant),
            "actor": Provide(web.provide_actor),
            "session": Provide(web.provide_session),
        },
        exception_handlers={
            DomainError: web.on_refusal,
            **answers.HANDLERS,
            HTTPException: web.on_http_exception,
            **dict.fromkeys(web.BUSY, web.on_busy),
            asyncpg.DataError: web.on_bug,
            DBAPIError: web.on_database_fault,
            Exception: web.on_bug,
        },
        request_max_body_size=MOST_BODY_BYTES,
        lifespan=[_lifespan],
        openapi_config=None,
        logging_config=None,
    )
    return Hosts(inner)


app = create_app()
