"""A browser logged in as one of a merchant's staff, made by the real session verbs."""

from __future__ import annotations

import re
import secrets

import httpx2

from app.access import sessions
from app.access.models import MemberRole
from app.access.sessions import Browser
from app.kernel import csrf
from app.kernel.ids import new_id
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx
from tests.world import World

_INSERT_USER = """
insert into app_user (id, email, name, password_hash, email_verified_at, locale) values ($1, $2, $3, 'x', now(), 'en')
"""


class Desk:
    """One member of staff at his browser. `get` and `post` take paths below `/m/<slug>`; `post` carries the form's token."""

    def __init__(self, client: httpx2.AsyncClient, tenant: Tenant, name: str) -> None:
        self.client = client
        self.home = f"/m/{tenant.slug}"
        self.name = name

    async def get(self, path: str = "", *, partial: bool = False, **params: str) -> httpx2.Response:
        headers = {"hx-request": "true", "hx-request-type": "partial"} if partial else {}
        return await self.client.get(self.home + path, headers=headers, params=params or None)

    async def post(
        self, path: str, data: dict[str, str] | None = None, *, partial: bool = False, files: object = None
    ) -> httpx2.Response:
        headers = {csrf.HEADER: self.token, **({"hx-request": "true", "hx-request-type": "partial"} if partial else {})}
        return await self.client.post(self.home + path, data=data or {}, headers=headers, files=files)  # type: ignore[arg-type]

    async def look(self, answer: httpx2.Response) -> str:
        """The page a redirect leads to."""
        assert answer.status_code == 303, answer.text[:500]
        page = await self.client.get(answer.headers["location"])
        assert page.status_code == 200
        return page.text

    @property
    def token(self) -> str:
        return csrf._sign(self.client.cookies[csrf.STAFF_COOKIE])


async def desk(world: World, role: MemberRole = MemberRole.OWNER, *, tenant: Tenant | None = None) -> Desk:
    """Log somebody in who has a role in a tenant."""
    chosen, user_id, name = tenant or world.tenant, new_id(), f"{role.value.replace('_', ' ').title()}"
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute(_INSERT_USER, user_id, f"{secrets.token_hex(6)}@example.com", name)
        await tx.execute(
            "insert into membership (id, tenant_id, user_id, role) values ($1, $2, $3, $4)", new_id(), chosen.id, user_id, role
        )
        token = await sessions.open_session(tx, user_id=user_id, browser=Browser("127.0.0.1", "test"))
    client = world.client("app")
    client.cookies.set(csrf.STAFF_COOKIE, token)
    return Desk(client, chosen, name)


def words_of(html: str) -> str:
    """What a reader sees of a page: no tags, white space made single."""
    text = re.sub(r"<(script|style|template)\b.*?</\1>", " ", html, flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())
