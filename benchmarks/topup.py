"""Units bought from three suppliers that take 50 ms a call and bear so many calls at once, against the same calls made by nobody but a loop.

Then buyers who wait, one after the other, on the idle system and while a batch of 50,000 units is being bought.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from app.catalog import service as catalog
from app.catalog.models import DeliveryKind
from app.catalog.service import ProductTerms, SkuTerms
from app.fulfillment import attempts, shelving
from app.kernel import http
from app.kernel.actor import Actor, ActorKind
from app.kernel.bell import Ringer, open_queue
from app.kernel.contact import Contact
from app.kernel.ids import new_id
from app.kernel.tasks import use_ringer
from app.ordering import placing, rules
from app.payments import service as payments
from app.payments.capturing import take_notices
from app.payments.gateways.port import PaymentEvent, PaymentNotice
from app.payments.gateways.sandbox import open_account
from app.storefront.shelf import forget_shelf, shelf_of
from app.suppliers import service as suppliers
from app.suppliers.connectors import open_connector
from app.suppliers.connectors.port import Connector, Delivered, Purchase
from app.suppliers.models import ConnectionMode, RoutePolicy
from app.suppliers.service import ConnectionTerms, RouteTerms, SupplierTerms
from benchmarks.companies import GOODS, Company, companies
from benchmarks.figures import Figures, must_be_zero, quantile
from benchmarks.options import Options
from benchmarks.stage import Stage, in_loop, open_tenant, whole
from operations.trouble import Trouble
from tenants.directory import Tenant
from tenants.session import Tx, tenant_session, tenant_tx

GOAL = "at least 0.8 of what the suppliers bear; who waits is served at most 1.5 times as late while a batch runs"
SUPPLIERS = 3
LATENCY_MS = 50
CALLS_AT_ONCE = 8
UNITS_PER_ORDER = 20
BATCH = 50_000
WAITING_BUYERS = 40
SMALL_BATCH, FEW_BUYERS = 1_000, 4
"""For runs under three seconds."""
WARM_UP = 200
"""Units bought before anything is measured: statements prepared, words read."""
SETTLE_S = 120.0
ACTOR = Actor(ActorKind.SYSTEM, None, "bench")


@dataclass
class Scene:
    """A merchant with one SKU that three suppliers deliver."""

    tenant: Tenant
    listing_id: UUID
    gateway_id: UUID
    connectors: list[Connector]
    numbers: int = 0


def measure(options: Options) -> tuple[Figures, Stage]:
    with whole() as stage, companies(SUPPLIERS) as started:
        return in_loop(_measure(stage, started, options)), stage


async def _measure(stage: Stage, started: list[Company], options: Options) -> Figures:
    http.start(allow_loopback=True)
    queue = open_queue()
    await queue.connect()
    use_ringer(Ringer(queue).ring)
    try:
        scene = await _set_the_scene(stage, started)
        await _buy(scene, units=WARM_UP)
        borne = await _borne(scene, seconds=max(2.0, options.seconds / 3))
        before = _effects(started)
        rate, bought = await _buy(scene, units=int(borne * options.seconds))
        checks = {**await _count(scene.tenant), "bought_twice": _effects(started) - before - bought}
        is_short = options.seconds < 3
        buyers = FEW_BUYERS if is_short else WAITING_BUYERS
        idle = await _waits(scene, buyers)
        await _plan_batch(scene, SMALL_BATCH if is_short else BATCH)
        beside = await _waits(scene, buyers)
        left = await _left(scene.tenant)
    finally:
        await queue.disconnect()
        await http.stop()
    return Figures(
        value=rate,
        unit="units/s",
        reference=borne,
        goal=GOAL,
        checks=checks,
        wrong=must_be_zero(checks, "bought_twice", "undelivered", "duplicates", "unbalanced"),
        details={
            "suppliers": f"{SUPPLIERS}, {LATENCY_MS} ms a call, {CALLS_AT_ONCE} calls at once each",
            "who waits, idle, ms": f"p50 {quantile(idle, 0.5):.0f}, p95 {quantile(idle, 0.95):.0f}",
            "who waits, beside a batch, ms": f"p50 {quantile(beside, 0.5):.0f}, p95 {quantile(beside, 0.95):.0f}",
            "p95 beside a batch to idle": round(quantile(beside, 0.95) / quantile(idle, 0.95), 2),
            "units of the batch left when the last was served": left,
        },
    )


async def _set_the_scene(stage: Stage, started: Sequence[Company]) -> Scene:
    tenant = await open_tenant(stage.owner_url)
    account = await open_account(stage.system.gateway)
    async with tenant_tx(tenant) as tx:
        gateway_id = await payments.connect_gateway(tx, gateway="sandbox", name="Sandbox", config=dict(account), actor=ACTOR)
    offers, connectors = [], []
    for place, company in enumerate(started):
        settings = {**company.open(latency_ms=LATENCY_MS), "base_url": company.url}
        connectors.append(open_connector("tango", suppliers.checked_settings("tango", settings)))
        offers.append(await _connect(tenant, f"Supplier {place}", settings))
    async with tenant_session(tenant) as session:
        terms = ProductTerms("Card", DeliveryKind.CARD_KEY, (SkuTerms("Month", 1990),))
        product_id = (await catalog.create_product(session, terms, actor=ACTOR)).id
        await catalog.publish(session, product_id, actor=ACTOR)
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow("select id, sku_id from listing")
    assert row is not None
    async with tenant_session(tenant) as session:
        route = RouteTerms([(offer_id, 1) for offer_id in offers], RoutePolicy.WEIGHTED)
        await suppliers.route(session, row["sku_id"], route, actor=ACTOR)
    async with tenant_tx(tenant) as tx:
        await shelving.shelve(tx, row["sku_id"])
    forget_shelf(tenant)
    return Scene(tenant, row["id"], gateway_id, connectors)


async def _connect(tenant: Tenant, name: str, settings: dict[str, str]) -> UUID:
    """A connection that is on, and its one offer."""
    async with tenant_session(tenant) as session:
        supplier = await suppliers.add_supplier(session, SupplierTerms(name), actor=ACTOR)
        terms = ConnectionTerms("tango", name, settings, ConnectionMode.LIVE, Decimal(10_000), CALLS_AT_ONCE)
        connection = await suppliers.connect(session, supplier.id, terms, actor=ACTOR)
    async with tenant_tx(tenant) as tx:
        await tx.execute("update supplier_connection set is_on = true, tested_at = now() where id = $1", connection.id)
        offer_id = new_id()
        await tx.execute(_OFFER, offer_id, connection.id, f"{GOODS}:10")
    return offer_id


async def _borne(scene: Scene, *, seconds: float) -> float:
    """Calls a second that the suppliers bear: made by a loop that does nothing else."""
    ends, done = time.perf_counter() + seconds, 0

    async def caller(connector: Connector) -> None:
        nonlocal done
        while time.perf_counter() < ends:
            found = await connector.place(Purchase(new_id().hex, f"{GOODS}:10", {}, None, "CNY", None, ""))
            done += isinstance(found, Delivered)

    started = time.perf_counter()
    await asyncio.gather(*(caller(connector) for connector in scene.connectors for _ in range(CALLS_AT_ONCE)))
    return done / (time.perf_counter() - started)


async def _buy(scene: Scene, *, units: int) -> tuple[float, int]:
    """Units a second from the payment of many orders until all are delivered, and how many they were."""
    orders = [await _place(scene, UNITS_PER_ORDER) for _ in range(max(1, units // UNITS_PER_ORDER))]
    started = time.perf_counter()
    await _pay(scene, orders)
    await _until_delivered(scene.tenant, orders, look_s=0.1)
    bought = len(orders) * UNITS_PER_ORDER
    return bought / (time.perf_counter() - started), bought


async def _waits(scene: Scene, buyers: int) -> list[float]:
    """Milliseconds from payment to delivery of buyers who come one after the other."""
    took = []
    for _ in range(buyers):
        order = await _place(scene, 1)
        started = time.perf_counter()
        await _pay(scene, [order])
        await _until_delivered(scene.tenant, [order])
        took.append((time.perf_counter() - started) * 1000)
    return took


async def _place(scene: Scene, quantity: int) -> placing.Placed:
    scene.numbers += 1
    shelf = await shelf_of(scene.tenant)
    quote = rules.quote([(shelf.offers[scene.listing_id], quantity)])
    contact = Contact("phone", f"+86138{scene.numbers:08d}")
    request = placing.Request(shelf.face.storefront_id, quote, contact, "zh_CN", str(new_id()))
    return await placing.place(scene.tenant, request)


async def _pay(scene: Scene, orders: Sequence[placing.Placed]) -> None:
    """As the gateway's notices would, a hundred orders at once."""
    for start in range(0, len(orders), 100):
        async with tenant_tx(scene.tenant) as tx:
            await _capture(tx, scene, orders[start : start + 100])


