"""Who is told of a replenishment: the supplier by mail with his private link, the merchant's people behind the bell and by mail."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from app.integrations.alerts import Raised, Readers, raise_alert
from app.integrations.service import queue_message
from app.kernel.contact import EMAIL
from app.kernel.vault import keyring
from app.replenishment import desks, queries
from tenants.session import Tx

_NAMED = 5


async def write_to_supplier(tx: Tx, row: asyncpg.Record, template: str) -> None:
    """Mail a replenishment's supplier, with the link to it. One without an address is told by the merchant's people, who see the link."""
    supplier = await tx.fetchrow("select id, name, email, locale from supplier where id = $1", row["supplier_id"])
    assert supplier is not None
    address = await desks.address_to_send(tx, supplier["id"], row["replenishment_no"])
    if supplier["email"] is None:
        return
    email = (await keyring(tx)).open("supplier", "email", supplier["id"], supplier["email"]).reveal()
    lines = await queries.lines_of(tx, row["id"])
    goods = [f"{line['goods']} × {line['units']}" for line in lines[:_NAMED]] + ["…"] * (len(lines) > _NAMED)
    params = {"no": row["replenishment_no"], "goods": goods, "url": address}
    await queue_message(tx, template=template, to=(EMAIL, email), locale=supplier["locale"], params=params)


async def tell_answer(tx: Tx, replenishment_id: UUID, readers: Readers) -> None:
    """Tell staff that the supplier has confirmed or declined. Idempotent."""
    await _tell(tx, "replenishment_answered", f"replenishment_answered:{replenishment_id}", replenishment_id, readers)


async def tell_sent(tx: Tx, replenishment_id: UUID, readers: Readers) -> None:
    """Tell staff that the goods are on their way. Idempotent."""
    await _tell(tx, "replenishment_sent", f"replenishment_sent:{replenishment_id}", replenishment_id, readers)


async def tell_file(tx: Tx, batch_id: UUID, readers: Readers) -> None:
    """Tell staff that the supplier gave a file that waits to be looked at. Idempotent."""
    replenishment_id = await tx.fetchval(_OF_BATCH, batch_id)
    await _tell(tx, "replenishment_file", f"replenishment_file:{batch_id}", replenishment_id, readers)


async def tell_message(tx: Tx, message_id: UUID, readers: Readers) -> None:
    """Tell staff that the supplier has written. Idempotent."""
    replenishment_id = await tx.fetchval("select replenishment_id from replenishment_message where id = $1", message_id)
    await _tell(tx, "replenishment_message", f"replenishment_message:{message_id}", replenishment_id, readers)


async def _tell(tx: Tx, template: str, key: str, replenishment_id: UUID, readers: Readers) -> None:
    row = await tx.fetchrow(_NAMES, replenishment_id)
    assert row is not None
    params = {
        "no": row["replenishment_no"],
        "supplier": row["name"],
        "path": f"/suppliers/replenishments/{row['replenishment_no']}",
    }
    await raise_alert(tx, Raised(template, key, params), readers)


_NAMES = """
select r.replenishment_no, s.name from replenishment r join supplier s on s.id = r.supplier_id where r.id = $1
"""
_OF_BATCH = """
select l.replenishment_id from replenishment_batch b join replenishment_line l on l.id = b.line_id where b.batch_id = $1
"""
