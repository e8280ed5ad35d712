"""A connection's goods as the merchant looks through them: filtered lists by cursor, one with its prices so far, the exclusion list, goods typed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id
from app.suppliers.rules import Values
from tenants.session import Tx, raw

PAGE = 50
MOST_CHOSEN = 5_000
"""So many offers are chosen at once at most."""


class Shown(StrEnum):
    """Which of the goods a list shows. `fresh` are those an import would take: on sale, not excluded, on no route."""

    ALL = "all"
    FRESH = "fresh"
    MAPPED = "mapped"
    EXCLUDED = "excluded"
    OFF_SALE = "off_sale"


class KnownAlready(DomainError):
    message = N_("This supplier SKU is known already. Search for it in the list.")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Offers as a list is filtered: of a connection, by words in name or supplier SKU, and what is shown."""

    connection_id: UUID
    text: str = ""
    shown: Shown = Shown.ALL

    @property
    def pattern(self) -> str:
        """For `ilike`; empty matches everything."""
        escaped = self.text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        return f"%{escaped}%" if escaped else ""


@dataclass(frozen=True, slots=True)
class OfferPage:
    """A page of offers in the order of their names, and whether there are more on either side."""

    rows: Sequence[asyncpg.Record]
    has_before: bool
    has_after: bool


async def offers(tx: Tx, wanted: Wanted, *, after: UUID | None = None, before: UUID | None = None) -> OfferPage:
    """One page of offers: the first, the one after an offer, or the one before it."""
    given = (wanted.connection_id, wanted.pattern, wanted.shown)
    if before is not None:
        rows = await tx.fetch(_PAGE_BEFORE, *given, before, PAGE + 1)
        return OfferPage(rows[:PAGE][::-1], len(rows) > PAGE, has_after=True)
    rows = await tx.fetch(_PAGE_AFTER, *given, after, PAGE + 1)
    return OfferPage(rows[:PAGE], after is not None, len(rows) > PAGE)


async def counts(tx: Tx, wanted: Wanted) -> dict[Shown, int]:
    """How many offers each list shows, of those that hold the words."""
    row = await tx.fetchrow(_COUNTS, wanted.connection_id, wanted.pattern)
    assert row is not None
    return {shown: row[shown.value] for shown in Shown}


async def offer_or_404(tx: Tx, offer_id: UUID) -> asyncpg.Record:
    """One offer with its connection. Raises: NotFound."""
    row = await tx.fetchrow(_OFFER, offer_id)
    if row is None:
        raise NotFound
    return row


async def changes(tx: Tx, offer_id: UUID, *, limit: int = 60) -> list[asyncpg.Record]:
    """The newest changes of an offer's cost, newest first."""
    return await tx.fetch(_CHANGES, offer_id, limit)


async def skus_of(tx: Tx, offer_id: UUID) -> list[asyncpg.Record]:
    """The SKUs an offer serves, with the names of their products."""
    return await tx.fetch(_SKUS, offer_id)


async def exclude(
    session: AsyncSession, connection_id: UUID, offer_ids: Sequence[UUID], *, is_excluded: bool, actor: Actor
) -> int:
    """Put offers of a connection on the exclusion list, or take them off it; how many changed. Routes stay as they are. Idempotent."""
    tx = await raw(session)
    changed = await tx.fetch(_EXCLUDE, connection_id, list(offer_ids), is_excluded)
    if changed:
        action = "supplier.offers_excluded" if is_excluded else "supplier.offers_included"
        facts = {"offers": len(changed)}
        await audit.record(session, actor, action, subject=("supplier_connection", connection_id), facts=facts)
    return len(changed)


async def matching(tx: Tx, wanted: Wanted, chosen: Sequence[UUID] | None) -> list[UUID]:
    """The chosen offers of a connection, or all that match the filter; at most `MOST_CHOSEN`, in the order of their supplier's SKU."""
    rows = await tx.fetch(_MATCHING, wanted.connection_id, wanted.pattern, wanted.shown, chosen, MOST_CHOSEN)
    return [row["id"] for row in rows]


@dataclass(frozen=True, slots=True)
class TypedOffer:
    """Goods a merchant types in, for protocols that have no catalog. Those sold by any value of a range cost `unit_cost` for 1 of value."""

    supplier_sku: str
    name: str
    delivery_kind: str
    unit_cost: Decimal
    currency: str
    stock: int | None = None
    sells: Values | None = None


