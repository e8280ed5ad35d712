"""What a shop shows: its face, categories and everything on sale, kept in memory for a moment per process.

A price in here may be two seconds old; the order function compares it with the listing in its own transaction, so nobody pays an old price.
Stock is never kept: it is read for every page that shows it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from app.catalog.accounts import AccountField, fields_of
from app.kernel.errors import NotFound
from app.ordering.rules import Offered
from app.pricing.queries import of_sku, rules_by_product
from app.pricing.rules import Rule
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

_FRESH_S = 2.0
_KEPT = 500
_MOST_LISTED = 2000


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
    buyer_fields: tuple[AccountField, ...]
    """What its buyer states before he pays: the account to credit, or what its type asks for."""
    attributes: tuple[tuple[str, str], ...]
    """What is said of it: labels and values."""
    refuses_virtual_numbers: bool
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

    def product_or_404(self, product_id: UUID) -> Shelved:
        """A product on sale. Raises: NotFound."""
        if (found := self.products.get(product_id)) is None:
            raise NotFound
        return found


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
    products = {product_id: _shelved(rows, rules.get(product_id, ())) for product_id, rows in by_product.items()}
    offers = {offer.listing_id: offer for product in products.values() for offer in product.offers}
    return Shelf(Face(**dict(face)), categories, products, offers)


def _shelved(rows: list[asyncpg.Record], rules: Sequence[Rule]) -> Shelved:
    first = rows[0]
    fields = fields_of(json.loads(first["buyer_fields"]))
    return Shelved(
        id=first["product_id"],
        name=first["product_name"],
        summary=first["summary"],
        category_id=first["category_id"],
        cover_icon=first["cover_icon"],
        cover_hue=first["cover_hue"],
        picture_id=first["picture_id"],
        delivery_kind=first["delivery_kind"],
        buyer_fields=fields,
        attributes=tuple((one["label"], one["value"]) for one in json.loads(first["attributes"])),
        refuses_virtual_numbers=first["refuses_virtual_numbers"],
        buyer_limit=first["buyer_limit"],
        description_html=first["description_html"],
        usage_html=first["usage_html"],
        offers=tuple(
            Offered(
                row["listing_id"], row["sku_id"], row["product_id"], row["product_name"], row["sku_name"], row["delivery_kind"],
                row["price_minor"], row["currency"], row["buyer_limit"], row["is_hot"], fields,
                row["terms_version"], of_sku(rules, row["sku_id"]),
            )
            for row in rows
        ),
        was_minor={row["listing_id"]: row["was_minor"] for row in rows},
    )  # fmt: skip


_FACE = """
select id as storefront_id, name, tagline, brand_color, logo_id, contact_rule, support_contact, notice_html
from storefront order by created_at limit 1
"""
_LISTED = """
select l.id as listing_id, l.sku_id, l.price_minor, l.was_minor, l.currency, l.terms_version, k.name as sku_name, k.is_hot,
       p.id as product_id, p.name as product_name, p.summary, p.category_id, p.cover_icon, p.cover_hue, p.picture_id, p.buyer_limit,
       p.description_html, p.usage_html, p.delivery_kind, p.attributes::text as attributes,
       coalesce(t.buyer_fields, p.account_fields)::text as buyer_fields,
       coalesce(t.refuses_virtual_numbers, p.refuses_virtual_numbers) as refuses_virtual_numbers
from listing l join sku k on k.id = l.sku_id join product p on p.id = k.product_id left join product_type t on t.id = p.type_id
where l.storefront_id = $1 and l.is_published and p.state = 'on_sale'
order by p.position, p.created_at, k.position
limit $2
"""
