"""Changing suppliers and connections apart from their credentials: terms, name, mode, limits, warnings. And seeing whether a connection answers."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from decimal import Decimal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import NotFound
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import keyring
from app.suppliers import queries
from app.suppliers.connecting import connection_of
from app.suppliers.connectors.port import Ability, Balance, CatalogPage, Connector, Unknown
from app.suppliers.models import ConnectionMode, Supplier, SupplierConnection
from app.suppliers.service import NameTaken, SupplierTerms, settle_in_time, write_down_address
from tenants.directory import Tenant
from tenants.session import tenant_tx

CHECK_S = 20


@dataclass(frozen=True, slots=True)
class Adjustment:
    """What may change of a connection without a new test order."""

    name: str
    mode: ConnectionMode
    calls_per_second: Decimal
    calls_at_once: int
    ip_note: str = ""
    warn_below: Decimal | None = None


async def supplier_or_404(session: AsyncSession, supplier_id: UUID) -> Supplier:
    """Raises: NotFound."""
    found = await session.get(Supplier, supplier_id)
    if found is None:
        raise NotFound
    return found


async def email_of(session: AsyncSession, supplier: Supplier) -> str:
    """Where a supplier is written to; empty where no address was written down."""
    if supplier.email is None:
        return ""
    return (await keyring(session)).open("supplier", "email", supplier.id, supplier.email).reveal()


async def change_supplier(session: AsyncSession, supplier: Supplier, terms: SupplierTerms, *, actor: Actor) -> None:
    """Write down other terms. Idempotent. Raises: NameTaken."""
    other = await queries.supplier_named(session, terms.name)
    if other is not None and other.id != supplier.id:
        raise NameTaken(name=terms.name)
    supplier.name, supplier.contact, supplier.terms = terms.name, terms.contact, terms.terms
    supplier.settlement_days, supplier.claim_days = terms.settlement_days, terms.claim_days
    await write_down_address(session, supplier, terms)
    await session.flush()
    await audit.record(session, actor, "supplier.changed", subject=("supplier", supplier.id), facts={"name": terms.name})
    await settle_in_time(session, supplier)


async def adjust(session: AsyncSession, connection: SupplierConnection, wanted: Adjustment, *, actor: Actor) -> None:
    """Change a connection's name, mode and limits. Idempotent. Raises: NameTaken."""
    other = await queries.connection_named(session, wanted.name)
    if other is not None and other.id != connection.id:
        raise NameTaken(name=wanted.name)
    connection.name, connection.mode, connection.ip_note = wanted.name, wanted.mode, wanted.ip_note
    connection.calls_per_second, connection.calls_at_once = wanted.calls_per_second, wanted.calls_at_once
    connection.warn_below = wanted.warn_below
    await session.flush()
    facts = {"name": wanted.name, "mode": wanted.mode, "calls_at_once": wanted.calls_at_once}
    await audit.record(session, actor, "supplier.adjusted", subject=("supplier_connection", connection.id), facts=facts)


async def settings_of(session: AsyncSession, connection: SupplierConnection) -> dict[str, str]:
    """A connection's settings, opened: secrets among them, so none of it may be shown unsifted."""
    ring = await keyring(session)
    found: dict[str, str] = json.loads(ring.open("supplier_connection", "config", connection.id, connection.config).reveal())
    return found


async def read_now(session: AsyncSession, connection_id: UUID) -> None:
    """Have a connection's catalog and balance read at once. Idempotent while it waits."""
    await add_task(session, "suppliers.sync", lane=Lane.BULK, subject_id=connection_id)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a connection answered to a question without effect. `says` is its word where it did not answer well."""

    is_well: bool
    balance: Balance | None = None
    items: int | None = None
    says: str = field(default="")


async def check(tenant: Tenant, connection_id: UUID) -> Checked:
    """Ask a connection for its balance, else for its catalog; a balance is written down. The call runs in no transaction.

    Raises: NotFound, IncompleteConnection.
    """
    async with tenant_tx(tenant) as tx:
        opened = await connection_of(tx, connection_id)
    try:
        async with asyncio.timeout(CHECK_S):
            found = await _ask(opened.connector)
    except TimeoutError:
        found = Unknown("the call took too long")
    match found:
        case Balance(amount, currency):
            async with tenant_tx(tenant) as tx:
                await tx.execute(_BALANCE, connection_id, amount, currency)
            return Checked(is_well=True, balance=found)
        case CatalogPage(items):
            return Checked(is_well=True, items=len(items))
        case Unknown(says):
            return Checked(is_well=False, says=says)


async def _ask(connector: Connector) -> Balance | CatalogPage | Unknown:
    if Ability.BALANCE in connector.traits.abilities:
        return await connector.balance()
    return await connector.catalog(None, None)


_BALANCE = "update supplier_connection set balance = $2, balance_currency = $3, balance_at = now() where id = $1"
