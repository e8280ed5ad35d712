"""Paid until the key can be read: notices at a steady pace, signed as the gateway signs them, to the web processes; the worker delivers.

Two clocks: `delivered_at` of every unit against the moment its notice was sent, and, for a sample, the order's page over HTTP until it shows the key.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from html import unescape
from uuid import UUID

from app.catalog import service as catalog
from app.catalog.models import DeliveryKind
from app.catalog.service import ProductTerms, SkuTerms
from app.inventory import importing, queries
from app.inventory.models import BatchState
from app.kernel import http
from app.kernel.actor import Actor, ActorKind
from app.kernel.contact import Contact
from app.kernel.ids import new_id
from app.kernel.vault import keyring
from app.ordering import placing, rules
from app.payments import service as payments
from app.payments.gateways.sandbox import open_account
from app.storefront.shelf import forget_shelf, shelf_of
from benchmarks.figures import Figures, must_be_zero, quantile
from benchmarks.load import ask
from benchmarks.options import Options
from benchmarks.stage import Stage, in_loop, open_tenant, whole
from operations.trouble import Trouble
from simulators.signing import message_headers
from tenants.directory import Tenant
from tenants.session import tenant_session, tenant_tx

GOAL = "p95 under 300 ms at 200 orders a second"
PER_SECOND = 200
WARM_UP = 60
SAMPLE_EVERY = 20
GATEWAY_WAITS_S = (0.2, 1.0, 5.0, 30.0)
"""As the sandbox gateway sends a notice again that nobody acknowledged."""
SETTLE_S = 60.0
LOOK_EVERY_S = 0.05
ACTOR = Actor(ActorKind.SYSTEM, None, "bench")


@dataclass(frozen=True)
class Due:
    """An order that waits for its notice."""

    order_id: UUID
    order_no: str
    payment_no: str
    path: str
    """Of its page in the shop."""


@dataclass
class Scene:
    """A merchant with keys in stock and an account at the gateway."""

    stage: Stage
    tenant: Tenant
    listing_id: UUID
    connection_id: UUID
    merchant_id: str
    notice_secret: str = field(repr=False)

    @property
    def shop_host(self) -> str:
        return f"{self.tenant.slug}.shop.localhost:{self.stage.system.ports.web}"


@dataclass
class Timed:
    """Milliseconds."""

    acknowledged: list[float] = field(default_factory=list)
    shown: list[float] = field(default_factory=list)
    sent_again: int = 0
    not_shown: int = 0


def measure(options: Options) -> tuple[Figures, Stage]:
    with whole() as stage:
        return in_loop(_measure(stage, options)), stage


async def _measure(stage: Stage, options: Options) -> Figures:
    wanted = WARM_UP + round(options.seconds * PER_SECOND)
    http.start(allow_loopback=True)
    try:
        scene = await _set_the_scene(stage, keys=wanted)
    finally:
        await http.stop()
    due = await _place(scene, wanted)
    timed = Timed()
    await _pay(scene, due[:WARM_UP], Timed(), per_second=PER_SECOND / 4)
    started = time.perf_counter()
    await _pay(scene, due[WARM_UP:], timed, per_second=PER_SECOND)
    sending_s = time.perf_counter() - started
    await _settled(scene.tenant, wanted)
    delivered_ms = await _delivered_ms(scene.tenant, [one.order_id for one in due[WARM_UP:]])
    checks = {**await _count(scene.tenant), "sent_again": timed.sent_again, "not_shown": timed.not_shown}
    return Figures(
        value=quantile(timed.shown or [SETTLE_S * 1000], 0.95),
        unit="ms, p95",
        reference=None,
        goal=GOAL,
        checks=checks,
        wrong=must_be_zero(checks, "undelivered", "duplicates", "unbalanced", "not_shown"),
        details={
            "paid": f"{len(due) - WARM_UP} orders in {sending_s:.1f} s, {(len(due) - WARM_UP) / sending_s:.0f} a second",
            "notice sent → order's page shows the key, ms": _spread(timed.shown),
            "notice sent → unit delivered, ms": _spread(delivered_ms),
            "notice sent → acknowledged, ms": _spread(timed.acknowledged),
        },
    )


# Before


async def _set_the_scene(stage: Stage, *, keys: int) -> Scene:
    tenant = await open_tenant(stage.owner_url)
    account = await open_account(stage.system.gateway)
    async with tenant_tx(tenant) as tx:
        connection_id = await payments.connect_gateway(tx, gateway="sandbox", name="Sandbox", config=dict(account), actor=ACTOR)
    async with tenant_session(tenant) as session:
        terms = ProductTerms("Card", DeliveryKind.CARD_KEY, (SkuTerms("Month", 1990),))
        product_id = (await catalog.create_product(session, terms, actor=ACTOR)).id
        await catalog.publish(session, product_id, actor=ACTOR)
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow("select id, sku_id from listing")
    assert row is not None
    await _import(tenant, row["sku_id"], keys)
    forget_shelf(tenant)
    return Scene(stage, tenant, row["id"], connection_id, account["merchant_id"], account["notice_secret"])


async def _import(tenant: Tenant, sku_id: UUID, keys: int) -> None:
    """Through the real import, whose steps the worker does."""
    body = "\n".join(f"KEY-{secrets.token_hex(8).upper()}" for _ in range(keys)).encode()
    async with tenant_session(tenant) as session:
        batch = await importing.start_import(
            session, sku_id=sku_id, body=body, file_name="keys.txt", terms=(Decimal("14.7"), None), actor=ACTOR
        )
    await _until_batch(tenant, batch.batch_no, BatchState.READY)
    async with tenant_session(tenant) as session:
        await importing.confirm(session, batch_no=batch.batch_no, actor=ACTOR)
    await _until_batch(tenant, batch.batch_no, BatchState.IMPORTED)


async def _until_batch(tenant: Tenant, batch_no: str, state: BatchState) -> None:
    ends = time.perf_counter() + SETTLE_S
    while time.perf_counter() < ends:
        async with tenant_session(tenant, read_only=True) as session:
            if (await queries.batch_or_404(session, batch_no)).state == state:
                return
        await asyncio.sleep(0.05)
    raise Trouble(f"The worker did not bring the import to {state!r} within {SETTLE_S:.0f} s.")


async def _place(scene: Scene, wanted: int) -> list[Due]:
    """Orders whose payments are open, as they are when the buyer stands on the gateway's page."""
    shelf = await shelf_of(scene.tenant)
    quote = rules.quote([(shelf.offers[scene.listing_id], 1)])
    storefront_id = shelf.face.storefront_id

    async def one(number: int) -> placing.Placed:
        contact = Contact("phone", f"+86138{number:08d}")
        return await placing.place(scene.tenant, placing.Request(storefront_id, quote, contact, "zh_CN", str(new_id())))

    placed: list[placing.Placed] = []
    for start in range(0, wanted, 64):
        placed += await asyncio.gather(*(one(number) for number in range(start, min(wanted, start + 64))))
    async with tenant_tx(scene.tenant) as tx:
        ring = await keyring(tx)
        due = [
            Due(one.id, one.order_no, f"P{number:07d}", f"/orders/{one.order_no}/{ring.link_signature('order', one.id)}")
            for number, one in enumerate(placed)
        ]
        ids, numbers = [one.order_id for one in due], [one.payment_no for one in due]
        await tx.execute(_PAYMENTS, [new_id() for _ in due], numbers, ids, scene.connection_id)
    return due


