"""Suppliers' notices at our own address: a genuine one has the purchase asked about, whichever number it names; everything else changes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from decimal import Decimal
from uuid import UUID

import pytest

from app.suppliers import service as suppliers
from app.suppliers.connectors.port import CatalogItem
from app.suppliers.connectors.tremendous.signing import notice_signature
from app.suppliers.models import ConnectionMode
from app.suppliers.service import ConnectionTerms, SupplierTerms
from app.suppliers.syncing import _keep
from tenants.session import tenant_session, tenant_tx
from tests.app.fulfillment.supply import Source, attempt_states, order_state, routed, settle
from tests.simulators import SupplierSimulator, supplier_simulator
from tests.world import STAFF, World

pytestmark = [pytest.mark.anyio, pytest.mark.database]
KEY = "w" * 32


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SupplierSimulator]:
    with supplier_simulator(tmp_path_factory.mktemp("tremendous"), "tremendous") as started:
        started.goods({"sku": "GIFT", "kind": "card", "cost": "10", "currency": "CNY"})
        yield started


async def connected(world: World, company: SupplierSimulator) -> Source:
    """The world's merchant at a company whose webhooks name only its own number."""
    settings = {**company.client(), "base_url": company.url + "/api/v2", "webhook_secret": KEY}
    async with tenant_session(world.tenant) as session:
        supplier = await suppliers.add_supplier(session, SupplierTerms("Rewards"), actor=STAFF)
        terms = ConnectionTerms("tremendous", "Rewards", settings, ConnectionMode.LIVE, Decimal(100), 20)
        connection = await suppliers.connect(session, supplier.id, terms, actor=STAFF)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("update supplier_connection set is_on = true, tested_at = now() where id = $1", connection.id)
        await _keep(tx, connection.id, [CatalogItem("GIFT:10", "Gift", "card_key", Decimal(10), "CNY")])
        offer_id = await tx.fetchval("select id from supplier_offer where connection_id = $1", connection.id)
    return Source(company, connection.id, offer_id)


async def waiting_order(world: World, company: SupplierSimulator, *, decide_ms: int = 300) -> tuple[Source, UUID, str]:
    """A paid order that the company has taken in and not decided, with the company's number of it."""
    one = await connected(world, company)
    product = await routed(world, one)
    company.script({"decide_ms": decide_ms}, on="place", times=1)
    placed = await world.paid(product.skus[0].listing.id)
    await settle(world)
    assert await attempt_states(world, placed.id) == ["accepted"]
    ref = await world.value("select supplier_ref from attempt where order_id = $1", placed.id)
    return one, placed.id, str(ref)


async def tell(world: World, connection_id: UUID, document: object, *, key: str = KEY) -> int:
    body = json.dumps(document).encode()
    headers = {"Content-Type": "application/json", "Tremendous-Webhook-Signature": "sha256=" + notice_signature(key, body)}
    async with world.client("app") as browser:
        answer = await browser.post(f"/hooks/{world.tenant.slug}/supply/{connection_id}", content=body, headers=headers)
    return int(answer.status_code)


def about(ref: str, event: str = "ORDERS.SUCCEEDED") -> dict[str, object]:
    return {"event": event, "uuid": "1", "payload": {"resource": {"id": ref, "type": "orders"}}}


async def asked_at_once(world: World, order_id: UUID) -> bool:
    sql = "select count(*) from task t join attempt a on a.id = t.subject_id where t.kind = 'fulfillment.ask' and t.run_at <= now() and a.order_id = $1"
    return bool(await world.value(sql, order_id))


@pytest.mark.case("B06")
async def test_notice_that_names_only_the_suppliers_number_has_its_purchase_asked_about(
    world: World, company: SupplierSimulator
) -> None:
    one, order_id, ref = await waiting_order(world, company)
    await asyncio.sleep(0.4)
    for _ in range(3):
        assert await tell(world, one.connection_id, about(ref)) == 200
    await settle(world)
    assert await order_state(world, order_id) == "delivered"


@pytest.mark.case("B06")
async def test_forged_stranger_and_other_notices_change_nothing(world: World, company: SupplierSimulator) -> None:
    one, order_id, ref = await waiting_order(world, company, decide_ms=3_600_000)
    assert await tell(world, one.connection_id, about(ref), key="x" * 32) == 401
    assert await tell(world, one.connection_id, about("nobody")) == 200
    assert await tell(world, one.connection_id, about(ref, "INVOICES.PAID")) == 200
    assert await tell(world, UUID(int=1), about(ref)) == 404
    assert not await asked_at_once(world, order_id)
    assert await attempt_states(world, order_id) == ["accepted"]
