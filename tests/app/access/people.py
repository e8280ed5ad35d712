"""People for these tests: accounts made quickly, browsers that log in by the real pages, and what the mails say."""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from uuid import UUID

import httpx2

from app.access import passwords
from app.access.models import MemberRole
from app.kernel.ids import new_id
from app.settings import settings
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx
from tests.world import World

PASSWORD = "four green lamps hum"
STAFF = "__Host-q_staff"
_hashed: dict[str, str] = {}


@dataclass
class Person:
    id: UUID
    email: str


def new_email() -> str:
    return f"p{secrets.token_hex(6)}@nanzhi.example"


async def person(
    tenant: Tenant | None = None, role: MemberRole = MemberRole.OWNER, *, is_verified: bool = True, is_operator: bool = False
) -> Person:
    """An account, and its place in a tenant if one is given."""
    if PASSWORD not in _hashed:
        _hashed[PASSWORD] = await passwords.hash_of(PASSWORD)
    made = Person(new_id(), new_email())
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute(
            "insert into app_user (id, email, name, password_hash, email_verified_at, is_operator, locale) "
            "values ($1, $2, 'Chen', $3, case when $4 then now() end, $5, 'en')",
            made.id,
            made.email,
            _hashed[PASSWORD],
            is_verified,
            is_operator,
        )
        if tenant is not None:
            await tx.execute(
                "insert into membership (id, tenant_id, user_id, role) values ($1, $2, $3, $4)",
                new_id(),
                tenant.id,
                made.id,
                role,
            )
    return made


def browser(world: World, *, address: str = "127.0.0.1") -> httpx2.AsyncClient:
    """A browser on the application's host, at a network address of its own."""
    host = settings().app_host
    client = httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=world.app, client=(address, 50_000)),
        base_url=f"https://{host}",
        headers={"origin": f"https://{host}", "accept": "text/html", "accept-language": "en"},
        follow_redirects=False,
    )
    world._clients.append(client)
    return client


async def token(client: httpx2.AsyncClient, path: str = "/log-in") -> str:
    """The form token of a page."""
    answer = await client.get(path)
    found = re.search(r'name="csrf-token" content="([0-9a-f]{64})"', answer.text)
    assert found, (path, answer.status_code, answer.text[:500])
    return found[1]


async def send(client: httpx2.AsyncClient, path: str, *, page: str = "", **fields: object) -> httpx2.Response:
    """Send a form as its page would."""
    data = {"_csrf": await token(client, page or path), **{name: str(value) for name, value in fields.items()}}
    return await client.post(path, data=data)


async def log_in(
    world: World, who: Person, *, password: str = PASSWORD, client: httpx2.AsyncClient | None = None
) -> httpx2.AsyncClient:
    """A browser somebody has logged in with."""
    chosen = client or browser(world)
    answer = await send(chosen, "/log-in", email=who.email, password=password)
    assert answer.status_code == 303, (answer.status_code, answer.text[-3000:])
    return chosen


async def member(
    world: World, role: MemberRole = MemberRole.OWNER, *, tenant: Tenant | None = None
) -> tuple[Person, httpx2.AsyncClient]:
    """A member of a tenant and his browser, logged in."""
    who = await person(tenant or world.tenant, role)
    return who, await log_in(world, who)


async def mails(world: World, to: str, count: int = 1) -> list[str]:
    """The texts of the mails that have reached somebody, newest first, after the worker's work."""
    await world.work()
    return (
        [message["text"] for message in world.outbox.wait_for(to, count=count)]
        if count
        else [m["text"] for m in world.outbox.messages(to)]
    )


def link_in(mail: str) -> str:
    """The path of the link in a mail."""
    found = re.search(re.escape(settings().app_url) + r"(/\S+)", mail)
    assert found, mail
    return found[1]
