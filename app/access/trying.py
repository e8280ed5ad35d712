"""People who try a shop: an account without an address or a password of anybody, that ends with the shop."""

from __future__ import annotations

import secrets
from uuid import UUID

from app.access import passwords
from app.access.models import MemberRole
from app.kernel import clock
from app.kernel.ids import new_id
from tenants.directory import Tenant
from tenants.session import Tx

_NOBODYS_HOST = "trial.invalid"
"""Never anybody's: RFC 2606, section 2."""


async def unknown_password() -> str:
    """The hash of a password that nobody knows."""
    return await passwords.hash_of(secrets.token_hex(32))


async def admit(tx: Tx, tenant: Tenant, *, name: str, locale: str, password_hash: str) -> UUID:
    """The owner of a trial, in the platform's transaction; his id. Only the session that is opened for him leads to it."""
    user_id = new_id()
    await tx.execute(_USER, user_id, f"{tenant.slug}@{_NOBODYS_HOST}", name, password_hash, locale, clock.now())
    await tx.execute(_OWNER, new_id(), tenant.id, user_id, MemberRole.OWNER)
    return user_id


async def dismiss(tx: Tx, tenant_id: UUID) -> None:
    """Whoever tried this tenant is nobody from now on. Idempotent."""
    people = [row["user_id"] for row in await tx.fetch(_PEOPLE, tenant_id, f"%@{_NOBODYS_HOST}")]
    await tx.execute("delete from user_session where user_id = any($1)", people)
    await tx.execute("delete from recovery_code where user_id = any($1)", people)
    await tx.execute("delete from membership where tenant_id = $1", tenant_id)
    await tx.execute("delete from app_user where id = any($1)", people)


_USER = "insert into app_user (id, email, name, password_hash, locale, email_verified_at) values ($1, $2, $3, $4, $5, $6)"
_OWNER = "insert into membership (id, tenant_id, user_id, role) values ($1, $2, $3, $4)"
_PEOPLE = "select m.user_id from membership m join app_user u on u.id = m.user_id where m.tenant_id = $1 and u.email like $2"
