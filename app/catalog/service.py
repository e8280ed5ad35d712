"""Verbs on what is sold: opening a storefront, making and changing products, SKUs, prices and categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy import delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog import accounts, by_hand, contents, minting, queries, richtext
from app.catalog.accounts import AccountField
from app.catalog.by_hand import Promise
from app.catalog.channels import STOREFRONT
from app.catalog.minting import MintingRules
from app.catalog.models import (
    BundlePart,
    Category,
    DeliveryKind,
    Listing,
    Picture,
    PriceChange,
    Product,
    ProductState,
    SalesChannel,
    Sku,
    Storefront,
    SubscriptionPlan,
    TypeState,
)
from app.catalog.values import ValueRange
from app.kernel import audit, history
from app.kernel.actor import Actor
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.history import Happened
from app.kernel.ids import new_id


class NoAccountFields(DomainError):
    status = 422
    message = N_("Say first which account its buyers state: without it nobody knows whom to credit.")


class NoPlan(DomainError):
    status = 422
    message = N_("Say first what %(name)s delivers each cycle.")


class NothingInBundle(DomainError):
    status = 422
    message = N_("Say first what is in %(name)s.")


class AttributeMissing(DomainError):
    status = 422
    message = N_("Its type asks for %(label)s. Fill it in and save, then put it on sale.")


class TypeRetired(DomainError):
    status = 422
    message = N_("The type %(name)s is retired: it makes no new products.")


class NothingToProve(DomainError):
    status = 422
    message = N_("Only a mobile number or an e-mail address that must be filled in can be proved. Add such a field first.")


class NothingToSell(DomainError):
    status = 422
    message = N_("Add at least one SKU with a price before putting the product on sale.")


class SkuNameTwice(DomainError):
    status = 422
    message = N_("Two SKUs of one product are both called %(name)s. Give each its own name.")


class CategoryNameTaken(DomainError):
    status = 422
    message = N_("There is already a category called %(name)s.")


class CategoryNotEmpty(DomainError):
    message = N_("This category still holds %(count)s products. Move them to another one first.")


@dataclass(frozen=True, slots=True)
class SkuTerms:
    """What the merchant decides about one SKU. `id` is None for a new one."""

    name: str
    price_minor: int
    was_minor: int | None = None
    face_value_minor: int | None = None
    region: str = ""
    warn_below: int = 0
    is_hot: bool = False
    warn_days: int = 0
    id: UUID | None = None


@dataclass(frozen=True, slots=True)
class ProductTerms:
    """What the merchant decides about a product."""

    name: str
    delivery_kind: DeliveryKind
    skus: Sequence[SkuTerms] = field(default_factory=tuple)
    summary: str = ""
    category_id: UUID | None = None
    description_html: str = ""
    usage_html: str = ""
    cover_icon: str = "ticket"
    cover_hue: int = 4
    buyer_limit: int | None = None
    account_fields: Sequence[AccountField] = ()
    """Of a new product; a known one keeps its own until `set_account`."""
    type_id: UUID | None = None
    """Of a new product: the merchant's own type it is of, whose delivery kind it has."""
    attributes: Sequence[Mapping[str, str]] | None = None
    """What is said of it by its type's fields; None leaves what is there."""


async def open_storefront(session: AsyncSession, *, name: str) -> Storefront:
    """The tenant's first shop face, and the sales channel it is. Idempotent: a tenant that has one keeps it. Locks: others who open one."""
    await session.execute(text("lock table storefront in share row exclusive mode"))
    if (existing := await queries.storefront(session)) is not None:
        return existing
    made = Storefront(id=new_id(), name=name)
    session.add_all([made, SalesChannel(code=STOREFRONT, name="Shop")])
    await session.flush()
    return made


async def create_product(session: AsyncSession, terms: ProductTerms, *, actor: Actor) -> Product:
    """A new product as a draft, with its SKUs and their prices. Rich text is sanitised here. Raises: NotFound, SkuNameTwice, TypeRetired."""
    kind, fields = terms.delivery_kind, accounts.stored(terms.account_fields)
    if terms.type_id is not None:
        kind = await _kind_of_type(session, terms.type_id)
    product = Product(id=new_id(), name=terms.name, delivery_kind=kind, account_fields=fields, type_id=terms.type_id)
    await _apply(session, product, terms)
    session.add(product)
    await session.flush()
    await _set_skus(session, product, terms.skus, actor)
    await history.record(session, Happened("product", product.id, "product.created"), actor=actor)
    await audit.record(session, actor, "product.created", subject=("product", product.id), facts={"name": product.name})
    return product


