"""Accounts of people: opening one with a shop, confirming an address, the profile.

What a stranger can learn is the same for known and unknown addresses: the same answer, the same work.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from app.access import one_time, passwords
from app.access.models import LinkPurpose, MemberRole
from app.access.sessions import Browser, Identity
from app.integrations.service import queue_message
from app.kernel import audit, clock, links, rates
from app.kernel.actor import Actor, ActorKind
from app.kernel.contact import EMAIL
from app.kernel.errors import N_, DomainError
from app.kernel.ids import new_id
from app.kernel.rates import Limit
from app.kernel.tasks import Lane, add_task
from app.settings import settings
from tenants import provisioning, routing
from tenants.directory import PLATFORM, Tenant
from tenants.session import Tx, tenant_tx

_MAIL = Limit("access-mail", 4, 3600)
_MAIL_ADDRESS = Limit("access-mail-address", 60, 3600)


class NoShopReady(DomainError):
    status = 503
    message = N_("Many shops are being opened this minute. Nothing was lost; send it again in %(seconds)s seconds.")


class SlugTaken(DomainError):
    status = 422
    message = N_("Another shop has this address. Choose another.")


@dataclass(frozen=True, slots=True)
class NewShop:
    """What somebody who opens a shop decides."""

    email: str
    password: str
    shop_name: str
    slug: str
    locale: str

    def __repr__(self) -> str:
        return f"NewShop({self.slug})"


@dataclass(frozen=True, slots=True)
class Opened:
    """A new account and its shop. Both None when the address was known already, which is never shown."""

    user_id: UUID | None = None
    tenant: Tenant | None = None


# Opening a shop


async def sign_up(new: NewShop, *, browser: Browser) -> Opened:
    """An account with a shop of its own, taken from the spares, and the mail that confirms the address.

    Idempotent: sent twice, it makes one. A known address gets a mail that says so, and the caller learns nothing.
    Raises: SlugTaken, NoShopReady, TooMany, TimeoutError.
    """
    await rates.count(PLATFORM, Limit("sign-up", settings().sign_ups_per_hour, 3600), browser.address)
    if await _has_slug(new.slug):
        await _refuse_unless_repeated(new)
        return Opened()
    hashed = await passwords.hash_of(new.password)
    try:
        async with tenant_tx(PLATFORM) as tx:
            return await _open(tx, new, hashed)
    except provisioning.SlugTaken:
        raise SlugTaken from None
    except provisioning.NoSpareTenant:
        async with tenant_tx(PLATFORM) as tx:
            await add_task(tx, "tenants.refill", lane=Lane.BULK, subject_id=None)
        raise NoShopReady(seconds=5) from None


async def _open(tx: Tx, new: NewShop, hashed: str) -> Opened:
    user_id = await tx.fetchval(_NEW_USER, new_id(), new.email, new.email.partition("@")[0][:60], hashed, new.locale, None)
    if user_id is None:
        await _tell_owner_of_address(tx, new.email)
        return Opened()
    tenant = await provisioning.take_spare(tx, slug=new.slug, name=new.shop_name)
    await tx.execute(_JOIN, new_id(), tenant.id, user_id, MemberRole.OWNER)
    await _is_quiet(tx, new.email)
    await _mail_verification(tx, new.email, user_id, tenant, new.locale)
    actor = Actor(ActorKind.STAFF, user_id, new.email.partition("@")[0][:60])
    await audit.record(tx, actor, "tenant.opened", subject=("tenant", tenant.id), facts={"slug": tenant.slug})
    await add_task(tx, "tenants.furnish", lane=Lane.ORDERS, subject_id=tenant.id)
    await add_task(tx, "tenants.refill", lane=Lane.BULK, subject_id=None)
    return Opened(user_id, tenant)


async def _has_slug(slug: str) -> bool:
    async with tenant_tx(PLATFORM) as tx:
        return bool(await tx.fetchval("select exists (select 1 from tenant where slug = $1)", slug))


async def _refuse_unless_repeated(new: NewShop) -> None:
    """The same form sent again by the same person, who knows the password, is no fault. Raises: SlugTaken."""
    async with tenant_tx(PLATFORM) as tx:
        stored = await tx.fetchval(_OWNER_HASH, new.email, new.slug)
    if not await passwords.fits(new.password, stored):
        raise SlugTaken


async def _tell_owner_of_address(tx: Tx, email: str) -> None:
    """Somebody signs up with a known address: its owner gets the verification again, or a mail that the account exists. At most one a minute."""
    user = await tx.fetchrow(USER_BY_EMAIL, email)
    assert user is not None
    if not await _is_quiet(tx, email):
        return
    if user["email_verified_at"] is None:
        await _mail_verification(tx, email, user["id"], await _first_tenant(tx, user["id"]), user["locale"])
    else:
        await queue_message(
            tx, template="account_exists", to=(EMAIL, email), locale=user["locale"], params={"url": links.app("/log-in")}
        )


async def resend_verification(email: str, *, browser: Browser) -> None:
    """Send the verification mail once more to an account that still needs it; silent about every other address. Raises: TooMany."""
    await count_mail(email, browser)
    async with tenant_tx(PLATFORM) as tx:
        user = await tx.fetchrow(USER_BY_EMAIL, email)
        if user is not None and user["email_verified_at"] is None:
            await _mail_verification(tx, email, user["id"], await _first_tenant(tx, user["id"]), user["locale"])


async def verify_email(token: str) -> asyncpg.Record:
    """The address is confirmed: id, email, locale and whether a second factor is on. Raises: LinkOver."""
    async with tenant_tx(PLATFORM) as tx:
        link = await one_time.use(tx, LinkPurpose.VERIFY_EMAIL, token)
        user = await tx.fetchrow(_VERIFY, link.user_id)
        assert user is not None
        return user


async def _mail_verification(tx: Tx, email: str, user_id: UUID, tenant: Tenant | None, locale: str) -> None:
    token = await one_time.make(tx, LinkPurpose.VERIFY_EMAIL, one_time.to(email, user_id=user_id))
    params = {"shop": tenant.name if tenant else PLATFORM.name, "url": links.app(f"/verify/{token}")}
    await queue_message(tx, template="verify_email", to=(EMAIL, email), locale=locale, params=params)


# One's own account


async def change_profile(identity: Identity, *, name: str, locale: str) -> None:
    """How one is called and written to. Idempotent."""
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update app_user set name = $2, locale = $3 where id = $1", identity.user_id, name, locale)


async def record(tx: Tx, identity: Identity, action: str) -> None:
    """An act on one's own account, in the platform's audit chain."""
    actor = Actor(ActorKind.STAFF, identity.user_id, identity.name)
    await audit.record(tx, actor, action, subject=("user", identity.user_id))


# Shared


async def id_of(email: str) -> UUID | None:
    """Whose address this is. Never shown."""
    async with tenant_tx(PLATFORM) as tx:
        found: UUID | None = await tx.fetchval("select id from app_user where email = $1", email)
    return found


async def places_of(tx: Tx, user_id: UUID) -> list[asyncpg.Record]:
    """The tenants somebody works for, at most 50: id, slug, name, role."""
    return await tx.fetch(_PLACES, user_id)


async def _first_tenant(tx: Tx, user_id: UUID) -> Tenant | None:
    rows = await places_of(tx, user_id)
    return await routing.by_slug(rows[0]["slug"]) if rows else None


def subject_of(email: str) -> str:
    """An account as the counters know it: they keep no address."""
    return hashlib.sha256(email.encode()).hexdigest()[:32]


async def count_mail(email: str, browser: Browser) -> None:
    await rates.count(PLATFORM, _MAIL_ADDRESS, browser.address)
    await rates.count(PLATFORM, _MAIL, subject_of(email))


async def _is_quiet(tx: Tx, email: str) -> bool:
    """Whether nobody had this address written to in the last minute. Locks: the address's turn."""
    key, at = f"sign-up-mail:{subject_of(email)}", clock.now()
    return bool(await tx.execute(_QUIET, key, at, at - timedelta(minutes=1)))


