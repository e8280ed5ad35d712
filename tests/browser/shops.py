"""The shops of browser tests, by their address."""

from __future__ import annotations

from typing import Any


async def tenant_of(slug: str) -> Any:
    """The shop of this name on the running system."""
    from tenants import routing

    tenant = await routing.by_slug(slug)
    assert tenant is not None, slug
    return tenant
