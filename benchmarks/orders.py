"""What both order benches share: the reference's statements, and the checks by plain SQL."""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Sequence
from uuid import UUID

from app.kernel.contact import Contact
from app.kernel.ids import new_id
from app.ordering import placing, rules
from app.storefront.shelf import shelf_of
from benchmarks.client import Client
from benchmarks.load import Load
from benchmarks.stage import Shop, Stage
from operations.trouble import Trouble
from tenants.directory import Tenant
from tenants.session import tenant_tx

ZEROES = ("oversold", "duplicates", "unbalanced", "incomplete", "misreserved")
"""Checks that are zero after any number of orders."""


def reference_script(shop: Shop, *, last: int) -> str:
    """The writes of app/ordering/sql/place_order.sql as plain statements in one transaction, the stock row last as there, on the first `last` SKUs."""
    return _REFERENCE.format(storefront=shop.storefront_id, skus=last)


async def prepare_reference(shop: Shop) -> None:
    """Number the SKUs, so that the script can draw one."""
    async with tenant_tx(shop.tenant) as tx:
        await tx.execute(_NUMBER, list(shop.skus))


async def count(tenant: Tenant) -> dict[str, int]:
    """Counted by plain SQL over the whole tenant."""
    async with tenant_tx(tenant) as tx:
        row = await tx.fetchrow(_CHECKS)
    assert row is not None
    return {name: int(value) for name, value in row.items()}


async def sold(shop: Shop, sku_id: UUID | None = None) -> int:
    """Units in orders, of one SKU or of all."""
    async with tenant_tx(shop.tenant) as tx:
        return int(
            await tx.fetchval("select coalesce(sum(quantity), 0) from order_line where $1::uuid is null or sku_id = $1", sku_id)
        )


def load_of(stage: Stage, shop: Shop, listings: Sequence[UUID], *, connections: int, seconds: float) -> Load:
    """Buyers who send the form of a product's page. One page is fetched before for its cookie and token; contact, request and address vary."""
    port = stage.system.ports.web
    host = f"{shop.tenant.slug}.shop.localhost:{port}"
    with Client(stage.system.address) as client:
        shown = client.get(host, f"/products/{shop.products[shop.listings.index(listings[0])]}")
        token = re.search(r'name="_csrf" value="([^"]+)"', shown.body)
        if shown.status != 200 or token is None:
            raise Trouble(f"The product's page answered {shown.status} and has no form.")
        cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    headers = {
        "Host": host,
        "Origin": f"http://{host}",
        "Accept": "text/html",
        "Cookie": cookies,
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Forwarded-For": "{address}",
    }
    body = f"_csrf={token[1]}&listing={{listing}}&quantity=1&contact={{phone}}&request_id={{request_id}}"
    return Load(port, "POST", "/checkout", headers, body, tuple(map(str, listings)), connections, seconds)


async def in_process(shop: Shop, listings: Sequence[UUID], *, buyers: int, seconds: float) -> float:
    """Orders a second of `placing.place` in this process alone, without HTTP, until the time is over or everything is sold out."""
    offers = [(await shelf_of(shop.tenant)).offers[listing] for listing in listings]
    ends, done = time.perf_counter() + seconds, 0

    async def buyer() -> None:
        nonlocal done
        while time.perf_counter() < ends:
            contact = Contact("phone", f"+86138{random.randrange(10**8):08d}")
            wanted = rules.quote([(random.choice(offers), 1)])
            try:
                await placing.place(shop.tenant, placing.Request(shop.storefront_id, wanted, contact, "zh_CN", str(new_id())))
            except placing.SoldOut:
                return
            done += 1

    started = time.perf_counter()
    await asyncio.gather(*(buyer() for _ in range(buyers)))
    return done / (time.perf_counter() - started)


_REFERENCE = """
\\set n random(1, {skus})
\\set buyer random(1, 100000000)
\\set tail random(1, 9999)
begin;
insert into shop_order
  (id, order_no, state, storefront_id, idempotency_key, request_hash, contact_kind, contact, contact_masked, contact_fingerprint,
   tail_fingerprint, locale, total_minor, currency, placed_at, expires_at)
values
  (uuidv7(), 'N261121-' || :buyer || :tail, 'awaiting_payment', '{storefront}', 'bench-' || :buyer || '-' || :tail, sha256(int8send(:buyer)),
   'phone', sha256(int8send(:buyer)), '138****2046', sha256(int8send(:buyer)), sha256(int8send(:tail)), 'zh_CN', 1990, 'CNY', now(), now() + interval '15 minutes')
returning id as order_id \\gset
insert into order_line
  (id, order_id, line_no, product_id, sku_id, listing_id, product_name, sku_name, delivery_kind, quantity, unit_price_minor, total_minor)
select uuidv7(), :order_id, 1, s.product_id, s.id, l.id, 'Card', s.name, 'card_key', 1, l.price_minor, l.price_minor
from sku s join listing l on l.sku_id = s.id
where s.position = :n
returning id as line_id, sku_id \\gset
insert into delivery_unit (order_line_id, unit_no, order_id, sku_id, state, amount_minor)
values (:line_id, 1, :order_id, :sku_id, 'reserved', 1990);
insert into task (id, kind, lane, dedupe, run_at)
values (uuidv7(), 'ordering.expire', 'orders', 'bench:' || extract(epoch from date_bin('10 seconds', now(), 'epoch')), now() + interval '15 minutes')
on conflict do nothing;
update stock set available = available - 1, reserved = reserved + 1 where sku_id = :sku_id and available >= 1;
commit;
"""
_NUMBER = "update sku set position = p.n from unnest($1::uuid[]) with ordinality as p (id, n) where sku.id = p.id"
_CHECKS = """
select
  (select coalesce(sum(quantity), 0) from order_line) as sold,
  (select count(*) from stock s where s.available < 0 or s.available + s.reserved <> s.imported) as oversold,
  (select count(*) - count(distinct idempotency_key) from shop_order) + (select count(*) - count(distinct order_no) from shop_order) as duplicates,
  (select count(*) from shop_order o
   where o.total_minor <> (select coalesce(sum(l.total_minor), 0) from order_line l where l.order_id = o.id)) as unbalanced,
  (select count(*) from order_line l
   where l.quantity <> (select count(*) from delivery_unit u where u.order_line_id = l.id)) as incomplete,
  (select count(*) from stock s
   where s.reserved <> (select coalesce(sum(l.quantity), 0) from order_line l where l.sku_id = s.sku_id)) as misreserved
"""
