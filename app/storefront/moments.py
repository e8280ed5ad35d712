"""What the prices of a page depend on, read once in one transaction: the database's time, what is left, and who is logged in."""

from __future__ import annotations

from collections.abc import Sequence

from app.customers import sessions
from app.inventory.queries import sellable
from app.kernel.csrf import BUYER_COOKIE
from app.kernel.web import AnyRequest
from app.ordering.rules import Offered
from app.pricing.rules import ANYBODY, Audience, Moment, Who
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx


async def moment_of(request: AnyRequest, tenant: Tenant, offers: Sequence[Offered]) -> Moment | None:
    """The moment these offers are priced in; None where no rule could change a price, and nothing is read."""
    ruled = [offered for offered in offers if offered.price_rules]
    if not ruled:
        return None
    async with tenant_tx(tenant) as tx:
        return await read(tx, ruled, token=request.cookies.get(BUYER_COOKIE, ""))


async def read(tx: Tx, offers: Sequence[Offered], *, token: str = "") -> Moment:
    """As `moment_of`, for the buyer of a session's token. Nobody is looked up where no rule asks who buys."""
    asks_who = any(rule.audience is not Audience.EVERYONE for offered in offers for rule in offered.price_rules)
    buyer = await sessions.find(tx, token) if asks_who else None
    who = Who(buyer.customer_id, buyer.level_id) if buyer else ANYBODY
    return Moment(await tx.fetchval("select now()"), await sellable(tx, [offered.sku_id for offered in offers]), who)
