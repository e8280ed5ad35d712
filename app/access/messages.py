"""Who of a tenant's staff, and of the platform's, is written to, and about what."""

from __future__ import annotations

import asyncpg

from app.access.models import MemberRole
from tenants.directory import PLATFORM, Tenant
from tenants.session import Tx, tenant_tx


async def stock_watchers(tenant: Tenant) -> list[tuple[str, str]]:
    """Address and locale of the owners and operators of a tenant, who are told when stock runs low."""
    return await _with_role(tenant, MemberRole.OWNER, MemberRole.OPERATOR)


async def after_sale_watchers(tenant: Tenant) -> list[tuple[str, str]]:
    """Address and locale of those who answer buyers, who are told when a buyer waits too long."""
    return await _with_role(tenant, MemberRole.OWNER, MemberRole.OPERATOR, MemberRole.SUPPORT)


async def owners(tenant: Tenant) -> list[tuple[str, str]]:
    """Address and locale of a tenant's owners, who are told what only they should decide about."""
    return await _with_role(tenant, MemberRole.OWNER)


async def _with_role(tenant: Tenant, *roles: MemberRole) -> list[tuple[str, str]]:
    async with tenant_tx(PLATFORM) as tx:
        rows = await tx.fetch(_WITH_ROLE, tenant.id, roles)
    return [(row["email"], row["locale"]) for row in rows]


async def operators(tx: Tx) -> list[asyncpg.Record]:
    """Address and locale of the platform's operators, who are told of alarms."""
    return await tx.fetch(
        "select email, locale from app_user where is_operator and email_verified_at is not null order by email limit 20"
    )


_WITH_ROLE = """
select u.email, u.locale from membership m join app_user u on u.id = m.user_id
where m.tenant_id = $1 and m.ended_at is null and m.role = any($2::text[]) and u.email_verified_at is not null
order by u.email
limit 20
"""
