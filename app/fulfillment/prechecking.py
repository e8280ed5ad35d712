"""Asking a supplier before payment whether it would credit an account. What nobody can say lets the account pass."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from uuid import UUID

from app.suppliers import queries as suppliers
from app.suppliers import rules
from app.suppliers.connecting import Opened, connection_of
from app.suppliers.connectors.port import Ability, AccountFits, AccountRefused, Unknown
from tenants.directory import Tenant
from tenants.session import tenant_tx

_PATIENCE_S = 4
"""A buyer waits for this answer with his finger on the button."""


async def pre_check(tenant: Tenant, sku_id: UUID, account: Mapping[str, str]) -> AccountFits | AccountRefused | Unknown:
    """What the supplier that would serve a SKU now says of an account. Opens transactions of its own, none of them during the call."""
    found = await _server(tenant, sku_id)
    if found is None:
        return Unknown("no supplier checks accounts", is_sent=False)
    connection, supplier_sku = found
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return await connection.connector.pre_check(supplier_sku, account)
    except TimeoutError:
        return Unknown("the call took too long")


async def _server(tenant: Tenant, sku_id: UUID) -> tuple[Opened, str] | None:
    """The connection that would be bought from, where it checks accounts, and what it calls the SKU."""
    async with tenant_tx(tenant) as tx:
        route = (await suppliers.routes_of(tx, [sku_id])).get(sku_id)
        choice = rules.choose(route.candidates, route.policy, most_cost=None, tried=frozenset()) if route else None
        if route is None or choice is None:
            return None
        connection = await connection_of(tx, choice.candidate.connection_id)
    if Ability.PRE_CHECK not in connection.connector.traits.abilities:
        return None
    return connection, route.supplier_skus[choice.candidate.offer_id]
