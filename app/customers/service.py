"""Proving a contact: a one-time code sent to it, and the session its owner gets.

Whether a contact is known here is never told: a stranger's contact takes the same way, and only the worker finds that nothing is to be sent.
"""

from __future__ import annotations

import hmac
import secrets
from datetime import timedelta
from uuid import UUID

import asyncpg

from app.integrations import service as integrations
from app.kernel import clock, rates
from app.kernel.contact import Contact
from app.kernel.errors import N_, DomainError
from app.kernel.ids import new_id
from app.kernel.rates import Limit
from app.kernel.tasks import Lane, add_task
from app.kernel.vault import Keyring, keyring
from tenants.directory import Tenant
from tenants.session import Tx, tenant_tx

LIVES = timedelta(minutes=10)
WRONG_TRIES = 5
_DIGITS = 6
ASKED_BY_CONTACT = Limit("contact_code.contact", 3, 600)
ASKED_BY_ADDRESS = Limit("contact_code.address", 20, 3600)
ASKED_IN_SHOP = Limit("contact_code.shop", 2000, 3600)
PROVED_BY_CONTACT = Limit("contact_proof.contact", 15, 3600)
PROVED_BY_ADDRESS = Limit("contact_proof.address", 60, 3600)


class WrongProof(DomainError):
    """Also for a contact that is not known here, a code that is over, and one tried too often: one answer for all."""

    status = 422
    message = N_("This code does not fit, or its ten minutes are over. Look at it again, or have a new one sent.")


async def ask_code(tenant: Tenant, contact: Contact, *, address: str, anyones_locale: str = "") -> None:
    """Have a code sent to a contact, if it is one we know, or in `anyones_locale` to any; the caller learns nothing of whom we know.

    Raises: TooMany, by contact, by network address and by shop, known or not.
    """
    async with tenant_tx(tenant) as tx:
        ring = await keyring(tx)
    fingerprint = ring.fingerprint("contact", contact.value)
    await rates.count(tenant, ASKED_BY_ADDRESS, address)
    await rates.count(tenant, ASKED_BY_CONTACT, fingerprint.hex())
    await rates.count(tenant, ASKED_IN_SHOP, "all")
    code_id = new_id()
    sealed = ring.seal("contact_code", "contact", code_id, contact.value)
    async with tenant_tx(tenant) as tx:
        await tx.execute(
            _ASKED,
            code_id,
            contact.kind,
            sealed,
            contact.masked,
            fingerprint,
            secrets.token_bytes(32),
            clock.now() + LIVES,
            anyones_locale,
        )
        await add_task(tx, "customers.send_code", lane=Lane.MESSAGES, subject_id=code_id)


async def waiting_code(tx: Tx, code_id: UUID) -> asyncpg.Record | None:
    """A code that is still to be sent, locked; None when it is over or was used."""
    return await tx.fetchrow(_WAITING, code_id, clock.now())


async def send_code(tx: Tx, waiting: asyncpg.Record, *, locale: str) -> None:
    """Draw the code, keep its blind index, and have it sent. Drawn here, so that it exists nowhere before it is on its way."""
    ring = await keyring(tx)
    code = f"{secrets.randbelow(10**_DIGITS):0{_DIGITS}d}"
    contact = ring.open("contact_code", "contact", waiting["id"], waiting["contact"])
    drawn = _index_of(ring, waiting["id"], code)
    await tx.execute("update contact_code set code_fingerprint = $2 where id = $1", waiting["id"], drawn)
    await integrations.queue_message(
        tx, template="contact_code", to=(waiting["contact_kind"], contact.reveal()), locale=locale, params={"code": code}
    )


async def prove(tenant: Tenant, contact: Contact, code: str, *, address: str) -> UUID:
    """The customer whose contact was proved, made at his first proof.

    The newest code counts, once; five wrong tries end it. Locks: that code. Raises: WrongProof, TooMany.
    """
    async with tenant_tx(tenant) as tx:
        ring = await keyring(tx)
    fingerprint = ring.fingerprint("contact", contact.value)
    await rates.count(tenant, PROVED_BY_ADDRESS, address)
    await rates.count(tenant, PROVED_BY_CONTACT, fingerprint.hex())
    async with tenant_tx(tenant) as tx:
        customer_id = await _proved(tx, ring, contact, code)
    if customer_id is None:
        raise WrongProof
    return customer_id


async def _proved(tx: Tx, ring: Keyring, contact: Contact, code: str) -> UUID | None:
    """As `prove`, in a transaction that commits a wrong try too."""
    fingerprint = ring.fingerprint("contact", contact.value)
    newest = await tx.fetchrow(_NEWEST, fingerprint)
    tried = _index_of(ring, newest["id"] if newest else UUID(int=0), code)
    if newest is None:
        return None
    is_alive = newest["used_at"] is None and newest["expires_at"] > clock.now() and newest["wrong_tries"] < WRONG_TRIES
    if not (hmac.compare_digest(tried, newest["code_fingerprint"]) and is_alive):
        await tx.execute("update contact_code set wrong_tries = least(wrong_tries + 1, 100) where id = $1", newest["id"])
        return None
    await tx.execute("update contact_code set used_at = $2 where id = $1", newest["id"], clock.now())
    customer_id = new_id()
    sealed = ring.seal("customer", "contact", customer_id, contact.value)
    known: UUID = await tx.fetchval(_CUSTOMER, customer_id, contact.kind, sealed, contact.masked, fingerprint, clock.now())
    return known


async def forget_codes(tx: Tx) -> int:
    """Delete codes that have been over for a day; the number deleted."""
    return await tx.execute("delete from contact_code where expires_at < $1", clock.now() - timedelta(days=1))


def _index_of(ring: Keyring, code_id: UUID, code: str) -> bytes:
    """The blind index of a code, for its own row alone."""
    return ring.fingerprint("contact_code", f"{code_id.hex}:{code}")


_ASKED = """
insert into contact_code (id, contact_kind, contact, contact_masked, contact_fingerprint, code_fingerprint, expires_at, anyones_locale)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""
_WAITING = """
select id, contact_kind, contact, contact_fingerprint, anyones_locale from contact_code
where id = $1 and expires_at > $2 and used_at is null
for update
"""
_NEWEST = """
select id, code_fingerprint, wrong_tries, expires_at, used_at from contact_code
where contact_fingerprint = $1
order by created_at desc, id desc
limit 1
for update
"""
_CUSTOMER = """
insert into customer (id, contact_kind, contact, contact_masked, contact_fingerprint, seen_at)
values ($1, $2, $3, $4, $5, $6)
on conflict (contact_fingerprint) do update set seen_at = excluded.seen_at
returning id
"""