async def change_product(session: AsyncSession, product_id: UUID, terms: ProductTerms, *, actor: Actor) -> Product:
    """Change a product and its SKUs. SKUs left out go off the shelf and stay for their orders; one of the same name comes back as itself.

    The delivery kind stays. Raises: NotFound, also for a SKU of another product; SkuNameTwice; NothingToSell when a product on sale would
    have no SKU left.
    """
    product = await queries.product_or_404(session, product_id)
    if product.state == ProductState.ON_SALE and not terms.skus:
        raise NothingToSell
    await _apply(session, product, terms)
    await _set_skus(session, product, terms.skus, actor)
    await history.record(session, Happened("product", product.id, "product.changed"), actor=actor)
    await audit.record(session, actor, "product.changed", subject=("product", product.id), facts={"name": product.name})
    return product


async def publish(session: AsyncSession, product_id: UUID, *, actor: Actor) -> Product:
    """Put a product on sale. Idempotent.

    Raises: NotFound, NoAccountFields, NothingToOpen, AttributeMissing, NothingInBundle, NoPlan, NothingToSell.
    """
    product = await queries.product_or_404(session, product_id)
    if product.delivery_kind == DeliveryKind.DIRECT_TOP_UP and not product.buyer_fields:
        raise NoAccountFields
    if product.delivery_kind == DeliveryKind.LINK and not await contents.is_openable(session, product):
        raise contents.NothingToOpen
    if missing := _missing(product):
        raise AttributeMissing(label=missing)
    on_shelf = product.on_shelf
    if not on_shelf:
        raise NothingToSell
    if product.delivery_kind == DeliveryKind.BUNDLE and (empty := await _empty_bundle(session, on_shelf)):
        raise NothingInBundle(name=empty.name)
    if product.delivery_kind == DeliveryKind.SUBSCRIPTION and (lacking := await _without_plan(session, on_shelf)):
        raise NoPlan(name=lacking.name)
    await _move(session, product, ProductState.ON_SALE, actor)
    return product


async def _empty_bundle(session: AsyncSession, skus: Sequence[Sku]) -> Sku | None:
    """The first of these bundles that holds nothing."""
    query = select(BundlePart.bundle_sku_id).where(BundlePart.bundle_sku_id.in_([sku.id for sku in skus]))
    filled = set((await session.scalars(query)).all())
    return next((sku for sku in skus if sku.id not in filled), None)


async def _without_plan(session: AsyncSession, skus: Sequence[Sku]) -> Sku | None:
    """The first of these subscriptions that has no plan."""
    query = select(SubscriptionPlan.sku_id).where(SubscriptionPlan.sku_id.in_([sku.id for sku in skus]))
    planned = set((await session.scalars(query)).all())
    return next((sku for sku in skus if sku.id not in planned), None)


async def withdraw(session: AsyncSession, product_id: UUID, *, actor: Actor) -> Product:
    """Take a product off sale. Orders already placed go on. Idempotent. Raises: NotFound."""
    product = await queries.product_or_404(session, product_id)
    await _move(session, product, ProductState.OFF_SALE, actor)
    return product


async def set_account(
    session: AsyncSession, product_id: UUID, fields: Sequence[AccountField], *, refuses_virtual: bool, actor: Actor
) -> Product:
    """Say what the buyers of a product without a type of its own state: of a top-up, the account. Orders already placed keep what they stated.

    Raises: NotFound, NoAccountFields.
    """
    product = await queries.product_or_404(session, product_id)
    is_top_up = product.delivery_kind == DeliveryKind.DIRECT_TOP_UP
    if not fields and is_top_up and product.state == ProductState.ON_SALE:
        raise NoAccountFields
    product.account_fields, product.refuses_virtual_numbers = accounts.stored(fields), refuses_virtual
    await session.flush()
    await history.record(session, Happened("product", product.id, "product.account_changed"), actor=actor)
    facts = {"fields": [one.name for one in fields]}
    await audit.record(session, actor, "product.account_changed", subject=("product", product.id), facts=facts)
    return product


async def bind_account(session: AsyncSession, product_id: UUID, *, is_bound: bool, actor: Actor) -> Product:
    """Say whether only what a buyer has proved by a code is credited. Orders already placed go on. Idempotent. Raises: NotFound, NothingToProve."""
    product = await queries.product_or_404(session, product_id)
    if is_bound and accounts.bound_field(accounts.fields_of(product.buyer_fields)) is None:
        raise NothingToProve
    if product.binds_account != is_bound:
        product.binds_account = is_bound
        await session.flush()
        await history.record(session, Happened("product", product.id, "product.account_changed"), actor=actor)
        facts = {"is_bound": is_bound}
        await audit.record(session, actor, "product.account_bound", subject=("product", product.id), facts=facts)
    return product


