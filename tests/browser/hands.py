"""Makes what a browser test needs by the real verbs, in a process of its own that has the running system's settings.

A test's own process may hold the settings of another installation, so it asks by lines of JSON: `Hands.ask(verb, **facts)`.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

from tests.browser.shops import tenant_of
from tests.browser.supplied import airtime, gift_cards, replenish, told_of, top_up

ROOT = Path(__file__).resolve().parents[2]


class Hands:
    """The side of the tests. Use `ask`; the verbs are the functions named in `VERBS` below."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "tests.browser.hands"],
            cwd=ROOT,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, verb: str, **facts: Any) -> Any:
        """What the verb answers. Raises: RuntimeError with its traceback."""
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        print(json.dumps({"verb": verb, **facts}), file=self._child.stdin, flush=True)
        answer = json.loads(self._child.stdout.readline() or '{"error": "the hands ended"}')
        if "error" in answer:
            raise RuntimeError(f"{verb}: {answer['error']}")
        return answer["said"]

    def stop(self) -> None:
        assert self._child.stdin is not None
        self._child.stdin.close()
        self._child.wait(15)


async def merchant(world: Any, *, name: str = "Yunqi Cards", with_gateway: bool = True) -> dict[str, str]:
    """A fresh shop and its owner's session."""
    from app.access.models import MemberRole

    tenant = await world.new_tenant(name, with_gateway=with_gateway)
    return {"slug": tenant.slug, "tenant_id": str(tenant.id), "token": await _person(tenant, MemberRole.OWNER)}


async def operator(world: Any) -> dict[str, str]:
    """The session of one of the platform's people."""
    return {"token": await _person(None, None)}


async def one_of_everything(world: Any, *, slug: str) -> dict[str, Any]:
    """Give a merchant one of all that an address can name; a value for each parameter of an address."""
    from tests.attacks.merchant import merchant as filled

    async def work(*lanes: Any, tenant: Any = None) -> None:
        await drains(*lanes, tenant=tenant)
        await world.until(_ORDERS_AT_REST, tenant=tenant or world.tenant)  # what the running worker has taken

    drains, world.tenant, world.work = world.work, await tenant_of(slug), work
    world.stock = lambda sku_id, keys, tenant: _import(world, tenant, sku_id, keys)  # two who check one import disturb each other
    return (await filled(world, world.tenant)).ids


async def own_type(world: Any, *, slug: str) -> dict[str, str]:
    """A type with lists that depend on each other, and a product of it on sale with keys; their ids."""
    from app.catalog import product_types
    from app.catalog.accounts import AccountField, FieldKind
    from app.catalog.models import DeliveryKind
    from app.catalog.product_types import TypeTerms
    from tenants.session import tenant_session
    from tests.world import STAFF

    regions, servers = {"": ("East", "South")}, {"East": ("Taihu", "Xizi"), "South": ("Zhujiang",)}
    asked = (
        AccountField("region", "Server region", FieldKind.CHOICE, choices=regions),
        AccountField("server", "Game server", FieldKind.CHOICE, depends_on="region", choices=servers),
        AccountField("role", "Role number", FieldKind.NUMBER, least=6, most=10, hint="It stands under your portrait."),
    )
    platform = AccountField("Console", "Console", FieldKind.CHOICE, choices={"": ("Handheld", "Desktop")})
    terms = TypeTerms("Game coins", DeliveryKind.CARD_KEY, "gamepad-2", buyer_fields=asked, product_fields=(platform,))
    tenant = await tenant_of(slug)
    async with tenant_session(tenant) as session:
        made = await product_types.create_type(session, terms, actor=STAFF)
    said = [{"name": "Console", "label": "Console", "value": "Handheld"}]
    sold = await product(world, slug=slug, name="Jade coins", skus=[["60", 600]], type_id=made.id, attributes=said)
    return {"type": str(made.id), "product": sold["id"]}


async def product(
    world: Any,
    *,
    slug: str,
    skus: list[list[Any]] | None = None,
    stock: int = 5,
    expires_on: str | None = None,
    category: str = "",
    **terms: Any,
) -> dict[str, Any]:
    """A product on sale with keys for each SKU; `skus` are pairs of name and price."""
    from app.catalog.service import SkuTerms

    tenant = await tenant_of(slug)
    if category:
        terms["category_id"] = await _category(tenant, category)
    made = await world.product(*(SkuTerms(*pair) for pair in skus or [["月卡", 1990]]), tenant=tenant, **terms)
    for sku in made.skus if stock else []:
        await _import(world, tenant, sku.id, [f"KEY-{secrets.token_hex(8).upper()}" for _ in range(stock)], expires_on)
    listings = {str(row["sku_id"]): str(row["id"]) for row in await world.rows("select id, sku_id from listing", tenant=tenant)}
    return {
        "id": str(made.id),
        "skus": [str(sku.id) for sku in made.skus],
        "listings": [listings[str(sku.id)] for sku in made.skus],
    }


