"""The browsers that come: logged in as somebody, or as nobody, and each request with a session that is still fresh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import httpx2

from app.access import sessions
from app.access.models import MemberRole
from app.access.sessions import Browser
from app.kernel import clock, csrf
from app.settings import settings
from tenants import routing
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx
from tests.app.access.people import person
from tests.attacks.merchant import buyers_session
from tests.attacks.routes import Route
from tests.attacks.whom import Visitor
from tests.world import World


@dataclass
class Caller:
    """One visitor. `cookies` go with every request; a member of staff gets a fresh session each time, so that no act spoils the next."""

    world: World
    tenant: Tenant
    user_id: UUID | None = None
    is_half: bool = False
    looks_at: Tenant | None = None
    buyer_cookie: str = ""

    async def ask(
        self,
        route: Route,
        ids: Mapping[str, object],
        data: Mapping[str, object] | None = None,
        *,
        headers: Mapping[str, str | None] | None = None,
        query: str = "",
        content: bytes | None = None,
    ) -> httpx2.Response:
        """Send a route's request, with the form's token. `headers` replace those a browser sends, None leaves one out; `content` replaces the form."""
        cookies = await self.cookies(route)
        bound = next((cookies[name] for name in (csrf.STAFF_COOKIE, csrf.BUYER_COOKIE) if name in cookies), "stranger")
        host = f"{self.tenant.slug}.{settings().shops_host}" if route.is_shops else settings().app_host
        sent: dict[str, str | None] = {
            "cookie": "; ".join(f"{name}={value}" for name, value in {csrf.COOKIE: bound, **cookies}.items()),
            "origin": f"https://{host}",
            "accept": "text/html",
            "accept-language": "en",
            csrf.HEADER: csrf._sign(bound),
            **(headers or {}),
        }
        kept = {name: value for name, value in sent.items() if value is not None}
        transport = httpx2.ASGITransport(app=self.world.app, client=("127.0.0.1", 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url=f"https://{host}", headers=kept) as client:
            sent_form = None if route.is_safe or content is not None else dict(data or {})
            return await client.request(route.method, route.filled(ids) + query, data=sent_form, content=content)

    async def cookies(self, route: Route) -> dict[str, str]:
        """What this browser sends beside its form cookie."""
        if self.user_id is None:
            return {csrf.BUYER_COOKIE: self.buyer_cookie} if self.buyer_cookie else {}
        browser = Browser("127.0.0.1", "test")
        async with tenant_tx(PLATFORM) as tx:
            token = await sessions.open_session(tx, user_id=self.user_id, browser=browser, is_second_factor_due=self.is_half)
            if self.looks_at is not None:
                session_id = await tx.fetchval("select id from user_session where token_hash = $1", sessions.hash_of(token))
                until = clock.now() + sessions.IDLE
                await sessions.start_viewing(tx, session_id, tenant_id=self.looks_at.id, reason="a ticket", until=until)
        return {csrf.STAFF_COOKIE: token}


async def member(world: World, tenant: Tenant, role: MemberRole) -> Caller:
    return Caller(world, tenant, (await person(tenant, role)).id)


async def caller(world: World, tenant: Tenant, visitor: Visitor) -> Caller:
    """A visitor who comes to a tenant's pages."""
    match visitor:
        case Visitor.STRANGER:
            return Caller(world, tenant)
        case Visitor.MEMBER_ELSEWHERE:
            return Caller(world, tenant, (await person(await world.new_tenant("Elsewhere"))).id)
        case Visitor.BUYER_ELSEWHERE:
            return Caller(world, tenant, buyer_cookie=await _buyer_elsewhere(world))
        case Visitor.OPERATOR:
            return Caller(world, tenant, await _operator())
        case Visitor.OPERATOR_LOOKING:
            return Caller(world, tenant, await _operator(), looks_at=tenant)
        case Visitor.UNVERIFIED:
            return Caller(world, tenant, (await person(tenant, is_verified=False)).id)
        case Visitor.HALF:
            return Caller(world, tenant, (await person(tenant)).id, is_half=True)
        case Visitor.OF_SUSPENDED | Visitor.OF_CLOSED:
            await turn(tenant, "suspended" if visitor is Visitor.OF_SUSPENDED else "closed")
            return await member(world, tenant, MemberRole.OWNER)


async def turn(tenant: Tenant, state: str) -> None:
    """Set a tenant's state in the directory, as the console does."""
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update tenant set state = $2 where id = $1", tenant.id, state)
    routing.forget()


async def _operator() -> UUID:
    made = await person(is_operator=True)
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update app_user set totp_confirmed_at = now() where id = $1", made.id)
    return made.id


async def _buyer_elsewhere(world: World) -> str:
    elsewhere = await world.new_tenant("Elsewhere")
    product = await world.product(tenant=elsewhere)
    await world.stock(product.skus[0].id, 1, tenant=elsewhere)
    await world.bought(product.skus[0].listing.id, tenant=elsewhere)
    return await buyers_session(world, elsewhere)
