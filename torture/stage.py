"""What is tortured: the whole system with two web processes and two workers, a cable to its database that can be cut, two merchants who sell, and the
two companies that sell to them."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

from app.catalog import service as catalog
from app.catalog.models import DeliveryKind
from app.catalog.service import ProductTerms, SkuTerms
from app.inventory import importing, queries
from app.inventory.models import BatchState
from app.kernel import http
from app.payments import service as payments
from app.payments.gateways.sandbox import open_account
from app.settings import settings
from operations.children import Child
from operations.places import PYTHON, make_private_folder
from operations.processes import Plan, System
from tenants import provisioning, routing
from tenants.bootstrap import Urls
from tenants.directory import PLATFORM, Tenant
from tenants.session import Databases, databases, tenant_session, tenant_tx, use_databases
from torture.companies import AIRTIME, PROTOCOLS, Companies
from torture.proxy import DatabaseProxy
from torture.staff import MERCHANT
from torture.supply import Account, Routed, open_supply, until

SECOND_WORKER = "second worker"
POSTGRES = {"max_connections": "200", "shared_buffers": "64MB"}


class TorturedSystem(System):
    """A system whose programs reach the database through our cable, and which has a second worker."""

    cable: DatabaseProxy | None = None

    @property
    def faults(self) -> Path:
        """The folder where the fault points look."""
        return self.folder / "faults"

    def start_database(self) -> Urls:
        urls = super().start_database()
        if self.cable is None:
            self.cable = DatabaseProxy(target_port=self.ports.postgres).__enter__()
        make_private_folder(self.faults)
        self.settings["QUANYI_DATABASE_URL"] = _through(urls.app_url, self.cable.port)
        self.settings["QUANYI_FAULTS"] = str(self.faults)
        return urls

    def restart_database(self) -> None:
        """Stop it as an administrator would, or take up what a crash left, and start it again."""
        assert self.postgres is not None
        self.postgres.stop()
        self.postgres.start()

    def stop(self) -> None:
        if second := self.children.pop(SECOND_WORKER, None):
            second.stop()
        super().stop()
        if self.cable is not None:
            self.cable.__exit__(None, None, None)
        self.cable = None

    def _start_application(self) -> None:
        super()._start_application()
        log = self.folder / "logs" / "second-worker.log"
        worker = Child(SECOND_WORKER, [PYTHON, "-m", "workers"], log, self.env, 20)
        worker.start()
        self.children = {SECOND_WORKER: worker, **self.children}

    @property
    def workers(self) -> list[Child]:
        return [self.children["worker"], self.children[SECOND_WORKER]]


def _through(url: str, port: int) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}"))


def make_system(*, hold_minutes: int, say: Callable[[str], None]) -> TorturedSystem:
    """In a temporary folder, with real commits. Buyers come from many addresses behind one proxy."""
    more = {
        "QUANYI_TRUSTED_PROXIES": "1",
        "QUANYI_RESERVATION_MINUTES": str(hold_minutes),
        "QUANYI_LOG_LEVEL": "INFO",
    }
    plan = Plan(postgres_settings=POSTGRES, more_settings=more, web_processes=2, suppliers=PROTOCOLS)
    system = TorturedSystem.temporary(plan)
    system.say = say
    return system


# The merchants


@dataclass(frozen=True)
class Goods:
    """One SKU on sale. `share` says how often it is wanted among a shop's goods."""

    product_id: UUID
    sku_id: UUID
    listing_id: UUID
    share: int
    keys: frozenset[str] = frozenset()
    """What its merchant imported: a buyer may see no others."""
    is_supplied: bool = False
    """Companies deliver it: its keys are those they sold."""
    is_credited: bool = False
    """It credits a telephone number instead of handing out keys."""


@dataclass(frozen=True)
class Merchant:
    tenant: Tenant
    merchant_id: str
    """His account at the gateway."""
    goods: tuple[Goods, ...]
    accounts: tuple[Account, ...]
    """His accounts at the companies that sell to him."""


