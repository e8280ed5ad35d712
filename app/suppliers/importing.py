"""Turning offers into products: each with one SKU, a price by the rules of the import, and a route to its offer. Line by line, resumable.

A line is decided in the transaction that makes its product, so an import that was cut off goes on where it stopped and makes nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import accounts
from app.catalog import queries as catalog_queries
from app.catalog import service as catalog
from app.catalog.models import DeliveryKind
from app.catalog.service import ProductTerms, SkuTerms
from app.kernel import audit
from app.kernel.actor import Actor, ActorKind
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id
from app.kernel.money import CNY, MAX_MINOR
from app.kernel.tasks import Lane, add_task
from app.suppliers import offering, service
from app.suppliers.exchange import rates_now
from app.suppliers.models import ImportResult
from app.suppliers.offering import MOST_CHOSEN, Wanted
from app.suppliers.rules import Rate, price_with_markup
from app.suppliers.service import RouteTerms
from tenants.directory import Tenant
from tenants.session import Tx, raw, tenant_session, tenant_tx

_AT_ONCE = 20
_A_TURN = 1_000
"""Lines that one run of the task decides before it makes room for others."""
LINES_PAGE = 50
_KINDS = {DeliveryKind.CARD_KEY: ("key-round", 4), DeliveryKind.DIRECT_TOP_UP: ("phone", 2)}


class NothingChosen(DomainError):
    status = 422
    message = N_("Choose at least one of the goods, or all that match.")


class TooManyChosen(DomainError):
    status = 422
    message = N_("At most %(most)s goods are imported at once. Search or filter for fewer.")


@dataclass(frozen=True, slots=True)
class ImportRules:
    """How prices come about: a share on the cost in basis points, a fixed part, an ending; and what becomes of the products."""

    markup_bp: int
    sku_name: str
    add_minor: int = 0
    ending_minor: int | None = None
    floor_bp: int = 0
    category_id: UUID | None = None
    is_put_on_sale: bool = False


async def start(
    session: AsyncSession, wanted: Wanted, chosen: Sequence[UUID] | None, rules: ImportRules, *, actor: Actor
) -> UUID:
    """Begin an import of chosen offers, or with None of all that match; its id. Raises: NothingChosen, TooManyChosen, NotFound."""
    tx, import_id = await raw(session), new_id()
    if rules.category_id is not None:
        await catalog_queries.category_or_404(session, rules.category_id)
    if chosen is None and (await offering.counts(tx, wanted))[wanted.shown] > MOST_CHOSEN:
        raise TooManyChosen(most=MOST_CHOSEN)
    offer_ids = await offering.matching(tx, wanted, chosen)
    if not offer_ids:
        raise NothingChosen
    await tx.execute(
        _INSERT, import_id, wanted.connection_id, rules.markup_bp, rules.add_minor, rules.ending_minor, rules.floor_bp,
        rules.category_id, rules.sku_name, rules.is_put_on_sale, actor.id, actor.name,
    )  # fmt: skip
    await tx.execute(_LINES, import_id, offer_ids)
    facts = {"offers": len(offer_ids), "markup_bp": rules.markup_bp, "add_minor": rules.add_minor}
    await audit.record(session, actor, "supplier.import_started", subject=("offer_import", import_id), facts=facts)
    await add_task(session, "suppliers.import_offers", lane=Lane.BULK, subject_id=import_id)
    return import_id


async def go_on(tenant: Tenant, import_id: UUID) -> None:
    """Decide the lines that wait, a few per transaction; after a good number of them the task comes back for the rest. Idempotent.

    Locks: the lines and their offers, in the order of their supplier's SKU, as readings of catalogs do.
    """
    for _ in range(_A_TURN // _AT_ONCE):
        async with tenant_session(tenant) as session:
            if not await _decide_some(session, import_id):
                return
    async with tenant_tx(tenant) as tx:
        await add_task(tx, "suppliers.import_offers", lane=Lane.BULK, subject_id=import_id)


async def _decide_some(session: AsyncSession, import_id: UUID) -> bool:
    tx = await raw(session)
    job = await tx.fetchrow("select * from offer_import where id = $1", import_id)
    if job is None:
        return False
    lines = await tx.fetch(_WAITING, import_id, _AT_ONCE)
    rates = await rates_now(tx)
    for line in lines:
        rate = rates.get(line["currency"])
        price_minor = _price(line, job, rate)
        result = _obstacle(line, price_minor, rate)
        product_id = None
        if result is None:
            assert price_minor is not None
            product_id = await _make(session, line, job, price_minor)
        await tx.execute(
            _DECIDED, import_id, line["line_no"], result or ImportResult.MADE, product_id, price_minor if product_id else None
        )
    return bool(lines)


def _price(line: asyncpg.Record, job: asyncpg.Record, rate: Rate | None) -> int | None:
    """What a unit would be sold at; None where its cost makes no price."""
    cost: Decimal = line["unit_cost"] * (rate.safe if rate else 1)
    if cost <= 0 or cost * 100 > MAX_MINOR:
        return None
    price = price_with_markup(cost, markup_bp=job["markup_bp"], add_minor=job["add_minor"], ending_minor=job["ending_minor"])
    return price if price <= MAX_MINOR else None


def _obstacle(line: asyncpg.Record, price_minor: int | None, rate: Rate | None) -> ImportResult | None:
    """Why an offer is left out; None when a product is made of it."""
    if line["is_excluded"]:
        return ImportResult.EXCLUDED
    if line["is_mapped"]:
        return ImportResult.MAPPED
    if not line["is_on_sale"]:
        return ImportResult.NOT_ON_SALE
    if line["least_minor"] is not None:
        return ImportResult.RANGE
    if line["currency"] != CNY and (rate is None or not rate.is_good):
        return ImportResult.OTHER_CURRENCY
    if price_minor is None or line["delivery_kind"] not in set(DeliveryKind) or not line["name"].strip():
        return ImportResult.NONSENSE
    return None


async def _make(session: AsyncSession, line: asyncpg.Record, job: asyncpg.Record, price_minor: int) -> UUID:
    actor = Actor(ActorKind.STAFF, job["actor_id"], job["actor_name"])
    kind = DeliveryKind(line["delivery_kind"])
    icon, hue = _KINDS.get(kind, ("ticket", 5))
    face_value = line["face_value_minor"]
    sku = SkuTerms(job["sku_name"], price_minor, face_value_minor=face_value, region=line["region"][:60])
    name = " ".join(line["name"].split())[:120]
    is_top_up = kind is DeliveryKind.DIRECT_TOP_UP
    fields = accounts.from_offer(json.loads(line["account_fields"])) if is_top_up else ()
    terms = ProductTerms(
        name=name,
        delivery_kind=kind,
        skus=[sku],
        category_id=job["category_id"],
        cover_icon=icon,
        cover_hue=hue,
        account_fields=fields,
    )
    product = await catalog.create_product(session, terms, actor=actor)
    skus = await catalog_queries.skus_of(session, product.id)
    route = RouteTerms([(line["offer_id"], 1)], floor_bp=job["floor_bp"])
    await service.route(session, skus[0].id, route, actor=actor)
    if job["is_put_on_sale"] and (fields or not is_top_up):
        await catalog.publish(session, product.id, actor=actor)
    return product.id


async def import_or_404(tx: Tx, import_id: UUID) -> asyncpg.Record:
    """One import with its connection's name. Raises: NotFound."""
    row = await tx.fetchrow(_IMPORT, import_id)
    if row is None:
        raise NotFound
    return row


