"""A message that nobody took, for tests that only want to see its case."""

from __future__ import annotations

from uuid import UUID

from app.integrations.service import Message, queue_messages
from tenants.directory import Tenant
from tenants.session import tenant_tx
from workers.failing import SEND, leave_case


async def leave(tenant: Tenant, order_no: str) -> UUID:
    """Give a message about an order up; its case."""
    async with tenant_tx(tenant) as tx:
        order_id = await tx.fetchval("select id from shop_order where order_no = $1", order_no)
        params = {"order_no": order_no, "order_id": str(order_id), "amount_minor": 1990, "currency": "CNY"}
        await queue_messages(tx, [Message("order_refunded", ("email", f"nobody@{tenant.slug}.example"), "en", params)])
        message_id = await tx.fetchval("select id from outgoing_message order by created_at desc, id desc limit 1")
        await leave_case(tx, SEND, message_id, "SMTPRecipientsRefused")
        case_id: UUID = await tx.fetchval("select id from staff_case where subject_id = $1", message_id)
        return case_id
