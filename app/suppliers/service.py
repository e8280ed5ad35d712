"""Verbs on suppliers: who they are, how we are connected, which of their goods serve our SKUs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncSession

from app.catalog.models import Sku
from app.kernel import audit, clock
from app.kernel.actor import Actor
from app.kernel.contact import EMAIL, Contact
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.i18n import CHINESE
from app.kernel.ids import new_id
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from app.suppliers import queries
from app.suppliers.connectors import CONNECTORS, open_connector
from app.suppliers.connectors.port import Traits
from app.suppliers.models import (
    CategoryRoute,
    ConnectionMode,
    OwnStock,
    RouteOffer,
    RoutePolicy,
    Supplier,
    SupplierConnection,
    SupplyRoute,
)
from tenants.session import raw


class NameTaken(DomainError):
    message = N_("%(name)s exists already. Choose another name.")


class NotTested(DomainError):
    message = N_("Place a test order first: it shows that the credentials work and how fast goods arrive.")


class NoSuchOffer(DomainError):
    status = 422
    message = N_("One of the chosen offers does not exist any more. Load the catalog again.")


@dataclass(frozen=True, slots=True)
class SupplierTerms:
    """What was agreed with a supplier."""

    name: str
    contact: str = ""
    settlement_days: int = 0
    claim_days: int = 7
    terms: str = ""
    email: str = ""
    locale: str = CHINESE
    """Of the mails to that address."""


@dataclass(frozen=True, slots=True)
class ConnectionTerms:
    """A connection as the form gives it. `settings` are the connector's own, secrets among them; limits are None for the protocol's own."""

    connector: str
    name: str
    settings: Mapping[str, str] = field(repr=False)
    mode: ConnectionMode = ConnectionMode.TEST
    calls_per_second: Decimal | None = None
    calls_at_once: int | None = None
    ip_note: str = ""
    warn_below: Decimal | None = None


@dataclass(frozen=True, slots=True)
class RouteTerms:
    """How a SKU is bought: offers in their order, each with its weight."""

    offers: Sequence[tuple[UUID, int]]
    policy: RoutePolicy | None = RoutePolicy.CHEAPEST
    """None where the SKU's category says."""
    floor_bp: int = 0
    deadline_s: int = 1800
    own_stock: OwnStock | None = None


async def add_supplier(session: AsyncSession, terms: SupplierTerms, *, actor: Actor) -> Supplier:
    """Write a supplier down. Raises: NameTaken."""
    if await queries.supplier_named(session, terms.name) is not None:
        raise NameTaken(name=terms.name)
    supplier = Supplier(
        id=new_id(),
        name=terms.name,
        contact=terms.contact,
        settlement_days=terms.settlement_days,
        claim_days=terms.claim_days,
        terms=terms.terms,
    )
    await write_down_address(session, supplier, terms)
    session.add(supplier)
    await session.flush()
    await audit.record(session, actor, "supplier.added", subject=("supplier", supplier.id), facts={"name": terms.name})
    await settle_in_time(session, supplier)
    return supplier


async def write_down_address(session: AsyncSession, supplier: Supplier, terms: SupplierTerms) -> None:
    """Seal where a supplier is written to."""
    contact = Contact(EMAIL, terms.email) if terms.email else None
    ring = await keyring(session)
    supplier.email = ring.seal("supplier", "email", supplier.id, contact.value) if contact else None
    supplier.email_masked = contact.masked if contact else ""
    supplier.locale = terms.locale


async def settle_in_time(session: AsyncSession, supplier: Supplier) -> None:
    """Have the bills of a supplier with a contracted cycle closed when its periods end. Idempotent."""
    if supplier.settlement_days:
        await add_task(session, "settlement.close", lane=Lane.BULK, subject_id=supplier.id)


async def connect(session: AsyncSession, supplier_id: UUID, terms: ConnectionTerms, *, actor: Actor) -> SupplierConnection:
    """Store an account at a supplier, its settings sealed, switched off until it was tested.

    Raises: NameTaken, and IncompleteConnection naming the setting that is missing or has a form it must not have.
    """
    settings = checked_settings(terms.connector, terms.settings)
    traits = CONNECTORS[terms.connector].traits
    if await queries.connection_named(session, terms.name) is not None:
        raise NameTaken(name=terms.name)
    connection_id = new_id()
    ring = await keyring(session)
    connection = SupplierConnection(
        id=connection_id,
        supplier_id=supplier_id,
        connector=terms.connector,
        name=terms.name,
        mode=terms.mode,
        config=ring.seal("supplier_connection", "config", connection_id, json.dumps(settings)),
        configured_at=clock.now(),
        calls_per_second=terms.calls_per_second or Decimal(str(traits.calls_per_second)),
        calls_at_once=terms.calls_at_once or traits.calls_at_once,
        ip_note=terms.ip_note,
        warn_below=terms.warn_below,
    )
    session.add(connection)
    await session.flush()
    await _audit_connection(session, connection, "supplier.connected", actor)
    await add_task(session, "suppliers.sync", lane=Lane.BULK, subject_id=connection_id)
    return connection


