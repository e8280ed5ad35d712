"""A merchant connected to a company that speaks 卡速售, made through the pages a merchant uses."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from app.access.models import MemberRole
from app.kernel.ids import new_id
from app.suppliers.connectors.port import CatalogItem
from app.suppliers.syncing import _keep
from tenants.session import tenant_tx
from tests.app.staff import Staff, staff
from tests.simulators import SupplierSimulator
from tests.world import World

REFUSALS = "1001=not_for_sale, 1002=not_for_sale, 1003=out_of_stock, 1004=no_balance, 1005=bad_account, 1006=price_changed"
STATES = "2=processing,3=success,4=failed"


@dataclass
class Linked:
    """A connection and the owner's browser. Paths are below `/m/{slug}`."""

    owner: Staff
    supplier_id: UUID
    id: UUID
    credentials: dict[str, str]

    @property
    def path(self) -> str:
        return f"/suppliers/connections/{self.id}"


def form(company: SupplierSimulator, credentials: dict[str, str], **changes: str) -> dict[str, str]:
    """The form of a connection as a merchant fills it in."""
    sent = {
        "protocol": "kasushou",
        "name": "Northbank",
        "mode": "test",
        "calls_per_second": "20",
        "calls_at_once": "5",
        "set-base_url": company.url,
        "set-states": STATES,
        "set-refusals": REFUSALS,
        **{f"set-{name}": value for name, value in credentials.items()},
    }
    return sent | changes


async def supplier(owner: Staff, name: str = "Northbank Vouchers") -> UUID:
    answer = await owner.post("/suppliers", {"name": name, "settlement_days": "7", "claim_days": "3"})
    assert answer.status_code == 303, answer.text
    return UUID(answer.headers["location"].split("/")[-3])


async def linked(world: World, company: SupplierSimulator, *, goods: int = 1, **changes: str) -> Linked:
    """A supplier, a connection to the company, and so many goods read from its catalog."""
    owner = await staff(world)
    prefix = new_id().hex[-6:]
    company.goods(
        *(
            {"sku": f"{prefix}{n}", "name": f"Skylark card {n:02d}", "kind": "card", "cost": f"{10 + n}.5", "stock": 100}
            for n in range(goods)
        )
    )
    credentials = company.client(balance="1000", currency="CNY")
    supplier_id = await supplier(owner)
    answer = await owner.post(f"/suppliers/{supplier_id}/connections", form(company, credentials, **changes))
    assert answer.status_code == 303, answer.text
    found = Linked(owner, supplier_id, UUID(answer.headers["location"].rpartition("/")[2]), credentials)
    async with tenant_tx(world.tenant) as tx:
        await tx.execute("delete from task where kind = 'suppliers.sync'")
        await _keep(
            tx, found.id, [item(f"{prefix}{n}", f"{10 + n}.5", name=f"Skylark card {n:02d}", stock=100) for n in range(goods)]
        )
    return found


def item(sku: str, cost: str = "10.5", **changes: Any) -> CatalogItem:
    """One entry of a catalog."""
    wanted = {"name": f"Item {sku}", "delivery_kind": "card_key", "currency": "CNY"} | changes
    return CatalogItem(supplier_sku=sku, unit_cost=Decimal(cost), **wanted)


async def keep(world: World, connection_id: UUID, *items: CatalogItem) -> list[UUID]:
    """Have a connection's goods known as if its catalog had just said so; their ids, in order."""
    async with tenant_tx(world.tenant) as tx:
        await _keep(tx, connection_id, list(items))
    rows = await world.rows("select id, supplier_sku from supplier_offer where connection_id = $1", connection_id)
    by_sku = {row["supplier_sku"]: row["id"] for row in rows}
    return [by_sku[one.supplier_sku] for one in items]


async def on(world: World, connection_id: UUID) -> None:
    """As if a test order had arrived and the merchant had switched the connection on."""
    async with tenant_tx(world.tenant) as tx:
        await tx.execute(
            "update supplier_connection set is_on = true, tested_at = now(), test_ms = 900 where id = $1", connection_id
        )


async def reader(world: World) -> Staff:
    return await staff(world, MemberRole.READ_ONLY)


async def stranger(world: World) -> Staff:
    return await staff(world, tenant=await world.new_tenant("Other"))
