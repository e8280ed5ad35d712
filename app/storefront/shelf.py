"""What a shop shows: its face, categories and everything on sale, kept in memory for a moment per process.

A price in here may be two seconds old; the order function compares it with the listing in its own transaction, so nobody pays an old price.
Stock is never kept: it is read for every page that shows it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import asyncpg

from app.catalog import bundles, plans
from app.catalog.accounts import AccountField, fields_of
from app.catalog.models import DeliveryKind
from app.catalog.plans import Plan, plan_of
from app.catalog.values import ValueRange
from app.kernel.errors import NotFound
from app.ordering.rules import PARENTS, AccountKey, Offered, Part
from app.pricing.queries import of_sku, rules_by_product
from app.pricing.rules import Rule
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_FRESH_S = 2.0
_KEPT = 500
_MOST_LISTED = 2000
_FEW = 20


@dataclass(frozen=True, slots=True)
class Face:
    """The shop as its pages introduce it."""

    storefront_id: UUID
    name: str
    tagline: str
    brand_color: str
    logo_id: UUID | None
    contact_rule: str
    support_contact: str
    notice_html: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What one thing asks its buyer for, a product by itself or a part of a bundle; for a top-up, the account to credit."""

    sku_id: UUID
    name: str
    fields: tuple[AccountField, ...]
    refuses_virtual_numbers: bool
    is_credited: bool
    is_part: bool
    binds_account: bool
    shown_at: UUID
    """The product on whose page it is asked."""


@dataclass(frozen=True, slots=True)
class Shelved:
    """One product on sale, with the offers of its SKUs."""

    id: UUID
    name: str
    summary: str
    category_id: UUID | None
    cover_icon: str
    cover_hue: int
    picture_id: UUID | None
    delivery_kind: str
    asked: dict[AccountKey, Asked]
    """What buyers of its offers state before they pay: accounts to credit, or what its type asks for."""
    attributes: tuple[tuple[str, str], ...]
    """What is said of it: labels and values."""
    binds_account: bool
    """Whether something it credits is for its buyer alone."""
    buyer_limit: int | None
    description_html: str
    usage_html: str
    offers: tuple[Offered, ...]
    was_minor: dict[UUID, int | None]
    """Struck-through prices, by listing."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """A shop's face, its categories (id and name, in order) and its products on sale."""

    face: Face
    categories: tuple[tuple[UUID, str], ...]
    products: dict[UUID, Shelved]
    offers: dict[UUID, Offered]
    """Every offer, by its listing."""
    scarce: frozenset[UUID] = frozenset()
    """SKUs of which suppliers have few left, or said long ago what they have: they are asked again before an order is taken."""
    channels: Mapping[str, Mapping[UUID, int | None]] = field(default_factory=dict)
    """The sales channels that are open: what is sold there at another price, and with None what is not sold there, by SKU."""
    views: dict[str, Shelf] = field(default_factory=dict, repr=False, compare=False)

    def seen_from(self, channel: str) -> Shelf:
        """The shelf as a sales channel shows it: at its prices, and without what is not sold there."""
        differs = self.channels.get(channel)
        if not differs:
            return self
        if channel not in self.views:
            products = {product.id: product for one in self.products.values() if (product := _in_channel(one, differs)).offers}
            offers = {offer.listing_id: offer for product in products.values() for offer in product.offers}
            self.views[channel] = replace(self, products=products, offers=offers, views={})
        return self.views[channel]

    def product_or_404(self, product_id: UUID) -> Shelved:
        """A product on sale. Raises: NotFound."""
        if (found := self.products.get(product_id)) is None:
            raise NotFound
        return found


def _in_channel(product: Shelved, differs: Mapping[UUID, int | None]) -> Shelved:
    sold = [offer for offer in product.offers if differs.get(offer.sku_id, 0) is not None]
    priced = tuple(replace(offer, channel_price_minor=differs.get(offer.sku_id)) for offer in sold)
    was = {o.listing_id: was for o in priced if (was := product.was_minor[o.listing_id]) is None or was > o.list_price_minor}
    return replace(product, offers=priced, was_minor={o.listing_id: was.get(o.listing_id) for o in priced})


_shelves: OrderedDict[UUID, tuple[float, Shelf]] = OrderedDict()
_readings: dict[UUID, asyncio.Task[Shelf]] = {}
"""Shelves being read this moment: however many pages want one, it is read once."""


