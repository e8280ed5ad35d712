"""The people of the demo: an operator with a second factor, the merchants' owners, and a team of every role."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import pyotp

from app.access import accounts, passwords, second_factor, sessions
from app.access.accounts import NewShop
from app.access.models import MemberRole
from app.access.sessions import Browser
from app.kernel import clock
from app.kernel.actor import Actor, ActorKind
from app.kernel.ids import new_id
from app.kernel.tasks import Lane
from operations.demo_data.goods import Merchant
from tenants.directory import PLATFORM, Tenant
from tenants.session import Tx, tenant_tx
from workers.drain import drain_home

_BROWSER = Browser("127.0.0.1", "demo")
_OPERATOR = ("operator@quanyi.example", "周明")
_TEAM = (
    (MemberRole.OPERATOR, "运营", "yunying", "陈运"),
    (MemberRole.FINANCE_MAKER, "财务制单", "zhidan", "许清"),
    (MemberRole.FINANCE_CHECKER, "财务复核", "fuhe", "何核"),
    (MemberRole.SUPPORT, "客服", "kefu", "苏禾"),
    (MemberRole.READ_ONLY, "只读", "zhidu", "梁观"),
)


@dataclass(frozen=True, slots=True)
class Login:
    """A line of what the demo prints: who, where, and with what."""

    who: str
    surface: str
    path: str
    login: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Opened:
    """A demo merchant that stands: its owner acts in what follows."""

    tenant: Tenant
    owner: Actor
    logins: tuple[Login, ...]


def new_password() -> str:
    """Long enough, and easy to type from a terminal: three groups of four."""
    signs = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(signs) for _ in range(4)) for _ in range(3))


async def make_operator() -> list[Login]:
    """The platform's operator, whose second factor is on: its secret and recovery codes are among the log-ins."""
    email, name = _OPERATOR
    password, user_id = new_password(), new_id()
    hashed = await passwords.hash_of(password)
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute(_NEW_OPERATOR, user_id, email, name, hashed, clock.now())
        token = await sessions.open_session(tx, user_id=user_id, browser=_BROWSER)
    identity = await sessions.find(token)
    assert identity is not None
    await second_factor.start(identity, password=password)
    secret = pyotp.parse_uri(await second_factor.uri_of(identity)).secret
    codes, _ = await second_factor.confirm(identity, code=pyotp.TOTP(secret).now(), browser=_BROWSER)
    async with tenant_tx(PLATFORM) as tx:
        await sessions.end_all(tx, user_id)
        await tx.execute("update app_user set totp_last_step = null where id = $1", user_id)
    return [
        Login("Operator of the platform", "app", "/console", email, password),
        Login("  second factor (TOTP secret)", "app", "/log-in/second-factor", secret, "or, once each: " + " ".join(codes[:4])),
    ]


async def open_merchant(merchant: Merchant) -> Opened:
    """Sign a merchant up as a stranger would, confirm the address, and do the work that furnishes the shop."""
    email, password = f"owner@{merchant.slug}.example", new_password()
    made = await accounts.sign_up(NewShop(email, password, merchant.name, merchant.slug, "zh_CN"), browser=_BROWSER)
    assert made.tenant is not None, "a fresh database has nobody of this name"
    assert made.user_id is not None
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update app_user set email_verified_at = now(), name = $2 where id = $1", made.user_id, "林知行")
    await drain_home(PLATFORM, Lane.ORDERS)
    owner = Actor(ActorKind.STAFF, made.user_id, "林知行")
    shop = Login(f"{merchant.name}: the shop", f"shop:{merchant.slug}", "/")
    return Opened(made.tenant, owner, (shop, Login(f"{merchant.name}: owner", "app", f"/m/{merchant.slug}", email, password)))


async def make_team(opened: Opened) -> list[Login]:
    """A member of every other role. They share one password, which is enough for a demo."""
    password = new_password()
    hashed, tenant = await passwords.hash_of(password), opened.tenant
    async with tenant_tx(PLATFORM) as tx:
        return [await _join(tx, tenant, member, (hashed, password)) for member in _TEAM]


async def _join(tx: Tx, tenant: Tenant, member: tuple[MemberRole, str, str, str], word: tuple[str, str]) -> Login:
    role, title, box, name = member
    email, user_id = f"{box}@{tenant.slug}.example", new_id()
    await tx.execute(_NEW_MEMBER, user_id, email, name, word[0], clock.now())
    await tx.execute(_JOIN, new_id(), tenant.id, user_id, role)
    return Login(f"{tenant.name}: {title}", "app", f"/m/{tenant.slug}", email, word[1])


_NEW_OPERATOR = """
insert into app_user (id, email, name, password_hash, email_verified_at, is_operator) values ($1, $2, $3, $4, $5, true)
"""
_NEW_MEMBER = "insert into app_user (id, email, name, password_hash, email_verified_at) values ($1, $2, $3, $4, $5)"
_JOIN = "insert into membership (id, tenant_id, user_id, role) values ($1, $2, $3, $4)"