async def reconfigure(
    session: AsyncSession, connection: SupplierConnection, settings: Mapping[str, str], *, actor: Actor
) -> None:
    """Replace settings of a connection; a secret left empty stays as it was. Raises: IncompleteConnection."""
    ring = await keyring(session)
    known = json.loads(ring.open("supplier_connection", "config", connection.id, connection.config).reveal())
    secrets = {one.name for one in fields_of(connection.connector).settings if one.is_secret}
    merged = {**known, **{name: value for name, value in settings.items() if value or name not in secrets}}
    checked = checked_settings(connection.connector, merged)
    connection.config = ring.seal("supplier_connection", "config", connection.id, json.dumps(checked))
    connection.configured_at = clock.now()
    connection.tested_at = None
    connection.is_on = False
    await session.flush()
    await _audit_connection(session, connection, "supplier.reconfigured", actor)


def checked_settings(connector: str, settings: Mapping[str, str]) -> dict[str, str]:
    """A connector's settings as they are stored: its own fields alone, defaults filled in, each in its form. Raises: IncompleteConnection."""
    found = {one.name: settings.get(one.name, "").strip() or one.default for one in fields_of(connector).settings}
    open_connector(connector, found)
    return found


def wrong_settings(connector: str, settings: Mapping[str, str]) -> dict[str, str]:
    """Every setting that is missing or has a form it must not have, with its sentence: what a form shows all at once."""
    wrong = {}
    for one in fields_of(connector).settings:
        value = settings.get(one.name, "").strip() or one.default
        if not re.fullmatch(one.pattern, value):
            wrong[one.name] = N_("This does not have the form the supplier gives it.") if value else N_("This setting is needed.")
    return wrong


def fields_of(connector: str) -> Traits:
    """What is known of a protocol. Raises: NotFound."""
    if connector not in CONNECTORS:
        raise NotFound
    return CONNECTORS[connector].traits


async def switch(session: AsyncSession, connection: SupplierConnection, *, is_on: bool, actor: Actor) -> None:
    """Let a connection serve orders, or stop it; what it was to send and has not goes elsewhere. Idempotent. Raises: NotTested."""
    if is_on and connection.tested_at is None:
        raise NotTested
    if connection.is_on == is_on:
        return
    connection.is_on = is_on
    await session.flush()
    await _audit_connection(session, connection, "supplier.switched_on" if is_on else "supplier.switched_off", actor)
    tx = await raw(session)
    for sku_id in await queries.skus_of_connection(tx, connection.id):
        await add_task(tx, "fulfillment.shelve", lane=Lane.ORDERS, subject_id=sku_id)
    await add_task(tx, "fulfillment.buy", lane=Lane.SUPPLY, subject_id=connection.id)


async def route(session: AsyncSession, sku_id: UUID, terms: RouteTerms, *, actor: Actor) -> SupplyRoute:
    """Say which offers serve a SKU and how one is chosen; replaces the route it had. Raises: NoSuchOffer."""
    if await queries.count_offers(session, [offer_id for offer_id, _ in terms.offers]) != len(terms.offers):
        raise NoSuchOffer
    known = await session.get(SupplyRoute, sku_id)
    chosen = known or SupplyRoute(sku_id=sku_id)
    chosen.policy, chosen.own_stock, chosen.deadline_s = terms.policy, terms.own_stock, terms.deadline_s
    session.add(chosen)
    await session.execute(update(Sku).where(Sku.id == sku_id).values(floor_bp=terms.floor_bp or None))
    await session.flush()
    tx = await raw(session)
    await tx.execute("delete from route_offer where sku_id = $1", sku_id)
    session.add_all(
        RouteOffer(sku_id=sku_id, offer_id=offer_id, position=place, weight=weight)
        for place, (offer_id, weight) in enumerate(terms.offers)
    )
    await session.flush()
    facts = {"policy": terms.policy, "floor_bp": terms.floor_bp, "offers": len(terms.offers)}
    await audit.record(session, actor, "sku.routed", subject=("sku", sku_id), facts=facts)
    await add_task(tx, "fulfillment.shelve", lane=Lane.ORDERS, subject_id=sku_id)
    return chosen


async def said_by_category(session: AsyncSession, category_id: UUID | None) -> CategoryRoute | None:
    """How a category's goods are bought; None where it leaves that to each SKU."""
    return await session.get(CategoryRoute, category_id) if category_id else None


async def supply_category(
    session: AsyncSession, category_id: UUID, *, policy: RoutePolicy, own_stock: OwnStock, actor: Actor
) -> CategoryRoute:
    """Say how the goods of a category are bought where their own routes leave it open. Idempotent."""
    chosen = await session.get(CategoryRoute, category_id) or CategoryRoute(category_id=category_id)
    chosen.policy, chosen.own_stock, chosen.updated_at = policy, own_stock, clock.now()
    session.add(chosen)
    await session.flush()
    facts = {"policy": policy, "own_stock": own_stock}
    await audit.record(session, actor, "category.supplied", subject=("category", category_id), facts=facts)
    return chosen


async def _audit_connection(session: AsyncSession, connection: SupplierConnection, action: str, actor: Actor) -> None:
    facts = {"name": connection.name, "connector": connection.connector, "mode": connection.mode}
    await audit.record(session, actor, action, subject=("supplier_connection", connection.id), facts=facts)
