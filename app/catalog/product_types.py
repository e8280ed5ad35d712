"""Verbs on the types of goods a merchant defines: made, changed, retired, and deleted while nothing is of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import accounts, queries
from app.catalog.accounts import AccountField
from app.catalog.models import DeliveryKind, Product, ProductType, TypeState
from app.catalog.service import NoAccountFields
from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError
from app.kernel.ids import new_id

TYPED = frozenset(DeliveryKind) - {DeliveryKind.BUNDLE, DeliveryKind.SUBSCRIPTION}
"""Kinds a type may have. A bundle and a subscription are made of other products, which bring their own fields."""
MOST_TYPES = 100


class TypeNameTaken(DomainError):
    status = 422
    message = N_("There is already a type called %(name)s.")


class TypeInUse(DomainError):
    message = N_("%(count)s products are of this type, so it cannot be deleted. Retire it: it then makes no new ones.")


class TooManyTypes(DomainError):
    status = 422
    message = N_("At most %(most)s types. Delete one that nothing is of first.")


@dataclass(frozen=True, slots=True)
class TypeTerms:
    """What the merchant decides about a type. The delivery kind is of a new one; a known one keeps its own."""

    name: str
    delivery_kind: DeliveryKind
    icon: str = "ticket"
    buyer_fields: Sequence[AccountField] = ()
    product_fields: Sequence[AccountField] = ()
    refuses_virtual: bool = False


async def create_type(session: AsyncSession, terms: TypeTerms, *, actor: Actor) -> ProductType:
    """A new type. Locks: others who name one. Raises: TypeNameTaken, NoAccountFields, TooManyTypes."""
    assert terms.delivery_kind in TYPED
    await _lock(session)
    if (await session.scalar(select(func.count()).select_from(ProductType)) or 0) >= MOST_TYPES:
        raise TooManyTypes(most=MOST_TYPES)
    made = ProductType(id=new_id(), name=terms.name, delivery_kind=terms.delivery_kind)
    await _apply(session, made, terms)
    session.add(made)
    await session.flush()
    await _write(session, made, "created", actor)
    return made


async def change_type(session: AsyncSession, type_id: UUID, terms: TypeTerms, *, actor: Actor) -> ProductType:
    """Change a type, and what its products say of themselves by its fields. Orders already placed keep what they were sold with.

    Locks: others who name one. Raises: NotFound, TypeNameTaken, NoAccountFields.
    """
    await _lock(session)
    found = await queries.type_or_404(session, type_id)
    await _apply(session, found, terms)
    for product in await session.scalars(select(Product).where(Product.type_id == type_id)):
        product.attributes = accounts.told(terms.product_fields, {one["name"]: one["value"] for one in product.attributes})
    await session.flush()
    await _write(session, found, "changed", actor)
    return found


async def move_type(session: AsyncSession, type_id: UUID, state: TypeState, *, actor: Actor) -> ProductType:
    """Retire a type, so that no new product is of it, or take it up again. Idempotent. Raises: NotFound."""
    found = await queries.type_or_404(session, type_id)
    if found.state != state:
        found.state = state
        await session.flush()
        await _write(session, found, state.value, actor)
    return found


async def delete_type(session: AsyncSession, type_id: UUID, *, actor: Actor) -> None:
    """Delete a type that no product is of. Locks: the type, so that none becomes so meanwhile. Raises: NotFound, TypeInUse."""
    found = await queries.type_or_404(session, type_id, lock=True)
    if used := await session.scalar(select(func.count()).select_from(Product).where(Product.type_id == type_id)):
        raise TypeInUse(count=used)
    await session.delete(found)
    await session.flush()
    await _write(session, found, "deleted", actor)


async def _lock(session: AsyncSession) -> None:
    await session.execute(text("lock table product_type in share row exclusive mode"))


async def _apply(session: AsyncSession, found: ProductType, terms: TypeTerms) -> None:
    if await session.scalar(select(ProductType.id).where(ProductType.name == terms.name, ProductType.id != found.id)):
        raise TypeNameTaken(name=terms.name)
    if found.delivery_kind == DeliveryKind.DIRECT_TOP_UP and not terms.buyer_fields:
        raise NoAccountFields
    found.name, found.icon, found.refuses_virtual_numbers = terms.name, terms.icon, terms.refuses_virtual
    found.buyer_fields, found.product_fields = accounts.stored(terms.buyer_fields), accounts.stored(terms.product_fields)


async def _write(session: AsyncSession, found: ProductType, what: str, actor: Actor) -> None:
    facts = {
        "name": found.name,
        "buyer_fields": [one["name"] for one in found.buyer_fields],
        "product_fields": [one["name"] for one in found.product_fields],
    }
    await audit.record(session, actor, f"product_type.{what}", subject=("product_type", found.id), facts=facts)
