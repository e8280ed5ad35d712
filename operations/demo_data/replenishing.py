"""The demo's replenishments: one that waits for its supplier's answer, one that he has confirmed, and a SKU that asks by itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from app.kernel import clock
from app.kernel.ids import new_id
from app.replenishment import queries, restocking, service, talking
from app.replenishment.desks import Holder
from app.replenishment.restocking import Restock
from app.replenishment.service import Request, WantedGoods
from app.suppliers import service as suppliers
from app.suppliers.service import SupplierTerms
from operations.demo_data.people import Opened
from operations.demo_data.stocking import Shelved
from tenants.session import Tx, tenant_session, tenant_tx

_SUPPLIER = SupplierTerms(
    "青石卡券批发", contact="跟单：石经理", email="orders@qingshi.example", terms="月卡满 200 张九七折，缺货提前三天告知。"
)
_WANTED = (200, 60)


async def replenish(opened: Opened, shelved: Sequence[Shelved]) -> None:
    """Ask a supplier for two SKUs, let him confirm fewer of one of them, and have the second SKU ask by itself from now on."""
    first, second = [entry for entry in shelved if entry.item.pool.keys][:2]
    async with tenant_session(opened.tenant) as session:
        supplier = await suppliers.add_supplier(session, _SUPPLIER, actor=opened.owner)
    holder = Holder(supplier.id, supplier.name)
    async with tenant_tx(opened.tenant) as tx:
        confirmed = await _ask(tx, opened, supplier.id, (first, second), note="节前备货，请尽量按期。")
        row = await queries.one_or_404(tx, confirmed, lock=True)
        lines = await queries.lines_of(tx, row["id"])
        promised = {lines[0]["id"]: lines[0]["units"], lines[1]["id"]: lines[1]["units"] - 20}
        await service.confirm(tx, row, promised, promised_on=clock.business_day() + timedelta(days=3), actor=holder.actor)
        await talking.say(tx, row, "季卡厂家限量，先给 40 张，月底再补。", actor=holder.actor)
        await _ask(tx, opened, supplier.id, (first,), note="")
        rule = Restock(supplier.id, 100, Decimal(second.item.pool.unit_cost))
        await restocking.set_rule(tx, second.sku_id, rule, actor=opened.owner)


async def _ask(tx: Tx, opened: Opened, supplier_id: UUID, shelved: Sequence[Shelved], *, note: str) -> str:
    goods = [
        WantedGoods(entry.sku_id, units, Decimal(entry.item.pool.unit_cost))
        for entry, units in zip(shelved, _WANTED, strict=False)
    ]
    wanted_on = clock.business_day() + timedelta(days=5)
    number = await service.ask(tx, Request(new_id(), supplier_id, goods, wanted_on, note), actor=opened.owner)
    assert number
    return number