async def shelf_of(tenant: Tenant) -> Shelf:
    """A tenant's shelf, at most two seconds old."""
    known = _shelves.get(tenant.id)
    if known is not None and time.monotonic() - known[0] < _FRESH_S:
        return known[1]
    reading = _readings.get(tenant.id)
    if reading is None:
        reading = _readings[tenant.id] = asyncio.get_running_loop().create_task(_read_and_keep(tenant))
    return await asyncio.shield(reading)


def kept_shelf(tenant: Tenant) -> Shelf | None:
    """The shelf this process saw last, however old; None before the first look. For a page that only needs the shop's face."""
    known = _shelves.get(tenant.id)
    return known[1] if known else None


def forget_shelf(tenant: Tenant) -> None:
    """Read a tenant's shelf again at the next page of this process: after its merchant changed something, or an offer had changed."""
    _shelves.pop(tenant.id, None)
    _readings.pop(tenant.id, None)


async def _read_and_keep(tenant: Tenant) -> Shelf:
    mine = asyncio.current_task()
    at = time.monotonic()
    try:
        async with tenant_tx(tenant) as tx:
            shelf = await _read(tx)
        if _readings.get(tenant.id) is mine:  # else it was told to forget meanwhile, and what was read may be old
            _shelves[tenant.id] = (at, shelf)
            _shelves.move_to_end(tenant.id)
            if len(_shelves) > _KEPT:
                _shelves.popitem(last=False)
        return shelf
    finally:
        if _readings.get(tenant.id) is mine:
            del _readings[tenant.id]


async def _read(tx: Tx) -> Shelf:
    face = await tx.fetchrow(_FACE)
    assert face is not None, "a tenant has a storefront from its first day"
    categories = tuple(
        (row["id"], row["name"]) for row in await tx.fetch("select id, name from category order by position, name limit 200")
    )
    by_product: dict[UUID, list[asyncpg.Record]] = {}
    for row in await tx.fetch(_LISTED, face["storefront_id"], _MOST_LISTED):
        by_product.setdefault(row["product_id"], []).append(row)
    rules = await rules_by_product(
        tx, list(by_product)
    )  # after the listings: terms read before their rules are refused, not the other way round
    parents = [row["sku_id"] for rows in by_product.values() for row in rows if _is_parent(row)]
    parts = await bundles.parts_of(tx, parents) if parents else {}
    for sku_id, plan in (await plans.plans_of(tx, parents) if parents else {}).items():
        parts[sku_id] = [plan]
    products = {product_id: _shelved(rows, parts, rules.get(product_id, ())) for product_id, rows in by_product.items()}
    offers = {offer.listing_id: offer for product in products.values() for offer in product.offers}
    scarce = frozenset(row["sku_id"] for row in await tx.fetch(_SCARCE, _FEW, _MOST_LISTED))
    return Shelf(Face(**dict(face)), categories, products, offers, scarce, await _channels(tx))


async def _channels(tx: Tx) -> dict[str, dict[UUID, int | None]]:
    found: dict[str, dict[UUID, int | None]] = {}
    for row in await tx.fetch(_CHANNELS, _MOST_LISTED):
        differs = found.setdefault(row["code"], {})
        if row["sku_id"]:
            differs[row["sku_id"]] = row["price_minor"] if row["is_sold"] else None
    return found


def _is_parent(row: asyncpg.Record) -> bool:
    return row["delivery_kind"] in PARENTS


def _shelved(rows: list[asyncpg.Record], parts: Mapping[UUID, list[asyncpg.Record]], rules: Sequence[Rule]) -> Shelved:
    first = rows[0]
    return Shelved(
        id=first["product_id"],
        name=first["product_name"],
        summary=first["summary"],
        category_id=first["category_id"],
        cover_icon=first["cover_icon"],
        cover_hue=first["cover_hue"],
        picture_id=first["picture_id"],
        delivery_kind=first["delivery_kind"],
        asked=_asked(rows, parts),
        attributes=tuple((one["label"], one["value"]) for one in json.loads(first["attributes"])),
        binds_account=any(one["binds_account"] for row in rows for one in parts.get(row["sku_id"], [row])),
        buyer_limit=first["buyer_limit"],
        description_html=first["description_html"],
        usage_html=first["usage_html"],
        offers=tuple(_offered(row, parts.get(row["sku_id"], []), rules) for row in rows),
        was_minor={row["listing_id"]: row["was_minor"] for row in rows},
    )