# Paying


async def _pay(scene: Scene, due: Sequence[Due], timed: Timed, *, per_second: float) -> None:
    """Send the notices at a steady pace, whether earlier ones were answered or not."""
    started = time.perf_counter()
    tasks = []
    for number, one in enumerate(due):
        await asyncio.sleep(max(0.0, started + number / per_second - time.perf_counter()))
        tasks.append(asyncio.create_task(_notify(scene, one, timed, is_sample=number % SAMPLE_EVERY == 0)))
    await asyncio.gather(*tasks)


async def _notify(scene: Scene, one: Due, timed: Timed, *, is_sample: bool) -> None:
    sent_at = time.perf_counter()
    body = _notice(scene, one)
    port = scene.stage.system.ports.web
    headers = {
        "Host": f"app.quanyi.localhost:{port}",
        "Content-Type": "application/json",
        **message_headers(scene.notice_secret, body),
    }
    for wait_s in GATEWAY_WAITS_S:
        answer = await ask(port, "POST", f"/hooks/{scene.tenant.slug}/{scene.connection_id}", headers, body)
        if answer.status == 200:
            timed.acknowledged.append((time.perf_counter() - sent_at) * 1000)
            break
        timed.sent_again += 1
        await asyncio.sleep(wait_s)
    if is_sample:
        await _look(scene, one, timed, sent_at)