async def _capture(tx: Tx, scene: Scene, some: Sequence[placing.Placed]) -> None:
    numbers = [f"P{order.id.hex}" for order in some]
    await tx.execute(_PAYMENTS, [new_id() for _ in some], numbers, [order.id for order in some], scene.gateway_id)
    rows = await tx.fetch("select payment_no, amount_minor from payment where payment_no = any($1)", numbers)
    told = [(scene.gateway_id, _notice(row["payment_no"], row["amount_minor"])) for row in rows]
    await take_notices(tx, told)


def _notice(payment_no: str, amount_minor: int) -> PaymentNotice:
    succeeded = PaymentEvent.SUCCEEDED
    now = datetime.now(UTC)
    return PaymentNotice(
        succeeded, "", f"E{payment_no}", payment_no, f"G{payment_no}", f"T{payment_no}", amount_minor, "CNY", now
    )


async def _until_delivered(tenant: Tenant, orders: Sequence[placing.Placed], *, look_s: float = 0.01) -> None:
    ids, ends = [order.id for order in orders], time.perf_counter() + SETTLE_S
    while time.perf_counter() < ends:
        async with tenant_tx(tenant) as tx:
            if not await tx.fetchval("select count(*) from shop_order where id = any($1) and state <> 'delivered'", ids):
                return
        await asyncio.sleep(look_s)
    raise Trouble(f"Not all orders were delivered within {SETTLE_S:.0f} s.")


