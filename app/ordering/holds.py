"""How many units the unpaid orders of one network address may hold, so that a stranger who never pays cannot empty a shop.

What one buyer may hold is decided by the order function itself. Buyers behind one address are many, and do not queue for each other: what they
order is counted in memory, and only an address that ordered half of the bound within one reservation's time has its unpaid orders looked at.
Whatever is placed in the same instant may go over the bound by that much.
"""

from __future__ import annotations

from functools import cache

from app.kernel.errors import N_, DomainError, TooMany
from app.kernel.rates import Limit, RateWindow
from app.kernel.vault import keyring
from app.settings import settings
from tenants.directory import Tenant
from tenants.session import tenant_tx

_SWEPT_WITHIN_S = 60


class TooMuchFromAddress(DomainError):
    message = N_(
        "Unpaid orders from your network hold %(held)s units, and %(most)s is the most. Pay for one or cancel it, or wait until the first is over."
    )


async def admit(tenant: Tenant, address: str, units: int, *, key: str) -> None:
    """Let an order of so many units be placed from a network address; one that stands under this key already always may.

    Raises: TooMuchFromAddress.
    """
    try:
        _window().count(tenant, address, units)
    except TooMany:
        await _look(tenant, address, units, key)


async def _look(tenant: Tenant, address: str, units: int, key: str) -> None:
    most = settings().unpaid_units_per_address
    async with tenant_tx(tenant) as tx:
        held = int(await tx.fetchval(_HELD, (await keyring(tx)).fingerprint("address", address)))
        if held + units <= most or await tx.fetchval("select true from shop_order where idempotency_key = $1", key):
            return
    raise TooMuchFromAddress(held=held, most=most)


@cache
def _window() -> RateWindow:
    chosen = settings()
    return RateWindow(
        Limit("unpaid_units", chosen.unpaid_units_per_address // 2, chosen.reservation_minutes * 60 + _SWEPT_WITHIN_S)
    )


_HELD = """
select count(*)
from shop_order o join delivery_unit u on u.order_id = o.id
where o.address_fingerprint = $1 and o.state = 'awaiting_payment' and u.state = 'reserved'
"""
