"""Logging in, and the passwords one logs in with.

Every try is counted before it is judged, and a right one is given back. A stranger's wrong tries cost as long for addresses nobody has.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

import asyncpg

from app.access import one_time, passwords, sessions
from app.access.accounts import USER_BY_EMAIL, count_mail, record, subject_of
from app.access.models import LinkPurpose
from app.access.sessions import Browser, Identity
from app.integrations.service import queue_message
from app.kernel import audit, links, rates
from app.kernel.actor import Actor, ActorKind
from app.kernel.contact import EMAIL
from app.kernel.errors import N_, DomainError
from app.kernel.rates import Limit
from tenants.directory import PLATFORM
from tenants.session import Tx, tenant_tx

_LOGIN = Limit("log-in", 10, 900)
_LOGIN_ADDRESS = Limit("log-in-address", 100, 900)


class WrongLogIn(DomainError):
    """The same for a wrong password and for an address nobody has."""

    status = 422
    message = N_("E-mail address and password do not fit together. Check both, or choose a new password.")


class WrongPassword(DomainError):
    status = 422
    message = N_("That is not your current password.")


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A session's token, and whether the second factor must still come."""

    token: str
    user_id: UUID
    is_second_factor_due: bool


async def log_in(email: str, password: str, *, browser: Browser, knows_browser: bool, old_token: str | None) -> LoggedIn:
    """A new session for the right password; the browser's earlier one ends. `knows_browser`: this person has logged in from it before.

    A known browser has tries of its own, so strangers who guess at an account do not shut its owner out.
    Raises: WrongLogIn, TooMany, TimeoutError.
    """
    subject = subject_of(email) + (":known" if knows_browser else "")
    await rates.count(PLATFORM, _LOGIN_ADDRESS, browser.address)
    await rates.count(PLATFORM, _LOGIN, subject)
    async with tenant_tx(PLATFORM) as tx:
        user = await tx.fetchrow(USER_BY_EMAIL, email)
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
    await count_mail(email, browser)
    async with tenant_tx(PLATFORM) as tx:
        user = await tx.fetchrow(USER_BY_EMAIL, email)
        if user is None:
            return
        token = await one_time.make(tx, LinkPurpose.RESET_PASSWORD, one_time.to(email, user_id=user["id"]))
        params = {"url": links.app(f"/password/reset/{token}")}
        await queue_message(tx, template="reset_password", to=(EMAIL, email), locale=user["locale"], params=params)


async def look_at_reset(token: str) -> asyncpg.Record:
    """Whose password a link changes: id, email and whether a second factor is on. Raises: LinkOver."""
    async with tenant_tx(PLATFORM) as tx:
        link = await one_time.look(tx, LinkPurpose.RESET_PASSWORD, token)
        user = await tx.fetchrow(USER_BY_EMAIL, link.email)
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
    subject = subject_of(identity.email) + ":inside"
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


_SET_BY_MAIL = """
update app_user set password_hash = $2, email_verified_at = coalesce(email_verified_at, now()) where id = $1 returning name
"""
