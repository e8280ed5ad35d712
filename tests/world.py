"""Builds what tests need through the real verbs and pages, and does the worker's work when a test says so."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import httpx2
import uvicorn

import workers.handlers  # noqa: F401  # registers the handlers of tasks
from app.catalog import service as catalog
from app.catalog.models import DeliveryKind, Product
from app.catalog.service import ProductTerms, SkuTerms
from app.insight.invariants import breaches
from app.inventory import importing
from app.kernel.actor import Actor, ActorKind
from app.kernel.contact import Contact, parse_contact, parse_email
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from app.ordering import placing, rules
from app.ordering.placing import Placed, Request
from app.payments import service as payments
from app.payments.gateways.sandbox import open_account
from app.settings import settings
from app.storefront import moments
from app.storefront.shelf import forget_shelf, shelf_of
from tenants import provisioning, routing
from tenants.bootstrap import Urls
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_session, tenant_tx
from tests.simulators import GatewaySimulator, OutboxSimulator
from workers.drain import drain_home

STAFF = Actor(ActorKind.STAFF, UUID(int=7), "Zhou")


@asynccontextmanager
async def serving(app: Any, port: int) -> AsyncIterator[None]:
    """Serve the application on a real port of this machine, in this process, so that the other companies can call it."""
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, lifespan="on", log_config=None, access_log=False))
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            await task
        await asyncio.sleep(0.01)
    yield
    server.should_exit = True
    await task


SPARE = 3
"""So many merchants stand ready when a test takes one, since it may sign up more."""


class World:
    """One merchant and everything around him. `tenant` is fresh for each test."""

    tenant: Tenant

    def __init__(self, app: Any, urls: Urls, gateway: GatewaySimulator, outbox: OutboxSimulator) -> None:
        self.app = app
        self.urls = urls
        self.gateway = gateway
        self.outbox = outbox
        self.may_break: set[str] = set()
        self.tenants: list[Tenant] = []
        self._clients: list[httpx2.AsyncClient] = []

    async def open(self) -> None:
        self.tenant = await self.new_tenant()

    async def close(self) -> None:
        for client in self._clients:
            await client.aclose()
        self.gateway.clear_script()
        await self.assert_books_balance(self.tenant)
        await self.leave_no_work()

    async def new_tenant(self, name: str = "Nanzhi", *, with_gateway: bool = True) -> Tenant:
        """A merchant with a storefront and, unless told otherwise, an account at the sandbox gateway."""
        async with tenant_tx(PLATFORM) as tx:
            spare = await tx.fetchval("select count(*) from tenant where state = 'spare'")
        if spare < SPARE:
            await provisioning.refill(self.urls.owner_url, wanted=SPARE)
        async with tenant_tx(PLATFORM) as tx:
            tenant = await provisioning.take_spare(tx, slug=f"shop-{secrets.token_hex(5)}", name=name)
        self.tenants.append(tenant)
        routing.forget()
        async with tenant_session(tenant) as session:
            await catalog.open_storefront(session, name=name)
        if with_gateway:
            config = await open_account(self.gateway.url)
            async with tenant_tx(tenant) as tx:
                await payments.connect_gateway(tx, gateway="sandbox", name="Sandbox", config=dict(config), actor=STAFF)
        return tenant

    async def product(self, *skus: SkuTerms, tenant: Tenant | None = None, on_sale: bool = True, **terms: Any) -> Product:
        """A card-key product, on sale unless told otherwise; one SKU at ¥19.90 when none is named."""
        chosen = tenant or self.tenant
        wanted = ProductTerms(
            name=terms.pop("name", "Skylark Video"),
            delivery_kind=terms.pop("delivery_kind", DeliveryKind.CARD_KEY),
            skus=skus or (SkuTerms("Month", 1990),),
            **terms,
        )
        async with tenant_session(chosen) as session:
            product = await catalog.create_product(session, wanted, actor=STAFF)
            if on_sale:
                await catalog.publish(session, product.id, actor=STAFF)
        async with tenant_session(chosen) as session:
            from app.catalog import queries

            product = await queries.product_or_404(session, product.id)
        forget_shelf(chosen)
        return product

    async def stock(
        self, sku_id: UUID, keys: int | Sequence[str] = 10, *, tenant: Tenant | None = None, expires_on: date | None = None
    ) -> str:
        """Import card-keys through upload, check, confirm and import; the batch's number."""
        chosen = tenant or self.tenant
        lines = [f"KEY-{secrets.token_hex(8).upper()}" for _ in range(keys)] if isinstance(keys, int) else list(keys)
        async with tenant_session(chosen) as session:
            batch = await importing.start_import(
                session,
                sku_id=sku_id,
                body="\n".join(lines).encode(),
                file_name="keys.txt",
                terms=(Decimal("14.7"), expires_on),
                actor=STAFF,
            )
        await importing.check(chosen, batch.id)
        async with tenant_session(chosen) as session:
            await importing.confirm(session, batch_no=batch.batch_no, actor=STAFF)
        await importing.import_keys(chosen, batch.id)
        return batch.batch_no

    async def request(
        self,
        listing_id: UUID,
        quantity: int = 1,
        *,
        contact: str = "13800132046",
        key: str | None = None,
        tenant: Tenant | None = None,
        channel: str = "storefront",
    ) -> Request:
        """What a buyer's checkout asks for."""
        chosen = tenant or self.tenant
        shelf = (await shelf_of(chosen)).seen_from(channel)
        parsed = parse_contact(contact)
        assert isinstance(parsed, Contact)
        offered = shelf.offers[listing_id]
        async with tenant_tx(chosen) as tx:
            moment = await moments.read(tx, [offered])
        quote = rules.quote([(offered, quantity)], moment=moment)
        return Request(shelf.face.storefront_id, quote, parsed, "zh_CN", key or str(new_id()), sales_channel=channel)

    async def order_with_second(self, listing_id: UUID, *, contact: str, second: str) -> Placed:
        """A placed, unpaid order whose buyer left an e-mail address beside his phone."""
        request = replace(await self.request(listing_id, contact=contact), second_contact=parse_email(second))
        return await placing.place(self.tenant, request)

    async def order(
        self, listing_id: UUID, quantity: int = 1, *, contact: str = "13800132046", tenant: Tenant | None = None
    ) -> Placed:
        """A placed, unpaid order."""
        chosen = tenant or self.tenant
        return await placing.place(chosen, await self.request(listing_id, quantity, contact=contact, tenant=chosen))

    async def pay(self, order: Placed, *, tenant: Tenant | None = None) -> str:
        """Open the payment and pay it at the gateway as the buyer would; our payment number. Its notice comes over real HTTP, soon."""
        chosen = tenant or self.tenant
        await payments.open_payment(chosen, order.id)
        async with tenant_tx(chosen) as tx:
            payment_no: str = await tx.fetchval(
                "select payment_no from payment where order_id = $1 order by created_at desc limit 1", order.id
            )
        await asyncio.to_thread(self.gateway.pay, payment_no)
        return payment_no

    async def until(self, query: str, *args: Any, within_s: float = 60, tenant: Tenant | None = None) -> Any:
        """Wait until a query answers something true; what it answered. Raises: TimeoutError."""
        async with asyncio.timeout(within_s):
            while not (found := await self.value(query, *args, tenant=tenant)):  # noqa: ASYNC110  # another process brings it about
                await asyncio.sleep(0.02)
        return found

    async def ask_gateway(self, order: Placed, *, tenant: Tenant | None = None) -> None:
        """Learn from the gateway what became of an order's payment, as the worker's question does."""
        chosen = tenant or self.tenant
        async with tenant_tx(chosen) as tx:
            payment_id = await tx.fetchval(
                "select id from payment where order_id = $1 order by created_at desc limit 1", order.id
            )
        await payments.ask(chosen, payment_id)

    async def paid(
        self, listing_id: UUID, quantity: int = 1, *, contact: str = "13800132046", tenant: Tenant | None = None
    ) -> Placed:
        """An order that was placed and paid; what is owed for it waits for the worker."""
        placed = await self.order(listing_id, quantity, contact=contact, tenant=tenant)
        await self.pay(placed, tenant=tenant)
        await self.ask_gateway(placed, tenant=tenant)
        return placed

    async def bought(
        self, listing_id: UUID, quantity: int = 1, *, contact: str = "13800132046", tenant: Tenant | None = None
    ) -> Placed:
        """An order that was placed, paid and delivered."""
        placed = await self.paid(listing_id, quantity, contact=contact, tenant=tenant)
        await self.work(tenant=tenant)
        return placed

    async def work(self, *lanes: Lane, tenant: Tenant | None = None) -> int:
        """Do what is due, as a worker does, until nothing is; the number of tasks done."""
        done = 0
        for home in (tenant or self.tenant, PLATFORM):
            for lane in lanes or tuple(Lane):
                while count := await drain_home(home, lane):
                    done += count
        return done

    def client(self, host: str | None = None) -> httpx2.AsyncClient:
        """A browser without scripts on a host: the shop's own by default, or `app`. It keeps cookies and sends an Origin."""
        name = settings().app_host if host == "app" else host or f"{self.tenant.slug}.{settings().shops_host}"
        client = httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=self.app, client=("127.0.0.1", 50_000)),
            base_url=f"https://{name}",
            headers={"origin": f"https://{name}", "accept": "text/html", "accept-language": "en"},
            follow_redirects=False,
        )
        self._clients.append(client)
        return client

    async def rows(self, query: str, *args: Any, tenant: Tenant | None = None) -> list[dict[str, Any]]:
        """Plain SQL in the tenant's schema, for checks."""
        async with tenant_tx(tenant or self.tenant) as tx:
            return [dict(row) for row in await tx.fetch(query, *args)]

    async def value(self, query: str, *args: Any, tenant: Tenant | None = None) -> Any:
        async with tenant_tx(tenant or self.tenant) as tx:
            return await tx.fetchval(query, *args)

    async def leave_no_work(self) -> None:
        """Workers of later tests have nothing to do for this merchant."""
        async with tenant_tx(self.tenant) as tx:
            await tx.execute("update task set run_at = now() + interval '1 year' where state = 'waiting'")

    async def assert_books_balance(self, tenant: Tenant) -> None:
        """After every test: what must always hold does. A test that breaks a rule on purpose says which in `may_break`."""
        async with tenant_tx(tenant) as tx:
            found = [breach for breach in await breaches(tx) if breach.number not in self.may_break]
        assert found == [], [(breach.number, breach.rows[:3]) for breach in found]
