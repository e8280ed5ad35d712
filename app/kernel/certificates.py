"""What the server in front asks before it fetches a certificate, and what a shop's own domain answers to show whose it is."""

from __future__ import annotations

from ipaddress import ip_address

from litestar import MediaType, Response, get

from app.kernel import domains
from app.kernel.errors import NotFound
from app.kernel.hosts import SHOP_PREFIX, tenant_of_host
from app.kernel.served import WHOSE
from app.kernel.web import AnyRequest
from app.settings import settings
from tenants.directory import Tenant, TenantState

_FORWARDED = ("x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "forwarded")


@get("/internal/may-serve", opt={"public": True}, media_type=MediaType.TEXT)
async def may_serve(request: AnyRequest) -> Response[str]:
    """200 for a name we serve, 404 for any other: the platform's own host, and every host of a shop that is not closed.

    For the server in front alone: what it hands on for others says so in its headers, and then this is not there. Raises: NotFound.
    """
    if not _is_direct(request):
        raise NotFound
    is_served = await _is_served(request.query_params.get("domain", ""))
    return Response("served" if is_served else "not served", status_code=200 if is_served else 404)


@get(SHOP_PREFIX + WHOSE, opt={"public": True}, media_type=MediaType.TEXT)
async def whose(tenant: Tenant) -> str:
    """The address of the shop that this host leads to, for who wants to know whether it does."""
    return tenant.slug


def _is_direct(request: AnyRequest) -> bool:
    """Whether a machine of our own network asks for itself. A proxy says whom it asks for, and whoever comes from outside has a public address."""
    if request.client is None or any(name in request.headers for name in _FORWARDED):
        return False
    try:
        return not ip_address(request.client.host).is_global
    except ValueError:
        return False


async def _is_served(name: str) -> bool:
    if len(name) > domains.LONGEST or (host := domains.parse_host(name)) is None:
        return False
    if host == settings().app_host.partition(":")[0]:
        return True
    tenant = await tenant_of_host(host)
    return tenant is not None and tenant.state is not TenantState.CLOSED