def _offered(row: asyncpg.Record, parts: Sequence[asyncpg.Record], rules: Sequence[Rule]) -> Offered:
    by_value = row["range_least"] is not None
    plan = plan_of(parts[0]) if parts and row["delivery_kind"] == DeliveryKind.SUBSCRIPTION else None
    return Offered(
        row["listing_id"], row["sku_id"], row["product_id"], row["product_name"], row["sku_name"], row["delivery_kind"],
        row["price_minor"], row["currency"], row["buyer_limit"], row["is_hot"], fields_of(json.loads(row["buyer_fields"])),
        row["terms_version"], of_sku(rules, row["sku_id"], by_value=by_value),
        _cycles(parts[0], plan) if plan else tuple(_part(p) for p in parts),
        parts[0]["policy"] if parts and not plan else None,
        row["least_minor"],
        ValueRange(row["range_least"], row["range_most"], row["range_step"], row["range_rate"], row["range_currency"]) if by_value else None,
        least_rate=row["least_rate"],
        is_split=row["allocation"] == "quota",
        plan=plan,
    )  # fmt: skip


def _part(p: asyncpg.Record, *, is_later: bool = False) -> Part:
    return Part(
        p["listing_id"], p["sku_id"], p["product_id"], p["product_name"], p["sku_name"], p["delivery_kind"], p["quantity"],
        p["worth_minor"], fields_of(json.loads(p["buyer_fields"])), is_later,
    )  # fmt: skip


def _cycles(row: asyncpg.Record, plan: Plan) -> tuple[Part, ...]:
    return tuple(_part(row, is_later=number > 0) for number in range(plan.cycles))


def _asked(rows: Sequence[asyncpg.Record], parts: Mapping[UUID, list[asyncpg.Record]]) -> dict[AccountKey, Asked]:
    found = {}
    for row in rows:
        for one in parts.get(row["sku_id"], [row]):
            fields = fields_of(json.loads(one["buyer_fields"]))
            if fields:
                found[row["listing_id"], one["sku_id"]] = Asked(
                    one["sku_id"],
                    f"{one['product_name']} {one['sku_name']}",
                    fields,
                    one["refuses_virtual_numbers"],
                    is_credited=one["delivery_kind"] == DeliveryKind.DIRECT_TOP_UP,
                    is_part=_is_parent(row),
                    binds_account=one["binds_account"],
                    shown_at=row["product_id"],
                )
    return found


_SCARCE = """
select ro.sku_id
from route_offer ro join supplier_offer o on o.id = ro.offer_id join supplier_connection c on c.id = o.connection_id
where o.stock is not null and o.is_on_sale
group by ro.sku_id
having sum(o.stock) <= $1 or max(greatest(o.seen_at, c.catalog_at)) < now() - interval '10 minutes'
limit $2
"""
_FACE = """
select id as storefront_id, name, tagline, brand_color, logo_id, contact_rule, support_contact, notice_html
from storefront order by created_at limit 1
"""
_CHANNELS = """
select c.code, l.sku_id, l.price_minor, l.is_sold
from sales_channel c left join channel_listing l on l.channel_code = c.code
where c.is_on
order by c.code
limit $1 * 50
"""
_LISTED = """
select l.id as listing_id, l.sku_id, l.price_minor, l.was_minor, l.currency, l.terms_version, l.least_minor, l.least_rate, k.name as sku_name, k.is_hot,
       p.id as product_id, p.name as product_name, p.summary, p.category_id, p.cover_icon, p.cover_hue, p.picture_id, p.buyer_limit,
       p.description_html, p.usage_html, p.delivery_kind, p.binds_account, p.attributes::text as attributes,
       coalesce(t.buyer_fields, p.account_fields)::text as buyer_fields,
       coalesce(t.refuses_virtual_numbers, p.refuses_virtual_numbers) as refuses_virtual_numbers,
       v.least_minor as range_least, v.most_minor as range_most, v.step_minor as range_step, v.rate as range_rate, v.currency as range_currency,
       s.allocation
from listing l join sku k on k.id = l.sku_id left join stock s on s.sku_id = k.id left join sku_range v on v.sku_id = k.id
join product p on p.id = k.product_id left join product_type t on t.id = p.type_id
where l.storefront_id = $1 and l.is_published and p.state = 'on_sale'
order by p.position, p.created_at, k.position
limit $2
"""
