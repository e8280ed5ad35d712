"""Browsers of a merchant's people, logged in."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx2

from app.access.models import MemberRole
from app.access.sessions import Browser, open_session
from app.kernel.csrf import STAFF_COOKIE
from app.kernel.ids import new_id
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx
from tests.world import World

PARTIAL = {"hx-request": "true", "hx-request-type": "partial"}
_USER = "insert into app_user (id, email, name, password_hash, email_verified_at) values ($1, $2, 'Lin', 'x', now())"
_MEMBER = "insert into membership (id, tenant_id, user_id, role) values ($1, $2, $3, $4)"


@dataclass
class Staff:
    """A browser without scripts whose user is a member of a tenant. Paths are below `/m/{slug}`."""

    browser: httpx2.AsyncClient
    base: str
    _token: str = field(default="")

    async def get(self, path: str = "", *, part: bool = False) -> httpx2.Response:
        answer = await self.browser.get(self.base + path, headers=PARTIAL if part else {})
        if found := re.search(r'name="csrf-token" content="([^"]+)"', answer.text):
            self._token = found[1]
        return answer

    async def post(self, path: str, data: dict[str, Any] | None = None, *, part: bool = False, **more: Any) -> httpx2.Response:
        """Send a form with its token."""
        if not self._token:
            await self.get("/products")
        headers = {**(PARTIAL if part else {}), "x-csrf-token": self._token}
        return await self.browser.post(self.base + path, data=data or {}, headers=headers, **more)


async def staff(world: World, role: MemberRole = MemberRole.OWNER, *, tenant: Tenant | None = None) -> Staff:
    """A member of a tenant with a role."""
    chosen, user_id = tenant or world.tenant, new_id()
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute(_USER, user_id, f"{secrets.token_hex(6)}@mail.test")
        await tx.execute(_MEMBER, new_id(), chosen.id, user_id, role)
        token = await open_session(tx, user_id=user_id, browser=Browser("127.0.0.1", "test"))
    browser = world.client("app")
    browser.cookies.set(STAFF_COOKIE, token)
    return Staff(browser, f"/m/{chosen.slug}")
