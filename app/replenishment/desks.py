"""A supplier's desk: a private link in place of a log-in, made, renewed and revoked by the merchant's staff."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import asyncpg

from app.kernel import audit, clock, links
from app.kernel.actor import SYSTEM, Actor, ActorKind
from app.kernel.errors import NotFound
from app.kernel.ids import new_id
from app.kernel.vault import keyring
from tenants.session import Tx

PURPOSE = "supplier_desk"
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose link it is."""

    supplier_id: UUID
    name: str

    @property
    def actor(self) -> Actor:
        """As histories name him."""
        return Actor(ActorKind.SUPPLIER, self.supplier_id, self.name)


async def desk_of(tx: Tx, supplier_id: UUID) -> asyncpg.Record | None:
    """A supplier's link: when it was made, by whom, when it was last opened. None where he has none."""
    return await tx.fetchrow("select id, made_by, made_at, opened_at from supplier_desk where supplier_id = $1", supplier_id)


async def make(tx: Tx, supplier_id: UUID, *, actor: Actor) -> None:
    """Give a supplier a new link; the one he had is dead at once. Raises: NotFound."""
    if not await tx.fetchval("select exists (select 1 from supplier where id = $1)", supplier_id):
        raise NotFound
    desk_id = new_id()
    token = (await keyring(tx)).link_signature(PURPOSE, desk_id)
    await tx.execute(_MAKE, supplier_id, desk_id, _hash_of(token), actor.name)
    await audit.record(tx, actor, "supplier_desk.made", subject=("supplier", supplier_id))


async def revoke(tx: Tx, supplier_id: UUID, *, actor: Actor) -> None:
    """Take a supplier's link away. Idempotent."""
    if await tx.execute("delete from supplier_desk where supplier_id = $1", supplier_id):
        await audit.record(tx, actor, "supplier_desk.revoked", subject=("supplier", supplier_id))


async def address_of(tx: Tx, supplier_id: UUID, replenishment_no: str = "") -> str:
    """The secret address of a supplier's desk, or of one replenishment on it; empty where he has no link."""
    desk_id = await tx.fetchval("select id from supplier_desk where supplier_id = $1", supplier_id)
    if desk_id is None:
        return ""
    token = (await keyring(tx)).link_signature(PURPOSE, desk_id)
    return links.supplier_desk(tx.tenant, token, replenishment_no)


async def address_to_send(tx: Tx, supplier_id: UUID, replenishment_no: str) -> str:
    """As `address_of`, for a mail to him: made where he has none yet."""
    if not (address := await address_of(tx, supplier_id, replenishment_no)):
        await make(tx, supplier_id, actor=SYSTEM)
        address = await address_of(tx, supplier_id, replenishment_no)
    return address


async def holder_of(tx: Tx, token: str) -> Holder | None:
    """Whose desk a token opens; None when it opens nothing, be it wrong or revoked. Notes that it was opened."""
    row = await tx.fetchrow(_HOLDER, _hash_of(token))
    if row is None:
        return None
    if row["opened_at"] is None or row["opened_at"] < clock.now() - _NOTED_EVERY:
        await tx.execute("update supplier_desk set opened_at = now() where supplier_id = $1", row["supplier_id"])
    return Holder(row["supplier_id"], row["name"])


def _hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


_MAKE = """
insert into supplier_desk (supplier_id, id, token_hash, made_by) values ($1, $2, $3, $4)
on conflict (supplier_id) do update
set id = excluded.id, token_hash = excluded.token_hash, made_by = excluded.made_by, made_at = now(), opened_at = null
"""
_HOLDER = """
select d.supplier_id, s.name, d.opened_at from supplier_desk d join supplier s on s.id = d.supplier_id where d.token_hash = $1
"""