async def bundle(world: Any, *, slug: str, parts: list[list[Any]]) -> dict[str, Any]:
    """A bundle on sale; `parts` are pairs of SKU and quantity."""
    from tests.app.ordering.bundles import bundle as put_on_sale

    world.tenant = await tenant_of(slug)
    made = await put_on_sale(world, [(UUID(sku), quantity) for sku, quantity in parts])
    return {"id": str(made.id), "listings": [str(sku.listing.id) for sku in made.skus]}


async def subscribe(world: Any, *, slug: str) -> dict[str, str]:
    """A subscription on sale that delivers keys of its own each month, and an order of it whose first cycle is delivered."""
    from app.catalog.models import CycleUnit
    from tests.app.ordering.subscriptions import subscription

    tenant = world.tenant = await tenant_of(slug)
    kept = await product(world, slug=slug, name="Evening Paper", skus=[["Issue", 500]])
    made = await subscription(world, UUID(kept["skus"][0]), unit=CycleUnit.MONTH, length=1)
    sold = await order(world, slug=slug, listing=str(made.skus[0].listing.id), upto="running")
    one = await world.until("select id from subscription limit 1", tenant=tenant)
    return {"product": str(made.id), "path": sold["path"], "no": sold["no"], "id": str(one)}


async def stock(world: Any, *, slug: str, sku: str, keys: list[str]) -> str:
    """Import keys; the batch's number."""
    return await _import(world, await tenant_of(slug), UUID(sku), keys)


async def order(
    world: Any, *, slug: str, listing: str, contact: str = "13800132046", quantity: int = 1, upto: str = "delivered"
) -> dict[str, str]:
    """An order brought to a state (`awaiting_payment`, or what it becomes when paid); its number and secret path."""
    from app.storefront.checkout import path_of

    tenant = await tenant_of(slug)
    placed = await world.order(UUID(listing), quantity, contact=contact, tenant=tenant)
    if upto != "awaiting_payment":
        await world.pay(placed, tenant=tenant)
        await world.until("select true from shop_order where id = $1 and state = $2", placed.id, upto, tenant=tenant, within_s=20)
    return {"no": placed.order_no, "path": await path_of(tenant, placed)}


async def pay_order(world: Any, *, slug: str, no: str) -> None:
    """Pay a placed order at the gateway, as its buyer would there."""
    tenant = await tenant_of(slug)
    order_id = await world.value("select id from shop_order where order_no = $1", no, tenant=tenant)
    await world.pay(SimpleNamespace(id=order_id), tenant=tenant)


async def voucher(world: Any, *, slug: str) -> dict[str, str]:
    """A voucher on sale, good once and anywhere."""
    from tests.app.fulfillment.test_minting import minted

    world.tenant = await tenant_of(slug)
    made = await minted(world)
    return {"id": str(made.id), "listing": str(made.skus[0].listing.id)}


async def channel(world: Any, *, slug: str, product: str) -> dict[str, str]:
    """A sales channel with a price of its own and a quota of a product's first SKU."""
    from app.catalog import channels, queries
    from app.inventory import allocating
    from app.inventory.models import Allocation
    from app.pricing.channels import Differs, set_listings
    from tenants.session import tenant_session
    from tests.world import STAFF

    async with tenant_session(await tenant_of(slug)) as session:
        sku = (await queries.skus_of(session, UUID(product)))[0]
        await channels.add_channel(session, code="mini-program", name="Mini program", actor=STAFF)
        await set_listings(session, "mini-program", UUID(product), {sku.id: Differs(1790)}, actor=STAFF)
        await allocating.split(session, sku.id, Allocation.QUOTA, actor=STAFF)
        await allocating.move(session, sku.id, between=(None, "mini-program"), units=2, actor=STAFF)
    return {"sku": str(sku.id)}


async def untold(world: Any, *, slug: str, no: str) -> dict[str, str]:
    """A message about an order that nobody took, given up; its case."""
    from tests.app.integrations.given_up import leave

    return {"case": str(await leave(await tenant_of(slug), no))}


async def issue(world: Any, *, slug: str, listing: str) -> dict[str, str]:
    """Batches for companies: one that waits to be confirmed, one that is done but for a row that failed, and an order of it."""
    from tests.app.issuing.issued import two_batches

    return await two_batches(world, UUID(listing), tenant=await tenant_of(slug))


