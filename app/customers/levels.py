"""Levels a shop gives to some of its registered buyers; prices may depend on them."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from app.kernel import audit
from app.kernel.actor import Actor
from app.kernel.contact import Contact
from app.kernel.errors import N_, DomainError, NotFound
from app.kernel.ids import new_id
from app.kernel.vault import keyring
from tenants.session import Tx, raw

MOST_LEVELS = 20
_MOST_SHOWN = 200


class LevelNameTaken(DomainError):
    status = 422
    message = N_("There is a level of this name already.")


class TooManyLevels(DomainError):
    status = 422
    message = N_("A shop has %(most)s levels at most. Take away one that nobody has.")


class LevelInUse(DomainError):
    message = N_("Buyers have this level, or a price rule names it. Take it from them first.")


class UnknownBuyer(DomainError):
    status = 422
    message = N_("Nobody with this contact has logged in here yet. Levels are for buyers who have.")


async def levels(tx: Tx) -> list[asyncpg.Record]:
    """The levels by name, each with how many buyers have it."""
    return await tx.fetch(_LEVELS, MOST_LEVELS)


async def holders(tx: Tx) -> Sequence[asyncpg.Record]:
    """Buyers who have a level, the latest first; so many as a page shows."""
    return await tx.fetch(_HOLDERS, _MOST_SHOWN)


async def add_level(session: AsyncSession, name: str, *, actor: Actor) -> UUID:
    """A new level. Raises: LevelNameTaken, TooManyLevels."""
    tx, level_id = await raw(session), new_id()
    if len(await levels(tx)) >= MOST_LEVELS:
        raise TooManyLevels(most=MOST_LEVELS)
    if not await tx.execute("insert into buyer_level (id, name) values ($1, $2) on conflict do nothing", level_id, name):
        raise LevelNameTaken
    await audit.record(session, actor, "buyer_level.added", subject=("buyer_level", level_id), facts={"name": name})
    return level_id


async def remove_level(session: AsyncSession, level_id: UUID, *, actor: Actor) -> None:
    """Take away a level nobody has. Raises: NotFound, LevelInUse. Locks: the level."""
    tx = await raw(session)
    name = await tx.fetchval("select name from buyer_level where id = $1 for update", level_id)
    if name is None:
        raise NotFound
    try:
        await tx.execute("delete from buyer_level where id = $1", level_id)
    except asyncpg.ForeignKeyViolationError:
        raise LevelInUse from None
    await audit.record(session, actor, "buyer_level.removed", subject=("buyer_level", level_id), facts={"name": name})


async def give_level(session: AsyncSession, contact: Contact, level_id: UUID | None, *, actor: Actor) -> None:
    """Give a registered buyer a level, or with None take the one he has. It counts from his next page on. Idempotent.

    Raises: NotFound for a level that is gone, UnknownBuyer. Locks: the customer.
    """
    tx = await raw(session)
    if level_id is not None and not await tx.fetchval("select true from buyer_level where id = $1 for share", level_id):
        raise NotFound
    fingerprint = (await keyring(tx)).fingerprint("contact", contact.value)
    customer_id = await tx.fetchval(_GIVE, fingerprint, level_id)
    if customer_id is None:
        raise UnknownBuyer
    facts = {"level_id": str(level_id) if level_id else None, "masked": contact.masked}
    await audit.record(session, actor, "customer.level_given", subject=("customer", customer_id), facts=facts)


_LEVELS = """
select l.id, l.name, (select count(*)::int from customer c where c.level_id = l.id) as buyers from buyer_level l order by l.name limit $1
"""
_HOLDERS = """
select c.contact_masked, c.seen_at, l.name as level_name from customer c join buyer_level l on l.id = c.level_id
order by c.updated_at desc, c.id
limit $1
"""
_GIVE = "update customer set level_id = $2, updated_at = now() where contact_fingerprint = $1 returning id"
