"""Operators and members for the console's tests, made where the tests of access are not the point."""

from __future__ import annotations

import secrets
from uuid import UUID

import httpx2

from app.access import sessions
from app.access.models import MemberRole
from app.access.sessions import Browser
from app.kernel import clock
from app.kernel.csrf import STAFF_COOKIE
from app.kernel.ids import new_id
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx
from tests.world import World


async def person(*, is_operator: bool = False, has_second_factor: bool = True) -> UUID:
    """A verified user."""
    user_id, at = new_id(), clock.now()
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute(
            "insert into app_user (id, email, name, password_hash, email_verified_at, totp_confirmed_at, is_operator)"
            " values ($1, $2, $3, '-', $4, $5, $6)",
            user_id, f"{secrets.token_hex(6)}@quanyi.example", "Lin Zhixing", at, at if has_second_factor else None, is_operator,
        )  # fmt: skip
    return user_id


async def member(tenant: Tenant, role: MemberRole = MemberRole.OWNER) -> UUID:
    user_id = await person()
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute(
            "insert into membership (id, tenant_id, user_id, role) values ($1, $2, $3, $4)", new_id(), tenant.id, user_id, role
        )
    return user_id


async def browser_of(world: World, user_id: UUID) -> httpx2.AsyncClient:
    """A browser that is logged in."""
    async with tenant_tx(PLATFORM) as tx:
        token = await sessions.open_session(tx, user_id=user_id, browser=Browser("127.0.0.1", "test"))
    client = world.client("app")
    client.cookies.set(STAFF_COOKIE, token, domain=client.base_url.host)
    return client


async def operator_of(world: World) -> httpx2.AsyncClient:
    return await browser_of(world, await person(is_operator=True))


async def csrf(client: httpx2.AsyncClient, path: str = "/console") -> dict[str, str]:
    """The hidden field of a form of a page."""
    text = (await client.get(path)).text
    return {"_csrf": text.partition('name="csrf-token" content="')[2].partition('"')[0]}