async def webhook(_world: Any, *, slug: str) -> dict[str, str]:
    """A program that is told of redemptions but is not there, and one event that it did not take."""
    from app.integrations import webhooks
    from app.integrations.webhooks import WebhookTerms
    from tenants.session import tenant_tx
    from tests.world import STAFF

    async with tenant_tx(await tenant_of(slug)) as tx:
        terms = WebhookTerms("Till", "http://127.0.0.1:9/hooks", ("redemption.created", "redemption.voided"))
        endpoint_id, _ = await webhooks.add(tx, terms, actor=STAFF)
        await webhooks.test(tx, endpoint_id)
        await tx.execute(
            "update webhook_delivery set state = 'failed', times_tried = 10, last_status = 502, last_error = 'answered 502'"
        )
        await webhooks.test(tx, endpoint_id)
    return {"id": str(endpoint_id)}


async def by_hand(world: Any, *, slug: str) -> dict[str, str]:
    """A product that people deliver, and an order of it that waits for them."""
    from app.catalog.models import DeliveryKind
    from app.inventory import service as inventory
    from tenants.session import tenant_tx

    tenant = await tenant_of(slug)
    made = await world.product(tenant=tenant, name="Poster", delivery_kind=DeliveryKind.MANUAL)
    async with tenant_tx(tenant) as tx:
        await inventory.allow(tx, sku_id=made.skus[0].id, units=5)
    sold = await order(world, slug=slug, listing=str(made.skus[0].listing.id), upto="paid")
    line = await world.until("select order_line_id from delivery_unit where due_at is not null limit 1", tenant=tenant)
    return {"product": str(made.id), "line": str(line), "path": sold["path"]}


async def link(world: Any, *, slug: str) -> dict[str, str]:
    """A link on sale that leads elsewhere and hands out two files."""
    from tests.app.fulfillment.links import ADDRESS
    from tests.app.fulfillment.links import link as put_on_sale

    tenant = await tenant_of(slug)
    made = await put_on_sale(world, address=ADDRESS, files=(b"%PDF-1.7 lesson", b"ID3 song"), tenant=tenant)
    return {"id": str(made.id), "listing": str(made.skus[0].listing.id)}


async def open_link(world: Any, *, slug: str, listing: str) -> dict[str, str]:
    """An order of a link that was opened once: its number and path, and the path of its content."""
    from app.fulfillment import opening
    from tenants.session import tenant_tx
    from tests.app.fulfillment.links import bought_link

    tenant = await tenant_of(slug)
    made = await order(world, slug=slug, listing=listing)
    order_id = await world.value("select id from shop_order where order_no = $1", made["no"], tenant=tenant)
    placed: Any = SimpleNamespace(id=order_id)
    minted_id, path = await bought_link(world, placed, tenant=tenant)
    async with tenant_tx(tenant) as tx:
        await opening.open_content(tx, minted_id, file_id=None, address="203.0.113.9")
    return {**made, "content": path}


async def lapse(world: Any, *, slug: str, no: str) -> None:
    """Let the time to pay of an order be over."""
    await world.rows("update shop_order set expires_at = now() where order_no = $1", no, tenant=await tenant_of(slug))


async def quarantine(world: Any, *, slug: str) -> None:
    """Take every batch of a shop off sale, so that what is paid from now on cannot be delivered."""
    from app.inventory import quarantining
    from tenants.session import tenant_session
    from tests.world import STAFF

    tenant = await tenant_of(slug)
    async with tenant_session(tenant) as session:
        for row in await world.rows("select batch_no from import_batch where state = 'imported'", tenant=tenant):
            await quarantining.quarantine(session, batch_no=row["batch_no"], reason="recalled", actor=STAFF)


async def complain(world: Any, *, slug: str, no: str) -> dict[str, str]:
    """A buyer reads the first unit of his order and reports it; the case's number."""
    from app.aftersales import queries
    from tenants.session import tenant_tx
    from tests.app.aftersales.cases import read, reported

    world.tenant = await tenant_of(slug)
    order_id = await world.value("select id from shop_order where order_no = $1", no)
    placed: Any = SimpleNamespace(id=order_id)
    case_id = await reported(world, await read(world, placed))
    async with tenant_tx(world.tenant) as tx:
        return {"case_no": await queries.number_of(tx, case_id)}


async def rows(world: Any, *, slug: str, query: str, args: list[Any] | None = None) -> list[dict[str, Any]]:
    """Plain SQL in the shop's schema, for checks. Ids and instants come as text."""
    found: list[dict[str, Any]] = await world.rows(query, *(args or []), tenant=await tenant_of(slug))
    return found


