"""Accounts of people: signing up with a shop, confirming an address, logging in, choosing a new password.

What a stranger can learn is the same for known and unknown addresses: the same answer, the same work.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from app.access import one_time, passwords, sessions
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

_LOGIN = Limit("log-in", 10, 900)
_LOGIN_ADDRESS = Limit("log-in-address", 100, 900)
_MAIL = Limit("access-mail", 4, 3600)
_MAIL_ADDRESS = Limit("access-mail-address", 60, 3600)


class NoShopReady(DomainError):
    status = 503
    message = N_("Many shops are being opened this minute. Nothing was lost; send it again in %(seconds)s seconds.")


class WrongLogIn(DomainError):
    """The same for a wrong password and for an address nobody has."""

    status = 422
    message = N_("E-mail address and password do not fit together. Check both, or choose a new password.")


class SlugTaken(DomainError):
    status = 422
    message = N_("Another shop has this address. Choose another.")


class WrongPassword(DomainError):
    status = 422
    message = N_("That is not your current password.")


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


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A session's token, and whether the second factor must still come."""

    token: str
    user_id: UUID
    is_second_factor_due: bool


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
    user = await tx.fetchrow(_USER_BY_EMAIL, email)
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
    await _count_mail(email, browser)
    async with tenant_tx(PLATFORM) as tx:
        user = await tx.fetchrow(_USER_BY_EMAIL, email)
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


# Logging in


async def log_in(email: str, password: str, *, browser: Browser, knows_browser: bool, old_token: str | None) -> LoggedIn:
    """A new session for the right password; the browser's earlier one ends. `knows_browser`: this person has logged in from it before.

    A known browser has tries of its own, so strangers who guess at an account do not shut its owner out.
    Raises: WrongLogIn, TooMany, TimeoutError.
    """
    subject = _subject(email) + (":known" if knows_browser else "")
    await rates.count(PLATFORM, _LOGIN_ADDRESS, browser.address)
    await rates.count(PLATFORM, _LOGIN, subject)
    async with tenant_tx(PLATFORM) as tx:
        user = await tx.fetchrow(_USER_BY_EMAIL, email)
    if not await passwords.fits(password, user["password_hash"] if user else None) or user is None:
        raise WrongLogIn
    await rates.give_back(PLATFORM, _LOGIN_ADDRESS, browser.address)
    await rates.give_back(PLATFORM, _LOGIN, subject)
    renewed = await passwords.hash_of(password) if passwords.is_outdated(user["password_hash"]) else None
    is_due = user["totp_confirmed_at"] is not None
    async with tenant_tx(PLATFORM) as tx:
        if renewed:
            await tx.execute("update app_user set password_hash = $2 where id = $1", user["id"], renewed)
        token = await start_session(tx, user["id"], browser=browser, old_token=old_token, is_second_factor_due=is_due)
        if not knows_browser and user["email_verified_at"] is not None:
            await _mail_new_log_in(tx, user, browser)
    return LoggedIn(token, user["id"], is_due)


async def start_session(
    tx: Tx, user_id: UUID, *, browser: Browser, old_token: str | None, is_second_factor_due: bool = False
) -> str:
    """A fresh token; whatever the browser carried before is dead, so nothing planted there is ever adopted."""
    if old_token:
        await sessions.end(tx, old_token)
    return await sessions.open_session(tx, user_id=user_id, browser=browser, is_second_factor_due=is_second_factor_due)


async def _mail_new_log_in(tx: Tx, user: asyncpg.Record, browser: Browser) -> None:
    params = {"address": browser.address, "url": links.app("/me/security")}
    await queue_message(tx, template="login_elsewhere", to=(EMAIL, user["email"]), locale=user["locale"], params=params)


# Passwords


async def ask_for_reset(email: str, *, browser: Browser) -> None:
    """Mail a link for a new password to whoever has the address; silent when nobody has. Raises: TooMany."""
    await _count_mail(email, browser)
    async with tenant_tx(PLATFORM) as tx:
        user = await tx.fetchrow(_USER_BY_EMAIL, email)
        if user is None:
            return
        token = await one_time.make(tx, LinkPurpose.RESET_PASSWORD, one_time.to(email, user_id=user["id"]))
        params = {"url": links.app(f"/password/reset/{token}")}
        await queue_message(tx, template="reset_password", to=(EMAIL, email), locale=user["locale"], params=params)


