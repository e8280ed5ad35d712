"""What bundles hold: SKUs of other kinds, so many of each, and what happens when one of them cannot be delivered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import queries
from app.catalog.models import BundlePolicy, DeliveryKind
from app.kernel import audit, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from tenants.session import Tx, raw

FEWEST_PARTS, MOST_PARTS = 2, 20
MOST_OF_ONE = 20
MOST_UNITS = 100
"""Units in one bundle, all parts together."""
_MOST_CHOICES = 500


class TooFewParts(DomainError):
    status = 422
    message = N_("A bundle holds at least %(fewest)s different things.")


class TooManyParts(DomainError):
    status = 422
    message = N_("A bundle holds %(most)s different things and %(units)s units at most.")


class PartTwice(DomainError):
    status = 422
    message = N_("%(name)s stands in it twice. Raise its quantity instead.")


class NotAPart(DomainError):
    status = 422
    message = N_("This cannot be a part of a bundle. Choose something else from the list.")


@dataclass(frozen=True, slots=True)
class Contents:
    """What one bundle holds, and what happens when a part of it cannot be delivered."""

    parts: Sequence[tuple[UUID, int]]
    """SKUs and how many units of each, in order."""
    policy: BundlePolicy = BundlePolicy.PARTIAL


async def parts_of(tx: Tx, sku_ids: Sequence[UUID]) -> dict[UUID, list[asyncpg.Record]]:
    """What these bundles hold, by bundle, in order: names, kinds, quantities, what a unit costs alone, and the account it asks for."""
    found: dict[UUID, list[asyncpg.Record]] = {}
    for row in await tx.fetch(_PARTS, list(sku_ids)):
        found.setdefault(row["bundle_sku_id"], []).append(row)
    return found


async def choices(tx: Tx) -> list[asyncpg.Record]:
    """The SKUs that may be parts: of kinds that sell, not taken out of their products, in the order of their names."""
    kinds = [kind for kind in DeliveryKind if may_be_part(kind)]
    return await tx.fetch(_CHOICES, kinds, _MOST_CHOICES)


async def named_parts(tx: Tx, sku_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Those of these SKUs that may be parts, with their names."""
    kinds = [kind for kind in DeliveryKind if may_be_part(kind)]
    return {row["sku_id"]: row["name"] for row in await tx.fetch(_NAMED, list(sku_ids), kinds)}


async def bundles_with(tx: Tx, sku_ids: Sequence[UUID]) -> list[asyncpg.Record]:
    """The bundles these SKUs are parts of, and the subscriptions that deliver them: ids and names."""
    return await tx.fetch(_WITH, list(sku_ids))


def may_be_part(kind: DeliveryKind) -> bool:
    """Whether units of a kind may stand in a bundle: no bundle in a bundle, and nothing that is delivered over months.

    Nor may a SKU that is sold by face value, which no buyer of a bundle chooses.
    """
    return kind not in (DeliveryKind.BUNDLE, DeliveryKind.SUBSCRIPTION)


async def fill(session: AsyncSession, product_id: UUID, sku_id: UUID, contents: Contents, *, actor: Actor) -> None:
    """Say what a bundle holds. Orders already placed keep what they were for. Idempotent.

    Locks: the bundle. Raises: NotFound for a SKU that is no bundle's, TooFewParts, TooManyParts, PartTwice, NotAPart.
    """
    product = await queries.product_or_404(session, product_id)
    if product.delivery_kind != DeliveryKind.BUNDLE or sku_id not in {sku.id for sku in product.skus}:
        raise NotFound
    tx = await raw(session)
    await _refuse(tx, contents)
    await tx.execute(_BUNDLE, sku_id, contents.policy)
    await tx.execute("delete from bundle_part where bundle_sku_id = $1", sku_id)
    rows = [(sku_id, part, quantity, position) for position, (part, quantity) in enumerate(contents.parts)]
    await tx.executemany("insert into bundle_part (bundle_sku_id, sku_id, quantity, position) values ($1, $2, $3, $4)", rows)
    facts = {"parts": len(rows), "units": sum(quantity for _, quantity in contents.parts), "policy": contents.policy}
    await history.record(tx, Happened("product", product_id, "product.contents_changed", facts=facts), actor=actor)
    await audit.record(tx, actor, "product.contents_changed", subject=("product", product_id), facts=facts)


async def _refuse(tx: Tx, contents: Contents) -> None:
    wanted = [sku_id for sku_id, _ in contents.parts]
    names = await named_parts(tx, wanted)
    if not set(wanted) <= names.keys():
        raise NotAPart
    if twice := next((sku_id for sku_id in wanted if wanted.count(sku_id) > 1), None):
        raise PartTwice(name=names[twice])
    if len(wanted) < FEWEST_PARTS:
        raise TooFewParts(fewest=FEWEST_PARTS)
    if len(wanted) > MOST_PARTS or sum(quantity for _, quantity in contents.parts) > MOST_UNITS:
        raise TooManyParts(most=MOST_PARTS, units=MOST_UNITS)


_PARTS = """
select b.bundle_sku_id, b.sku_id, b.quantity, w.policy, k.name as sku_name, p.id as product_id, p.name as product_name, p.delivery_kind,
       coalesce(t.buyer_fields, p.account_fields)::text as buyer_fields,
       coalesce(t.refuses_virtual_numbers, p.refuses_virtual_numbers) as refuses_virtual_numbers, p.binds_account, l.id as listing_id,
       coalesce(l.price_minor, k.face_value_minor, 0) as worth_minor
from bundle_part b
join bundle w on w.sku_id = b.bundle_sku_id
join sku k on k.id = b.sku_id
join product p on p.id = k.product_id
left join product_type t on t.id = p.type_id
join listing l on l.sku_id = k.id
where b.bundle_sku_id = any($1)
order by b.bundle_sku_id, b.position
"""
_CHOICES = """
select k.id as sku_id, p.name || ' ' || k.name as name, p.delivery_kind, l.price_minor
from sku k join product p on p.id = k.product_id join listing l on l.sku_id = k.id
where p.delivery_kind = any($1) and l.is_published and not exists (select 1 from sku_range v where v.sku_id = k.id)
order by p.name, k.position, k.id
limit $2
"""
_NAMED = """
select k.id as sku_id, p.name || ' ' || k.name as name from sku k join product p on p.id = k.product_id
where k.id = any($1) and p.delivery_kind = any($2) and not exists (select 1 from sku_range v where v.sku_id = k.id)
"""
_WITH = """
select distinct p.id, p.name
from (select bundle_sku_id as held_by, sku_id from bundle_part union all select sku_id, delivers_sku_id from subscription_plan) b
join sku k on k.id = b.held_by join product p on p.id = k.product_id
where b.sku_id = any($1)
order by p.name
limit 20
"""
_BUNDLE = "insert into bundle (sku_id, policy) values ($1, $2) on conflict (sku_id) do update set policy = excluded.policy"