VERBS = {
    verb.__name__: verb
    for verb in (
        merchant,
        operator,
        one_of_everything,
        product,
        bundle,
        subscribe,
        stock,
        order,
        pay_order,
        lapse,
        quarantine,
        rows,
        top_up,
        told_of,
        voucher,
        own_type,
        replenish,
        issue,
        webhook,
        airtime,
        gift_cards,
        untold,
        channel,
        by_hand,
        complain,
        link,
        open_link,
    )
}


async def _category(tenant: Any, name: str) -> UUID:
    from app.catalog import service as catalog
    from tenants.session import tenant_session

    async with tenant_session(tenant) as session:
        found: UUID = (await catalog.category_named(session, name)).id
        return found


async def _import(world: Any, tenant: Any, sku_id: UUID, keys: list[str], expires_on: str | None = None) -> str:
    """As a merchant who uploads, waits for the worker's check, and confirms."""
    from app.inventory import importing
    from tenants.session import tenant_session
    from tests.world import STAFF

    body, terms = "\n".join(keys).encode(), (Decimal("14.7"), date.fromisoformat(expires_on) if expires_on else None)
    async with tenant_session(tenant) as session:
        batch = await importing.start_import(session, sku_id=sku_id, body=body, file_name="keys.txt", terms=terms, actor=STAFF)
    await world.until(_IN_STATE, batch.id, "ready", tenant=tenant)
    async with tenant_session(tenant) as session:
        await importing.confirm(session, batch_no=batch.batch_no, actor=STAFF)
    await world.until(_IN_STATE, batch.id, "imported", tenant=tenant)
    return str(batch.batch_no)


async def _person(tenant: Any, role: str | None) -> str:
    """A verified person with a session: a member of a tenant, or an operator where there is none."""
    from app.access.sessions import Browser, open_session
    from app.kernel.ids import new_id
    from tenants.directory import PLATFORM
    from tenants.session import tenant_tx

    user_id = new_id()
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute(_USER, user_id, f"{secrets.token_hex(6)}@mail.test", "Lin Zhixing", tenant is None)
        if tenant is not None:
            await tx.execute(_MEMBER, new_id(), tenant.id, user_id, role)
        return await open_session(tx, user_id=user_id, browser=Browser("127.0.0.1", "test"))


_ORDERS_AT_REST = "select not exists (select 1 from task where lane = 'orders' and state <> 'failed' and run_at <= now())"
_IN_STATE = "select true from import_batch where id = $1 and state = $2"
_USER = (
    "insert into app_user (id, email, name, password_hash, email_verified_at, totp_confirmed_at, is_operator)"
    " values ($1, $2, $3, '-', now(), case when $4 then now() end, $4)"
)
_MEMBER = "insert into membership (id, tenant_id, user_id, role) values ($1, $2, $3, $4)"


@asynccontextmanager
async def _working() -> AsyncIterator[Any]:
    """A World on the running system's database, ringing its worker."""
    import httpx2

    from app.kernel import http
    from app.kernel.bell import Ringer, open_queue
    from app.kernel.tasks import use_ringer
    from app.settings import settings
    from tenants.session import Databases, databases, use_databases
    from tests.simulators import Outbox
    from tests.world import World

    chosen = settings()
    use_databases(Databases({"main": chosen.database_url}, size=4, statement_cache=True))
    http.start(allow_loopback=True)
    queue = open_queue()
    await queue.connect()
    use_ringer(Ringer(queue).ring)
    with httpx2.Client(base_url=str(chosen.sandbox_gateway_url), trust_env=False, timeout=15) as gateway:
        paid = SimpleNamespace(url=chosen.sandbox_gateway_url, pay=lambda no: gateway.post("/control/pay", json={"out_no": no}))
        outbox = Outbox(str(chosen.sms_url).removesuffix("/sms"))
        yield World(None, SimpleNamespace(owner_url=chosen.owner_database_url), paid, outbox)  # type: ignore[arg-type]
        outbox.stop()
    await queue.disconnect()
    await http.stop()
    await databases().close()


async def _main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # a log line is no answer
    async with _working() as world:
        while line := await asyncio.to_thread(sys.stdin.readline):
            asked = json.loads(line)
            try:
                said = {"said": await VERBS[asked.pop("verb")](world, **asked)}
            except Exception:  # the tests' side raises it
                said = {"error": traceback.format_exc()}
            print(json.dumps(said, default=str), file=answers, flush=True)


if __name__ == "__main__":
    asyncio.run(_main())