async def set_minting(session: AsyncSession, product_id: UUID, rules: MintingRules, *, actor: Actor) -> Product:
    """Say where, when and how often what is minted for a product may be used. What was sold before keeps its own rules. Raises: NotFound."""
    product = await queries.product_or_404(session, product_id)
    product.minting = minting.stored(rules)
    await session.flush()
    await history.record(session, Happened("product", product.id, "product.rules_changed"), actor=actor)
    await audit.record(session, actor, "product.rules_changed", subject=("product", product.id), facts=product.minting)
    return product


async def set_by_hand(session: AsyncSession, product_id: UUID, promise: Promise, *, actor: Actor) -> Product:
    """Say within what time people deliver a product. What was sold before keeps its own time. Raises: NotFound."""
    product = await queries.product_or_404(session, product_id)
    product.by_hand = by_hand.stored(promise)
    await session.flush()
    await history.record(session, Happened("product", product.id, "product.promise_changed"), actor=actor)
    await audit.record(session, actor, "product.promise_changed", subject=("product", product.id), facts=product.by_hand)
    return product


async def set_picture(session: AsyncSession, product_id: UUID, picture: Picture | None, *, actor: Actor) -> Product:
    """Give a product a picture, or with None its drawn cover again. The picture it had is deleted. Raises: NotFound."""
    product = await queries.product_or_404(session, product_id)
    before, product.picture_id = product.picture_id, picture.id if picture else None
    if picture is not None:
        session.add(picture)
        await session.flush([picture])
    await session.flush()
    if before is not None:
        await session.execute(delete(Picture).where(Picture.id == before))
    await history.record(session, Happened("product", product.id, "product.picture_changed"), actor=actor)
    return product


async def category_named(session: AsyncSession, name: str) -> Category:
    """The category of this name, made when there is none. Two makers at once get the same one."""
    last = await session.scalar(select(func.max(Category.position)))
    made = insert(Category).values(id=new_id(), name=name, position=(last or 0) + 1).on_conflict_do_nothing()
    await session.execute(made)
    return (await session.scalars(select(Category).where(Category.name == name))).one()


async def rename_category(session: AsyncSession, category_id: UUID, *, name: str, actor: Actor) -> Category:
    """Idempotent. Raises: NotFound, CategoryNameTaken."""
    category = await queries.category_or_404(session, category_id)
    if await session.scalar(select(Category.id).where(Category.name == name, Category.id != category_id)):
        raise CategoryNameTaken(name=name)
    category.name = name
    await session.flush()
    await audit.record(session, actor, "category.renamed", subject=("category", category.id), facts={"name": name})
    return category


async def move_category(session: AsyncSession, category_id: UUID, *, by: int) -> None:
    """Move a category one place up (-1) or down (1); at the end of the list it stays. Raises: NotFound."""
    everyone = list(await queries.categories(session))
    place = next((n for n, category in enumerate(everyone) if category.id == category_id), None)
    if place is None:
        raise NotFound
    moved = everyone.pop(place)
    everyone.insert(max(0, place + by), moved)
    for position, category in enumerate(everyone):
        category.position = position
    await session.flush()


async def delete_category(session: AsyncSession, category_id: UUID, *, actor: Actor) -> None:
    """Delete an empty category. Raises: NotFound, CategoryNotEmpty."""
    category = await session.get(Category, category_id, with_for_update=True)
    if category is None:
        raise NotFound
    if held := (await queries.category_sizes(session)).get(category_id):
        raise CategoryNotEmpty(count=held)
    await session.delete(category)
    await session.flush()
    await audit.record(session, actor, "category.deleted", subject=("category", category_id), facts={"name": category.name})


async def _apply(session: AsyncSession, product: Product, terms: ProductTerms) -> None:
    if terms.category_id is not None:
        await queries.category_or_404(session, terms.category_id)
    product.name = terms.name
    product.summary = terms.summary
    product.category_id = terms.category_id
    product.description_html = richtext.clean(terms.description_html)
    product.usage_html = richtext.clean(terms.usage_html)
    product.cover_icon = terms.cover_icon
    product.cover_hue = terms.cover_hue
    product.buyer_limit = terms.buyer_limit
    if terms.attributes is not None:
        product.attributes = [dict(one) for one in terms.attributes]


