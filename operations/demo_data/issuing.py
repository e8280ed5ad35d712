"""The demo's batches for companies: one that is done, and one that waits to be confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from app.issuing import placing, queries, reading, service
from app.issuing.reading import Terms
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from operations.demo_data.people import Opened
from operations.demo_data.stocking import Shelved
from tenants.session import tenant_tx
from workers.drain import drain_home

_PEOPLE = "手机号\n" + "\n".join(f"139{number}" for number in range(20260001, 20260013))
_TO_CHECK = _PEOPLE + "\n13920260001\n1392026\n行政部\n"


async def issue(opened: Opened, shelved: Sequence[Shelved]) -> None:
    """Send twelve keys to the people of a company by contract, and read the list of a second one that has mistakes in it."""
    entry = max(shelved, key=lambda entry: entry.item.pool.keys)
    done = await _read(opened, entry.sku_id, "晴川物业", "QC-2026-031", _PEOPLE)
    async with tenant_tx(opened.tenant) as tx:
        batch = await queries.one_or_404(tx, done, lock=True)
        await service.confirm(tx, batch, actor=opened.owner)
    await placing.go_on(opened.tenant, batch["id"])
    while await drain_home(opened.tenant, Lane.BULK):
        pass
    await placing.go_on(opened.tenant, batch["id"])
    await _read(opened, entry.sku_id, "北屿软件", "BY-福利-11", _TO_CHECK)


async def _read(opened: Opened, sku_id: UUID, client: str, reference: str, people: str) -> str:
    async with tenant_tx(opened.tenant) as tx:
        goods = next(row for row in await queries.skus(tx) if row["sku_id"] == sku_id)
        terms = Terms(new_id(), client, reference, goods["price_minor"] * 9 // 10, "zh_CN")
        return await reading.start(tx, terms, goods, (people.encode(), "people.csv"), actor=opened.owner)
