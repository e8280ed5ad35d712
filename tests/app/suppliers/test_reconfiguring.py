"""Changing a connection: what is emptied is empty, what is secret and left empty stays, and nothing is served before the next test."""

from __future__ import annotations

import json

import pytest

from app.kernel.vault import keyring
from app.suppliers import service as suppliers
from app.suppliers.connectors.port import IncompleteConnection
from app.suppliers.models import SupplierConnection
from app.suppliers.service import ConnectionTerms, SupplierTerms
from tenants.session import tenant_session
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
SETTINGS = {"api_key": "k-1", "refusals": "InsufficientBalance=no_balance"}


async def test_an_emptied_list_of_refusals_is_empty_and_an_empty_secret_stays(world: World) -> None:
    async with tenant_session(world.tenant) as session:
        supplier = await suppliers.add_supplier(session, SupplierTerms("Ding"), actor=STAFF)
        connection = await suppliers.connect(session, supplier.id, ConnectionTerms("dingconnect", "Ding", SETTINGS), actor=STAFF)
        await suppliers.reconfigure(session, connection, {"api_key": "", "refusals": ""}, actor=STAFF)
        config = await stored(session, connection)
        assert (config["api_key"], config["refusals"]) == ("k-1", "")
        assert not connection.is_on


async def test_settings_that_make_no_connection_are_refused(world: World) -> None:
    async with tenant_session(world.tenant) as session:
        supplier = await suppliers.add_supplier(session, SupplierTerms("Ding"), actor=STAFF)
        connection = await suppliers.connect(session, supplier.id, ConnectionTerms("dingconnect", "Ding", SETTINGS), actor=STAFF)
        with pytest.raises(IncompleteConnection, match="there is no line named nonsense"):
            await suppliers.reconfigure(session, connection, {"assumed": "nonsense = 1"}, actor=STAFF)
        assert (await stored(session, connection))["refusals"] == SETTINGS["refusals"]


async def stored(session: object, connection: SupplierConnection) -> dict[str, str]:
    ring = await keyring(session)  # type: ignore[arg-type]
    config: dict[str, str] = json.loads(ring.open("supplier_connection", "config", connection.id, connection.config).reveal())
    return config