async def _kind_of_type(session: AsyncSession, type_id: UUID) -> DeliveryKind:
    """What products of a type are delivered as. Locks: the type, which may not go meanwhile. Raises: NotFound, TypeRetired."""
    found = await queries.type_or_404(session, type_id, lock=True)
    if found.state == TypeState.RETIRED:
        raise TypeRetired(name=found.name)
    return DeliveryKind(found.delivery_kind)


def _missing(product: Product) -> str:
    """The label of something a product's type asks for and nobody said; empty when all is said."""
    said = {one["name"] for one in product.attributes}
    asked = product.type.product_fields if product.type else []
    return next((one["label"] for one in asked if one["is_required"] and one["name"] not in said), "")


async def _set_skus(session: AsyncSession, product: Product, wanted: Sequence[SkuTerms], actor: Actor) -> None:
    shop = await queries.storefront(session)
    assert shop is not None, "a tenant has a storefront from its first day"
    known = {sku.id: sku for sku in (await queries.skus_of(session, product.id))}
    ranges = await queries.ranges_of(session, product.id)
    wanted = [
        _by_value(terms, ranges.get(old.id) if old else None) for old, terms in zip(_chosen(known, wanted), wanted, strict=True)
    ]
    chosen = _chosen(known, wanted)
    await _free_names(session, [(sku, terms) for sku, terms in zip(chosen, wanted, strict=True) if sku])
    kept, changes = set(), []
    for position, (old, terms) in enumerate(zip(chosen, wanted, strict=True)):
        sku, before = old, old.listing.price_minor if old else None
        if sku is None:
            sku = Sku(id=new_id(), product_id=product.id)
            sku.listing = Listing(id=new_id(), storefront_id=shop.id, sku_id=sku.id, price_minor=terms.price_minor)
            session.add(sku)
        if before != terms.price_minor:
            changes.append(_price_change(sku.listing, before, terms.price_minor, actor))
        _apply_sku(sku, terms, position)
        kept.add(sku.id)
    for sku in known.values():
        if sku.id not in kept:
            sku.listing.is_published = False
    await session.flush()
    session.add_all(changes)
    await session.flush()
    session.expire(product, ["skus"])


def _by_value(terms: SkuTerms, values: ValueRange | None) -> SkuTerms:
    """A SKU that is sold by face value keeps the price of its least value, whatever was typed."""
    return terms if values is None else replace(terms, price_minor=values.price_minor(values.least_minor), was_minor=None)


def _chosen(known: dict[UUID, Sku], wanted: Sequence[SkuTerms]) -> list[Sku | None]:
    """The SKU each terms are for: the one named by id, a withdrawn one of the same name, or None for a new one."""
    names = [terms.name for terms in wanted]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise SkuNameTwice(name=twice)
    named = {terms.id for terms in wanted if terms.id}
    if not named <= known.keys():
        raise NotFound
    left = {sku.name: sku for sku in known.values() if sku.id not in named}
    return [known[terms.id] if terms.id else left.get(terms.name) for terms in wanted]


async def _free_names(session: AsyncSession, renamed: Sequence[tuple[Sku, SkuTerms]]) -> None:
    """Let two SKUs exchange their names, or one take a withdrawn one's, without meeting the unique index halfway."""
    changing = [sku for sku, terms in renamed if sku.name != terms.name]
    taken = {terms.name for _, terms in renamed}
    siblings = [] if not changing else await queries.skus_of(session, changing[0].product_id)
    kept = {sku.id for sku, _ in renamed}
    for sku in siblings:
        if sku in changing or (sku.id not in kept and sku.name in taken):
            sku.name = f"{sku.name} ({str(sku.id)[-12:]})"
    if changing:
        await session.flush()


def _apply_sku(sku: Sku, terms: SkuTerms, position: int) -> None:
    sku.name, sku.region, sku.position = terms.name, terms.region, position
    sku.face_value_minor, sku.warn_below, sku.is_hot = terms.face_value_minor, terms.warn_below, terms.is_hot
    sku.warn_days = terms.warn_days
    sku.listing.price_minor, sku.listing.was_minor, sku.listing.is_published = terms.price_minor, terms.was_minor, True


def _price_change(listing: Listing, from_minor: int | None, to_minor: int, actor: Actor) -> PriceChange:
    return PriceChange(id=new_id(), listing_id=listing.id, from_minor=from_minor, to_minor=to_minor, actor_name=actor.name)


async def _move(session: AsyncSession, product: Product, state: ProductState, actor: Actor) -> None:
    if product.state == state:
        return
    before, product.state = product.state, state
    await session.flush()
    await history.record(session, Happened("product", product.id, f"product.{state}", before, state), actor=actor)
    await audit.record(session, actor, f"product.{state}", subject=("product", product.id), facts={"name": product.name})