async def add_offer(session: AsyncSession, connection_id: UUID, typed: TypedOffer, *, actor: Actor) -> UUID:
    """Write goods down by hand; the offer's id. Raises: KnownAlready."""
    tx, offer_id = await raw(session), new_id()
    written = await tx.execute(
        _ADD, offer_id, connection_id, typed.supplier_sku, typed.name, typed.delivery_kind, typed.unit_cost, typed.currency,
        typed.stock, *(astuple(typed.sells) if typed.sells else (None, None, None)),
    )  # fmt: skip
    if not written:
        raise KnownAlready
    facts = {"supplier_sku": typed.supplier_sku, "unit_cost": str(typed.unit_cost)}
    await audit.record(session, actor, "supplier.offer_typed", subject=("supplier_offer", offer_id), facts=facts)
    return offer_id


_COLUMNS = """
o.id, o.connection_id, o.supplier_sku, o.name, o.delivery_kind, o.unit_cost, o.currency, o.is_on_sale, o.is_excluded, o.stock, o.face_value_minor,
o.least_minor, o.most_minor, o.region, o.seen_at
"""
_MATCHES = """
o.connection_id = $1 and ($2 = '' or o.name ilike $2 or o.supplier_sku ilike $2)
and case $3
  when 'fresh' then o.is_on_sale and not o.is_excluded and not exists (select 1 from route_offer r where r.offer_id = o.id)
  when 'mapped' then exists (select 1 from route_offer r where r.offer_id = o.id)
  when 'excluded' then o.is_excluded
  when 'off_sale' then not o.is_on_sale
  else true
end
"""
_LISTED = f"""
select {_COLUMNS}, (select count(*)::int from route_offer r where r.offer_id = o.id) as routes, h.before as was_cost, h.created_at as changed_at
from supplier_offer o
left join lateral (select before, created_at from offer_change c where c.offer_id = o.id order by c.created_at desc limit 1) h on true
"""  # noqa: S608
_PAGE_AFTER = f"""
{_LISTED}
where {_MATCHES} and ($4::uuid is null or (o.name, o.id) > (select c.name, c.id from supplier_offer c where c.id = $4))
order by o.name, o.id
limit $5
"""  # noqa: S608
_PAGE_BEFORE = f"""
{_LISTED}
where {_MATCHES} and (o.name, o.id) < (select c.name, c.id from supplier_offer c where c.id = $4)
order by o.name desc, o.id desc
limit $5
"""  # noqa: S608
_COUNTS = """
select count(*)::int as all,
       (count(*) filter (where o.is_on_sale and not o.is_excluded and not m.is_mapped))::int as fresh,
       (count(*) filter (where m.is_mapped))::int as mapped,
       (count(*) filter (where o.is_excluded))::int as excluded,
       (count(*) filter (where not o.is_on_sale))::int as off_sale
from supplier_offer o
cross join lateral (select exists (select 1 from route_offer r where r.offer_id = o.id) as is_mapped) m
where o.connection_id = $1 and ($2 = '' or o.name ilike $2 or o.supplier_sku ilike $2)
"""
_MATCHING = f"""
select o.id from supplier_offer o
where {_MATCHES} and ($4::uuid[] is null or o.id = any($4))
order by o.supplier_sku
limit $5
"""  # noqa: S608
_OFFER = f"""
select {_COLUMNS}, o.step_minor, o.account_fields, c.name as connection_name, c.connector, c.mode, c.is_on
from supplier_offer o join supplier_connection c on c.id = o.connection_id
where o.id = $1
"""  # noqa: S608
_CHANGES = "select before, after, created_at from offer_change where offer_id = $1 order by created_at desc, id desc limit $2"
_SKUS = """
select s.id, s.name, p.id as product_id, p.name as product_name
from route_offer r join sku s on s.id = r.sku_id join product p on p.id = s.product_id
where r.offer_id = $1
order by p.name, s.name
limit 200
"""
_EXCLUDE = """
update supplier_offer set is_excluded = $3, updated_at = now()
where connection_id = $1 and id = any($2) and is_excluded <> $3
returning id
"""
_ADD = """
insert into supplier_offer
  (id, connection_id, supplier_sku, name, delivery_kind, unit_cost, currency, stock, least_minor, most_minor, step_minor, seen_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, now())
on conflict (connection_id, supplier_sku) do nothing
"""