async def _look(scene: Scene, one: Due, timed: Timed, sent_at: float) -> None:
    """Open the order's page and ask on as its script does, only twenty times as often, until it offers the key."""
    headers = {"Host": scene.shop_host, "Accept": "text/html", "X-Forwarded-For": "198.51.100.7"}
    path = one.path
    while time.perf_counter() - sent_at < SETTLE_S:
        answer = await ask(scene.stage.system.ports.web, "GET", path, headers)
        if answer.status == 200 and b"/reveals" in answer.body:
            timed.shown.append((time.perf_counter() - sent_at) * 1000)
            return
        if found := _POLLED.search(answer.body):
            path, headers["HX-Request-Type"] = unescape(found[1].decode()), "partial"
        await asyncio.sleep(LOOK_EVERY_S)
    timed.not_shown += 1


_POLLED = re.compile(rb'hx-get="([^"]+/status\?seen=[^"]+)"')


def _notice(scene: Scene, one: Due) -> bytes:
    said = {
        "event_id": f"E{one.payment_no}",
        "type": "payment.succeeded",
        "merchant_id": scene.merchant_id,
        "out_no": one.payment_no,
        "gateway_ref": f"G{one.payment_no}",
        "gateway_txn": f"T{one.payment_no}",
        "amount_minor": 1990,
        "currency": "CNY",
        "occurred_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
    }
    return json.dumps(said, separators=(",", ":")).encode()


# After


async def _settled(tenant: Tenant, wanted: int) -> None:
    """Wait until everything is delivered, or until the time is over: the checks then say what is not."""
    ends = time.perf_counter() + SETTLE_S
    while time.perf_counter() < ends:
        async with tenant_tx(tenant) as tx:
            if await tx.fetchval("select count(*) from delivery_unit where state = 'delivered'") >= wanted:
                return
        await asyncio.sleep(0.1)


async def _delivered_ms(tenant: Tenant, order_ids: Sequence[UUID]) -> list[float]:
    """From the instant the notice names, which is when it was sent, to the transaction that delivered."""
    async with tenant_tx(tenant) as tx:
        return [float(row["ms"]) for row in await tx.fetch(_TOOK, list(order_ids))] or [0.0]


async def _count(tenant: Tenant) -> dict[str, int]:
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(_CHECKS)
    assert row is not None
    return {name: int(value) for name, value in row.items()}


def _spread(values: Sequence[float]) -> dict[str, float]:
    found = {f"p{share}": round(quantile(values or [0.0], share / 100), 1) for share in (50, 95, 99)}
    return {**found, "count": len(values)}


_PAYMENTS = """
insert into payment (id, payment_no, order_id, connection_id, state, amount_minor, currency, gateway_ref)
select p.id, p.payment_no, p.order_id, $4, 'open', 1990, 'CNY', 'G' || p.payment_no
from unnest($1::uuid[], $2::text[], $3::uuid[]) as p (id, payment_no, order_id)
"""
_TOOK = """
select extract(epoch from u.delivered_at - c.captured_at) * 1000 as ms
from capture c join delivery_unit u on u.order_id = c.order_id
where c.order_id = any($1) and u.delivered_at is not null
"""
_CHECKS = """
select
  (select count(*) from capture) as sold,
  (select count(*) from capture c
   where not exists (select 1 from delivery_unit u where u.order_id = c.order_id and u.state = 'delivered')) as undelivered,
  (select count(card_key_id) - count(distinct card_key_id) from delivery_unit)
    + (select count(*) - count(distinct order_id) from capture where purpose = 'order') as duplicates,
  (select count(*) from (select 1 from ledger_account group by currency having sum(debits_minor) <> sum(credits_minor)) c)
    + (select count(*) from ledger_account a
       where a.debits_minor <> (select coalesce(sum(amount_minor), 0) from transfer where debit_account_id = a.id)
          or a.credits_minor <> (select coalesce(sum(amount_minor), 0) from transfer where credit_account_id = a.id))
    + (select count(*) from stock where imported + short <> available + reserved + delivered + voided + quarantined + expired) as unbalanced
"""