async def look_at_reset(token: str) -> asyncpg.Record:
    """Whose password a link changes: id, email and whether a second factor is on. Raises: LinkOver."""
    async with tenant_tx(PLATFORM) as tx:
        link = await one_time.look(tx, LinkPurpose.RESET_PASSWORD, token)
        user = await tx.fetchrow(_USER_BY_EMAIL, link.email)
    if user is None:
        raise one_time.LinkOver
    return user


async def reset_password(token: str, password: str) -> None:
    """Choose a new password with a mailed link. All sessions end; who reads the mail has the address. Raises: LinkOver, TimeoutError."""
    await look_at_reset(token)
    hashed = await passwords.hash_of(password)
    async with tenant_tx(PLATFORM) as tx:
        link = await one_time.use(tx, LinkPurpose.RESET_PASSWORD, token)
        name = await tx.fetchval(_SET_BY_MAIL, link.user_id, hashed)
        assert link.user_id is not None
        assert name is not None
        await sessions.end_all(tx, link.user_id)
        await audit.record(
            tx, Actor(ActorKind.STAFF, link.user_id, name), "account.password_reset", subject=("user", link.user_id)
        )


async def change_password(identity: Identity, *, old: str, new: str, browser: Browser) -> str:
    """Change one's own password; every session ends and this browser gets a new one, whose token is returned. Raises: WrongPassword, TooMany."""
    await prove_password(identity, old)
    hashed = await passwords.hash_of(new)
    async with tenant_tx(PLATFORM) as tx:
        await tx.execute("update app_user set password_hash = $2 where id = $1", identity.user_id, hashed)
        await record(tx, identity, "account.password_changed")
        return await rotate(tx, identity, browser=browser)


async def prove_password(identity: Identity, password: str) -> None:
    """Have somebody who is logged in show that he is still the one. Raises: WrongPassword, TooMany."""
    subject = _subject(identity.email) + ":inside"
    await rates.count(PLATFORM, _LOGIN, subject)
    async with tenant_tx(PLATFORM) as tx:
        stored = await tx.fetchval("select password_hash from app_user where id = $1", identity.user_id)
    if not await passwords.fits(password, stored):
        raise WrongPassword
    await rates.give_back(PLATFORM, _LOGIN, subject)


async def rotate(tx: Tx, identity: Identity, *, browser: Browser) -> str:
    """End all of one's sessions and open a fresh one here."""
    await sessions.end_all(tx, identity.user_id)
    return await sessions.open_session(tx, user_id=identity.user_id, browser=browser)


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


def _subject(email: str) -> str:
    """An account as the counters know it: they keep no address."""
    return hashlib.sha256(email.encode()).hexdigest()[:32]


async def _count_mail(email: str, browser: Browser) -> None:
    await rates.count(PLATFORM, _MAIL_ADDRESS, browser.address)
    await rates.count(PLATFORM, _MAIL, _subject(email))


async def _is_quiet(tx: Tx, email: str) -> bool:
    """Whether nobody had this address written to in the last minute. Locks: the address's turn."""
    key, at = f"sign-up-mail:{_subject(email)}", clock.now()
    return bool(await tx.execute(_QUIET, key, at, at - timedelta(minutes=1)))


_NEW_USER = """
insert into app_user (id, email, name, password_hash, locale, email_verified_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (email) do nothing
returning id
"""
_JOIN = """
insert into membership (id, tenant_id, user_id, role) values ($1, $2, $3, $4)
on conflict (tenant_id, user_id) do update set role = excluded.role, ended_at = null
"""
_USER_BY_EMAIL = (
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
_SET_BY_MAIL = """
update app_user set password_hash = $2, email_verified_at = coalesce(email_verified_at, now()) where id = $1 returning name
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