async def results(tx: Tx, import_id: UUID) -> dict[ImportResult, int]:
    """How many lines came to what."""
    rows = await tx.fetch(
        "select result, count(*)::int as lines from offer_import_line where import_id = $1 group by result", import_id
    )
    return {ImportResult(row["result"]): row["lines"] for row in rows}


async def lines_of(tx: Tx, import_id: UUID, *, result: ImportResult | None, after: int = 0) -> list[asyncpg.Record]:
    """A page of an import's lines, all or those of one result."""
    return await tx.fetch(_LISTED, import_id, result, after, LINES_PAGE + 1)


async def imports_of(tx: Tx, connection_id: UUID, *, limit: int = 5) -> list[asyncpg.Record]:
    """A connection's newest imports, each with how many lines it has and how many wait."""
    return await tx.fetch(_OF_CONNECTION, connection_id, limit)


_INSERT = """
insert into offer_import
  (id, connection_id, markup_bp, add_minor, ending_minor, floor_bp, category_id, sku_name, is_put_on_sale, actor_id, actor_name)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
"""
_LINES = """
insert into offer_import_line (import_id, line_no, offer_id)
select $1, o.line_no, o.offer_id from unnest($2::uuid[]) with ordinality as o (offer_id, line_no)
"""
_WAITING = """
select l.line_no, l.offer_id, o.name, o.delivery_kind, o.unit_cost, o.currency, o.is_on_sale, o.is_excluded, o.face_value_minor, o.least_minor, o.region,
       o.account_fields::text as account_fields,
       exists (select 1 from route_offer r where r.offer_id = o.id) as is_mapped
from offer_import_line l join supplier_offer o on o.id = l.offer_id
where l.import_id = $1 and l.result = 'waiting'
order by l.line_no
limit $2
for update of l, o
"""
_DECIDED = "update offer_import_line set result = $3, product_id = $4, price_minor = $5 where import_id = $1 and line_no = $2"
_IMPORT = """
select i.*, c.name as connection_name from offer_import i join supplier_connection c on c.id = i.connection_id where i.id = $1
"""
_LISTED = """
select l.line_no, l.offer_id, l.result, l.product_id, l.price_minor, o.name, o.supplier_sku, o.unit_cost, o.currency, p.state as product_state
from offer_import_line l join supplier_offer o on o.id = l.offer_id left join product p on p.id = l.product_id
where l.import_id = $1 and ($2::text is null or l.result = $2) and l.line_no > $3
order by l.line_no
limit $4
"""
_OF_CONNECTION = """
select i.id, i.created_at, i.actor_name, n.lines, n.waiting, n.made
from offer_import i
cross join lateral (
  select count(*)::int as lines, (count(*) filter (where result = 'waiting'))::int as waiting, (count(*) filter (where result = 'made'))::int as made
  from offer_import_line l where l.import_id = i.id
) n
where i.connection_id = $1
order by i.created_at desc, i.id desc
limit $2
"""
