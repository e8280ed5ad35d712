"""A tenant's team: who works there as what, inviting, changing roles, removing. A tenant always keeps one owner.

People belong to the platform, so the verbs run in the platform's transaction; `in_both` also writes the tenant's own audit chain, and if either
entry cannot be written nothing happens.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg

from app.access import one_time, passwords, sessions
from app.access.models import LinkPurpose, MemberRole
from app.access.permissions import ROLE_WORDS
from app.access.sessions import Identity
from app.integrations.service import queue_message
from app.kernel import audit, i18n, links, rates
from app.kernel.actor import Actor, ActorKind
from app.kernel.contact import EMAIL, Contact
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id
from app.kernel.rates import Limit
from tenants.directory import PLATFORM, Tenant
from tenants.session import Tx, tenant_tx

_INVITATIONS = Limit("invitations", 30, 86_400)


class LastOwner(DomainError):
    status = 409
    message = N_("A shop keeps at least one owner. Make somebody else an owner first.")


class AlreadyMember(DomainError):
    status = 422
    message = N_("This person is in the team already. Change the role in the list.")


class ForAnotherAddress(DomainError):
    status = 403
    message = N_("This invitation is for another e-mail address. Log out, and open the link again.")


class LogInToJoin(DomainError):
    status = 403
    message = N_("There is an account with this e-mail address. Log in with it, and open the link again.")


@dataclass(frozen=True, slots=True)
class Chains:
    """The platform's transaction, where members live, and the tenant's, where its own audit chain is."""

    tx: Tx
    home: Tx
    actor: Actor

    async def record(self, action: str, subject: tuple[str, UUID], facts: Mapping[str, Any]) -> None:
        """The same entry in both chains."""
        for tx in (self.home, self.tx):
            await audit.record(tx, self.actor, action, subject=subject, facts={"tenant": self.home.tenant.slug, **facts})


@asynccontextmanager
async def in_both(tenant: Tenant, actor: Actor) -> AsyncIterator[Chains]:
    """Both transactions; the platform's commits first. A failure in either before that undoes both."""
    async with tenant_tx(tenant) as home, tenant_tx(PLATFORM) as tx:
        yield Chains(tx, home, actor)


async def members(tx: Tx, tenant_id: UUID) -> list[asyncpg.Record]:
    """The people of a tenant, at most 200: user_id, name, email, role, since, has_second_factor, seen_at."""
    return await tx.fetch(_MEMBERS, tenant_id)


async def invitations(tx: Tx, tenant_id: UUID) -> list[asyncpg.Record]:
    """Invitations nobody has taken up yet, at most 100."""
    return await tx.fetch(_INVITED, tenant_id)


async def invite(tenant: Tenant, *, email: str, role: MemberRole, actor: Actor, locale: str) -> None:
    """Mail somebody an invitation for seven days; an earlier one for the same address dies. Raises: AlreadyMember, TooMany."""
    await rates.count(PLATFORM, _INVITATIONS, str(tenant.id))
    async with in_both(tenant, actor) as chains:
        if await chains.tx.fetchval(_IS_MEMBER, tenant.id, email):
            raise AlreadyMember
        wanted = one_time.to(email, tenant_id=tenant.id, role=role, invited_by=actor.name)
        token = await one_time.make(chains.tx, LinkPurpose.INVITATION, wanted)
        params = {
            "shop": tenant.name, "inviter": actor.name, "role": i18n.translate(locale, ROLE_WORDS[role]),
            "url": links.app(f"/invitations/{token}"),
        }  # fmt: skip
        await queue_message(chains.tx, template="invitation", to=(EMAIL, email), locale=locale, params=params)
        await chains.record("team.invited", ("invitation", wanted.id), {"role": role, "to": Contact(EMAIL, email).masked})


async def withdraw_invitation(tenant: Tenant, invitation_id: UUID, *, actor: Actor) -> None:
    """Let an invitation die. Idempotent. Raises: NotFound for one that is not this tenant's."""
    async with in_both(tenant, actor) as chains:
        found = await chains.tx.fetchval(_INVITATION, invitation_id, tenant.id)
        if found is None:
            raise NotFound
        if await chains.tx.execute(_WITHDRAW, invitation_id):
            await chains.record("team.invitation_withdrawn", ("invitation", invitation_id), {})


async def change_role(tenant: Tenant, user_id: UUID, role: MemberRole, *, actor: Actor, keep_session: UUID | None) -> None:
    """Give a member another role; his sessions end, but the one named. Idempotent. Locks: the tenant's owners, the member.

    Raises: NotFound, LastOwner.
    """
    async with in_both(tenant, actor) as chains:
        before = await _lock_member(chains.tx, tenant.id, user_id)
        if before is role:
            return
        if before is MemberRole.OWNER:
            await _keep_an_owner(chains.tx, tenant.id)
        await chains.tx.execute(
            "update membership set updated_at = now(), role = $3 where tenant_id = $1 and user_id = $2", tenant.id, user_id, role
        )
        await sessions.end_all(chains.tx, user_id, but=keep_session)
        await chains.record("team.role_changed", ("user", user_id), {"from": before, "to": role})