@asynccontextmanager
async def opened_databases(system: TorturedSystem) -> AsyncIterator[None]:
    """Inside, the merchants' own acts go straight to the database, past the cable."""
    assert system.postgres is not None
    os.environ.update(
        {**system.settings, "QUANYI_DATABASE_URL": _through(system.settings["QUANYI_DATABASE_URL"], system.ports.postgres)}
    )
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)  # that the database is away is no news here
    settings.cache_clear()
    use_databases(Databases({"main": settings().database_url}, size=4, statement_cache=True))
    http.start(allow_loopback=True)
    try:
        yield
    finally:
        await http.stop()
        await databases().close()


async def open_merchants(system: TorturedSystem, companies: Companies, *, units: int) -> list[Merchant]:
    """Two shops. Each sells something ample, something that runs out, and something hot, `units` of the first, and what both companies deliver."""
    await companies.put_out_goods()
    await provisioning.refill(system.settings["QUANYI_OWNER_DATABASE_URL"], wanted=2)
    return await asyncio.gather(*(_open_merchant(system, companies, name, units) for name in ("North", "South")))


async def _open_merchant(system: TorturedSystem, companies: Companies, name: str, units: int) -> Merchant:
    async with tenant_tx(PLATFORM) as tx:
        tenant = await provisioning.take_spare(tx, slug=f"{name.lower()}-{secrets.token_hex(3)}", name=name)
    routing.forget()
    async with tenant_session(tenant) as session:
        await catalog.open_storefront(session, name=name)
    account = await open_account(system.gateway)
    async with tenant_tx(tenant) as tx:
        await payments.connect_gateway(tx, gateway="sandbox", name="Sandbox", config=dict(account), actor=MERCHANT)
    addresses = {protocol: system.supplier(protocol) for protocol in PROTOCOLS}
    own, (accounts, routed) = await asyncio.gather(_open_stock(tenant, units), open_supply(tenant, companies, addresses))
    return Merchant(tenant, account["merchant_id"], (*own, *map(_supplied, routed)), tuple(accounts))


async def _open_stock(tenant: Tenant, units: int) -> list[Goods]:
    return [
        await _put_on_sale(tenant, SkuTerms("Ample", 1990), units, share=3),
        await _put_on_sale(tenant, SkuTerms("Scarce", 990), max(10, units // 8), share=2),
        await _put_on_sale(tenant, SkuTerms("Hot", 490, is_hot=True), units, share=2),
    ]


def _supplied(one: Routed) -> Goods:
    credited = one.which == AIRTIME
    share = 2 if credited else 3
    return Goods(one.product_id, one.sku_id, one.listing_id, share, is_supplied=True, is_credited=credited)


async def _put_on_sale(tenant: Tenant, terms: SkuTerms, units: int, *, share: int) -> Goods:
    keys = [f"{tenant.name.upper()}-{secrets.token_hex(8).upper()}" for _ in range(units)]
    async with tenant_session(tenant) as session:
        product = await catalog.create_product(session, ProductTerms(terms.name, DeliveryKind.CARD_KEY, (terms,)), actor=MERCHANT)
        await catalog.publish(session, product.id, actor=MERCHANT)
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(
            "select s.id as sku_id, l.id as listing_id from sku s join listing l on l.sku_id = s.id where s.product_id = $1",
            product.id,
        )
    assert row is not None
    async with tenant_session(tenant) as session:
        batch = await importing.start_import(
            session,
            sku_id=row["sku_id"],
            body="\n".join(keys).encode(),
            file_name="keys.txt",
            terms=(Decimal("3.2"), None),
            actor=MERCHANT,
        )
    await _until_batch(tenant, batch.batch_no, BatchState.READY)
    async with tenant_session(tenant) as session:
        await importing.confirm(session, batch_no=batch.batch_no, actor=MERCHANT)
    await _until_batch(tenant, batch.batch_no, BatchState.IMPORTED)
    return Goods(product.id, row["sku_id"], row["listing_id"], share, frozenset(keys))


async def _until_batch(tenant: Tenant, batch_no: str, state: BatchState) -> None:
    """The workers do the steps of an import."""

    async def is_there() -> bool:
        async with tenant_session(tenant, read_only=True) as session:
            return (await queries.batch_or_404(session, batch_no)).state == state

    await until(is_there, f"the import {batch_no} did not come to {state!r}")