_NEW_USER = """
insert into app_user (id, email, name, password_hash, locale, email_verified_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (email) do nothing
returning id
"""
_JOIN = """
insert into membership (id, tenant_id, user_id, role) values ($1, $2, $3, $4)
on conflict (tenant_id, user_id) do update set ended_at = null, role = excluded.role
"""
USER_BY_EMAIL = (
    "select id, email, name, password_hash, locale, email_verified_at, totp_confirmed_at from app_user where email = $1"
)
_OWNER_HASH = """
select u.password_hash from app_user u join membership m on m.user_id = u.id join tenant t on t.id = m.tenant_id
where u.email = $1 and t.slug = $2 and m.role = 'owner' and m.ended_at is null
"""
_VERIFY = """
update app_user set email_verified_at = coalesce(email_verified_at, now()) where id = $1
returning id, email, name, locale, totp_confirmed_at
"""
_PLACES = """
select t.id, t.slug, t.name, m.role from membership m join tenant t on t.id = m.tenant_id
where m.user_id = $1 and m.ended_at is null and t.state <> 'closed'
order by m.created_at, t.slug
limit 50
"""
_QUIET = """
insert into rate_counter (key, window_starts_at, tries) values ($1, $2, 1)
on conflict (key) do update set window_starts_at = excluded.window_starts_at where rate_counter.window_starts_at <= $3
"""
