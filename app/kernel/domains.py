"""A merchant's own domain: named by him, proved by a TXT record only its ruler can set, given up at will."""

from __future__ import annotations

import re
import secrets
from enum import StrEnum
from typing import Final

import asyncpg

from app.kernel import audit, dns, rates, served
from app.kernel.actor import Actor
from app.kernel.errors import N_, NotFound
from app.kernel.rates import Limit
from app.kernel.served import Served
from app.settings import settings
from tenants import operating
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx

RECORD_PREFIX: Final = "_quanyi"
MOST: Final = 5
LONGEST: Final = 253
"""Signs of a host name. Source: RFC 1035, 2.3.4, without the final dot."""
_LABEL: Final = r"(?!-)[a-z0-9-]{1,63}(?<!-)"
_LOOKS: Final = Limit("domain.look", 20, 600)
_HOST: Final = re.compile(rf"^{_LABEL}(\.{_LABEL})+$")


class Check(StrEnum):
    """What the name system said about a domain's record."""

    VERIFIED = "verified"
    MISSING = "missing"
    OTHER = "other"
    SILENT = "silent"


def parse_host(text: str) -> str | None:
    """A host name in lower case, other scripts in their ASCII form; None for an address with scheme, port or path, a number or a bare word."""
    plain = text.strip().rstrip(".").lower()
    try:
        host = plain.encode("idna").decode() if not plain.isascii() else plain
    except UnicodeError:
        return None
    is_name = len(host) <= LONGEST and _HOST.match(host) is not None and not host.rpartition(".")[2].isdigit()
    return host if is_name else None


def problem_with(host: str) -> str:
    """Why a host cannot be a shop's own, as a msgid; empty when it can."""
    ours = [settings().base_host.partition(":")[0], settings().shops_host.partition(":")[0]]
    if any(host == own or host.endswith(f".{own}") for own in ours):
        return N_("This name belongs to the platform. Your shop has its own address there already.")
    return ""


def target(tenant: Tenant) -> str:
    """Where the domain's CNAME points: the shop's own address."""
    return f"{tenant.slug}.{settings().shops_host.partition(':')[0]}"


async def of(tenant: Tenant) -> list[asyncpg.Record]:
    """A tenant's domains: host, token, verified_at, and what the last look at it found: served, looked_at."""
    async with tenant_tx(PLATFORM) as tx:
        return await operating.domains_of(tx, tenant.id)


async def claim(tenant: Tenant, host: str, *, actor: Actor) -> bool:
    """Note that a tenant wants a domain; False when another tenant has proved it. Idempotent: the record's value stays the same."""
    try:
        async with tenant_tx(PLATFORM) as tx:
            await operating.claim_domain(tx, tenant, host=host, token=secrets.token_hex(16))
    except operating.DomainTaken:
        return False
    await _record(tenant, actor, "domain.claimed", host)
    return True


async def check(tenant: Tenant, host: str, *, actor: Actor, resolver: dns.Resolver | None = None) -> Check:
    """Ask for the record, with no transaction open, and let the domain lead to the shop once it is there. What is proved stays proved.

    Raises: NotFound for a domain not his, TooMany.
    """
    row = await _own(tenant, host)
    await rates.count(tenant, _LOOKS, "")
    if row["verified_at"] is not None:
        return Check.VERIFIED
    try:
        texts = await (resolver or dns.name_servers()).texts_at(f"{RECORD_PREFIX}.{host}")
    except dns.NamesSilent:
        return Check.SILENT
    if row["token"] not in texts:
        return Check.OTHER if texts else Check.MISSING
    async with tenant_tx(PLATFORM) as tx:
        await operating.verify_domain(tx, tenant, host=host)
    await _record(tenant, actor, "domain.verified", host)
    return Check.VERIFIED


async def look(tenant: Tenant, host: str, *, resolver: dns.Resolver | None = None) -> Served:
    """Look whether a domain that is proved is served over HTTPS, with no transaction open, and note what was found.

    Where the name servers are silent nothing was found, and what was noted stays. Raises: NotFound.
    """
    await _own(tenant, host)
    found = await served.look(host, slug=tenant.slug, target=target(tenant), names=resolver or dns.name_servers())
    if found is not Served.SILENT:
        async with tenant_tx(PLATFORM) as tx:
            await operating.note_look(tx, tenant, host=host, served=found)
    return found


async def drop(tenant: Tenant, host: str, *, actor: Actor) -> None:
    """Give a domain up. Idempotent."""
    if all(row["host"] != host for row in await of(tenant)):
        return
    async with tenant_tx(PLATFORM) as tx:
        await operating.drop_domain(tx, tenant, host=host)
    await _record(tenant, actor, "domain.dropped", host)


async def _own(tenant: Tenant, host: str) -> asyncpg.Record:
    row = next((row for row in await of(tenant) if row["host"] == host), None)
    if row is None:
        raise NotFound
    return row


async def _record(tenant: Tenant, actor: Actor, action: str, host: str) -> None:
    async with tenant_tx(tenant) as tx:
        await audit.record(tx, actor, action, subject=("domain", None), facts={"host": host})
