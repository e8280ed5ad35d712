"""A merchant's connections to gateways: what they are, what they did lately, and putting a fresh one in an old one's place."""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

import asyncpg

from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.errors import NotFound
from app.kernel.i18n import format_percent
from app.payments.gateways.sandbox import SandboxGateway
from app.payments.service import connect_gateway
from tenants.session import Tx


async def connections(tx: Tx) -> list[asyncpg.Record]:
    """Every connection, those in use first: payments made, money captured, when its last genuine notice came. No secret is read."""
    return await tx.fetch(_CONNECTIONS)


async def replace_sandbox(tx: Tx, *, config: Mapping[str, str], actor: Actor) -> UUID:
    """Take payments through a fresh sandbox account. The old one is kept for the payments and refunds it began.

    Not idempotent: each call connects another account. Locks: the connections.
    """
    old = await tx.fetch(
        "select id from gateway_connection where gateway = $1 and is_live order by id for update", SandboxGateway.name
    )
    made = await connect_gateway(tx, gateway=SandboxGateway.name, name="Sandbox", config=dict(config), actor=actor)
    await tx.execute(
        "update gateway_connection set is_live = false, updated_at = now() where id = any($1)", [row["id"] for row in old]
    )
    for row in old:
        await audit.record(tx, actor, "gateway.replaced", subject=("gateway_connection", row["id"]), facts={"by": str(made)})
    return made


async def set_fee(tx: Tx, connection_id: UUID, fee_bp: int, *, actor: Actor) -> None:
    """What the gateway keeps of each capture from now on, in basis points; what was captured before keeps its fee.

    Idempotent. Locks: the connection. Raises: NotFound.
    """
    before = await tx.fetchval("select fee_bp from gateway_connection where id = $1 for update", connection_id)
    if before is None:
        raise NotFound
    if before == fee_bp:
        return
    await tx.execute("update gateway_connection set fee_bp = $2, updated_at = now() where id = $1", connection_id, fee_bp)
    facts = {"before": format_percent(before), "after": format_percent(fee_bp)}
    await audit.record(tx, actor, "gateway.fee_set", subject=("gateway_connection", connection_id), facts=facts)


_CONNECTIONS = """
select g.id, g.gateway, g.name, g.merchant_id, g.is_live, g.created_at, g.fee_bp,
       (select count(*) from payment p where p.connection_id = g.id) as payments,
       (select coalesce(sum(c.amount_minor), 0) from capture c where c.connection_id = g.id) as captured_minor,
       (select coalesce(sum(c.fee_minor), 0) from capture c where c.connection_id = g.id) as fees_minor,
       (select max(n.created_at) from gateway_notice n where n.connection_id = g.id) as noticed_at
from gateway_connection g
order by g.is_live desc, g.created_at desc
limit 50
"""
