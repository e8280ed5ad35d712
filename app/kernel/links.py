"""Addresses we print, built from the tenant's record and the settings, never from a request's header."""

from __future__ import annotations

from uuid import UUID

from app.settings import settings
from tenants.directory import Tenant


def app(path: str) -> str:
    """An absolute address on the merchants' and operators' host."""
    return settings().app_url + path


def merchant(tenant: Tenant, path: str = "") -> str:
    """An absolute address among a merchant's pages; `path` starts with a slash."""
    return app(f"/m/{tenant.slug}{path}")


def shop(tenant: Tenant, path: str = "/") -> str:
    """An absolute address in a tenant's shop, on the host we gave it; its own domain leads to the same pages."""
    return f"{settings().public_scheme}://{tenant.slug}.{settings().shops_host}{path}"


def order(tenant: Tenant, order_no: str, signature: str) -> str:
    """A buyer's secret address of one order."""
    return shop(tenant, f"/orders/{order_no}/{signature}")


def notice(tenant: Tenant, connection_id: UUID) -> str:
    """Where a gateway sends its notices for one connection of one tenant."""
    return app(f"/hooks/{tenant.slug}/{connection_id}")


def supply_notice(tenant: Tenant, connection_id: UUID) -> str:
    """Where a supplier sends its notices for one connection of one tenant."""
    return app(f"/hooks/{tenant.slug}/supply/{connection_id}")


def goods_notice(tenant: Tenant, connection_id: UUID) -> str:
    """Where a supplier says what its goods cost and how many there are, for one connection of one tenant."""
    return app(f"/hooks/{tenant.slug}/supply/{connection_id}/goods")


def use_notice(tenant: Tenant, connection_id: UUID) -> str:
    """Where a supplier says that what it sold was used, for one connection of one tenant."""
    return app(f"/hooks/{tenant.slug}/supply/{connection_id}/uses")


def supplier_desk(tenant: Tenant, token: str, replenishment_no: str = "") -> str:
    """A supplier's secret address, of all his replenishments or of one."""
    return app(f"/supply/{tenant.slug}/{token}" + (f"/{replenishment_no}" if replenishment_no else ""))
