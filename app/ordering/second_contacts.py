"""The second contact of an order: an e-mail address for the messages that its buyer's phone does not take."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from app.kernel.contact import EMAIL, Contact
from app.kernel.vault import keyring
from tenants.session import Tx


async def keep(tx: Tx, contacts: Mapping[UUID, Contact]) -> None:
    """Write down the addresses of orders that were placed in this transaction, sealed."""
    if not contacts:
        return
    ring = await keyring(tx)
    sealed = [ring.seal("second_contact", "email", order_id, contact.value) for order_id, contact in contacts.items()]
    await tx.execute(_KEEP, list(contacts), sealed, [contact.masked for contact in contacts.values()])


async def of_order(tx: Tx, order_id: UUID) -> Contact | None:
    """The address an order's buyer left beside his phone; None where he left none."""
    row = await tx.fetchrow("select email from second_contact where order_id = $1", order_id)
    if row is None:
        return None
    return Contact(EMAIL, (await keyring(tx)).open("second_contact", "email", order_id, row["email"]).reveal())


_KEEP = """
insert into second_contact (order_id, email, masked) select * from unnest($1::uuid[], $2::bytea[], $3::text[])
"""