async def remove(tenant: Tenant, user_id: UUID, *, actor: Actor) -> None:
    """End somebody's membership; he is out at once. Locks: the tenant's owners, the member. Raises: NotFound, LastOwner."""
    async with in_both(tenant, actor) as chains:
        before = await _lock_member(chains.tx, tenant.id, user_id)
        if before is MemberRole.OWNER:
            await _keep_an_owner(chains.tx, tenant.id)
        await chains.tx.execute(
            "update membership set ended_at = now() where tenant_id = $1 and user_id = $2", tenant.id, user_id
        )
        await sessions.end_all(chains.tx, user_id)
        await chains.record("team.removed", ("user", user_id), {"role": before})


# Joining


async def look_at_invitation(tx: Tx, token: str) -> tuple[one_time.Link, bool]:
    """An invitation, and whether its address has an account. Raises: LinkOver."""
    link = await one_time.look(tx, LinkPurpose.INVITATION, token)
    return link, bool(await tx.fetchval("select exists (select 1 from app_user where email = $1)", link.email))


async def join(tenant: Tenant, token: str, identity: Identity) -> None:
    """Take up an invitation with the account one is logged in as. Raises: LinkOver, ForAnotherAddress."""
    actor = Actor(ActorKind.STAFF, identity.user_id, identity.name)
    async with in_both(tenant, actor) as chains:
        link = await one_time.use(chains.tx, LinkPurpose.INVITATION, token)
        if link.email != identity.email:
            raise ForAnotherAddress
        await _become_member(chains, tenant, link, identity.user_id)


async def join_anew(tenant: Tenant, token: str, *, name: str, password: str, locale: str) -> UUID:
    """Take up an invitation with a new account, whose address the mail has confirmed. Raises: LinkOver, LogInToJoin, TimeoutError."""
    hashed = await passwords.hash_of(password)
    user_id = new_id()
    async with in_both(tenant, Actor(ActorKind.STAFF, user_id, name)) as chains:
        link = await one_time.use(chains.tx, LinkPurpose.INVITATION, token)
        made = await chains.tx.fetchval(_NEW_USER, user_id, link.email, name, hashed, locale)
        if made is None:
            raise LogInToJoin
        await _become_member(chains, tenant, link, user_id)
    return user_id


async def _become_member(chains: Chains, tenant: Tenant, link: one_time.Link, user_id: UUID) -> None:
    if link.tenant_id != tenant.id or link.role is None:
        raise NotFound
    await chains.tx.execute(_JOIN, new_id(), tenant.id, user_id, link.role)
    await chains.tx.execute("update app_user set email_verified_at = coalesce(email_verified_at, now()) where id = $1", user_id)
    await chains.record("team.joined", ("user", user_id), {"role": link.role, "invited_by": link.invited_by})


async def _lock_member(tx: Tx, tenant_id: UUID, user_id: UUID) -> MemberRole:
    await tx.fetch(_LOCK_OWNERS, tenant_id)
    role = await tx.fetchval(_LOCK_MEMBER, tenant_id, user_id)
    if role is None:
        raise NotFound
    return MemberRole(role)


async def _keep_an_owner(tx: Tx, tenant_id: UUID) -> None:
    """The owners are locked, so two owners who remove each other at once cannot both succeed. Raises: LastOwner."""
    owners: int = await tx.fetchval(
        "select count(*) from membership where tenant_id = $1 and role = 'owner' and ended_at is null", tenant_id
    )
    if owners < 2:
        raise LastOwner


_MEMBERS = """
select u.id as user_id, u.name, u.email, m.role, m.created_at as since, u.totp_confirmed_at is not null as has_second_factor,
       u.email_verified_at is not null as is_verified, (select max(s.seen_at) from user_session s where s.user_id = u.id) as seen_at
from membership m join app_user u on u.id = m.user_id
where m.tenant_id = $1 and m.ended_at is null
order by m.role = 'owner' desc, m.created_at
limit 200
"""
_INVITED = """
select id, email, role, invited_by, expires_at from one_time_link
where purpose = 'invitation' and tenant_id = $1 and used_at is null and expires_at > now()
order by created_at desc
limit 100
"""
_INVITATION = "select id from one_time_link where id = $1 and purpose = 'invitation' and tenant_id = $2"
_WITHDRAW = "update one_time_link set expires_at = now() where id = $1 and used_at is null and expires_at > now()"
_IS_MEMBER = """
select exists (
  select 1 from membership m join app_user u on u.id = m.user_id where m.tenant_id = $1 and u.email = $2 and m.ended_at is null
)
"""
_LOCK_OWNERS = "select id from membership where tenant_id = $1 and role = 'owner' and ended_at is null order by id for update"
_LOCK_MEMBER = "select role from membership where tenant_id = $1 and user_id = $2 and ended_at is null for update"
_JOIN = """
insert into membership (id, tenant_id, user_id, role) values ($1, $2, $3, $4)
on conflict (tenant_id, user_id) do update set ended_at = null, role = excluded.role
"""
_NEW_USER = """
insert into app_user (id, email, name, password_hash, locale, email_verified_at) values ($1, $2, $3, $4, $5, now())
on conflict (email) do nothing
returning id
"""