async def _plan_batch(scene: Scene, units: int) -> None:
    """A batch's units, paid, and planned behind the buyers who wait."""
    for _ in range(units // rules.MOST_UNITS // 10):
        orders = [await _place(scene, rules.MOST_UNITS) for _ in range(10)]
        ids = [order.id for order in orders]
        async with tenant_tx(scene.tenant) as tx:
            await _capture(tx, scene, orders)
            await tx.execute("delete from task where kind = 'fulfillment.deliver' and subject_id = any($1)", ids)
            await attempts.plan(tx, await tx.fetch(_BATCH_UNITS, ids))


async def _left(tenant: Tenant) -> int:
    async with tenant_tx(tenant) as tx:
        return int(await tx.fetchval("select count(*) from attempt where priority = 1 and state <> 'succeeded'"))


def _effects(started: Sequence[Company]) -> int:
    return sum(company.totals()["effects"]["count"] for company in started)


async def _count(tenant: Tenant) -> dict[str, int]:
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(_CHECKS)
    assert row is not None
    return {name: int(value) for name, value in row.items()}


_OFFER = """
insert into supplier_offer (id, connection_id, supplier_sku, name, delivery_kind, unit_cost, seen_at)
values ($1, $2, $3, 'Month', 'card_key', 10, now())
"""
_PAYMENTS = """
insert into payment (id, payment_no, order_id, connection_id, state, amount_minor, currency)
select p.id, p.payment_no, p.order_id, $4, 'open', o.total_minor, o.currency
from unnest($1::uuid[], $2::text[], $3::uuid[]) as p (id, payment_no, order_id) join shop_order o on o.id = p.order_id
"""
_BATCH_UNITS = """
select u.order_id, u.order_line_id, u.unit_no, u.sku_id, u.amount_minor as worth_minor, o.paid_at,
       null::bigint as value_minor, null as value_currency, 1 as priority
from delivery_unit u join shop_order o on o.id = u.order_id
where u.order_id = any($1)
"""
_CHECKS = """
select
  (select count(*) from delivery_unit where state = 'delivered') as sold,
  (select count(*) from delivery_unit where state = 'owed') as undelivered,
  (select count(card_key_id) - count(distinct card_key_id) from delivery_unit)
    + (select count(*) - count(distinct (order_line_id, unit_no)) from attempt where state = 'succeeded') as duplicates,
  (select count(*) from (select 1 from ledger_account group by currency having sum(debits_minor) <> sum(credits_minor)) c)
    + (select count(*) from stock where imported + allowed + short <> available + reserved + delivered + voided + quarantined + expired) as unbalanced
"""
