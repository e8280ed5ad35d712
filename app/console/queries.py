"""What the console reads from the platform's own tables. Every list has a limit; nothing here enters a tenant's schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from app.kernel import clock
from app.kernel.errors import NotFound
from tenants.session import Tx

PAGE_SIZE = 50
_LONGEST_LIST = 200


@dataclass(frozen=True, slots=True)
class Asked:
    """What the list of tenants is asked for: words in name or address, a state or none, and the page from 1."""

    words: str
    state: str
    page: int


async def tenants(tx: Tx, asked: Asked) -> list[asyncpg.Record]:
    """One page of tenants, newest first, each with its verified domains."""
    return await tx.fetch(_TENANTS, asked.words.lower(), asked.state, PAGE_SIZE, (asked.page - 1) * PAGE_SIZE)


async def tenants_by_state(tx: Tx, words: str) -> Mapping[str, int]:
    """How many tenants match the words, by state."""
    return {row["state"]: row["tenants"] for row in await tx.fetch(_BY_STATE, words.lower())}


async def tenant_or_404(tx: Tx, tenant_id: UUID) -> asyncpg.Record:
    """A tenant's directory row. A spare has no name and is nobody's: not found."""
    row = await tx.fetchrow(_TENANT, tenant_id)
    if row is None:
        raise NotFound
    return row


async def members_by_role(tx: Tx, tenant_id: UUID) -> list[asyncpg.Record]:
    """How many people work for a tenant, by role."""
    return await tx.fetch(_MEMBERS, tenant_id)


async def revisions(tx: Tx) -> list[asyncpg.Record]:
    """At which revisions the tenants' schemas are, and how many at each, spares counted too."""
    return await tx.fetch("select revision, count(*) as schemas from tenant group by revision order by revision desc limit 100")


async def behind(tx: Tx, head: str) -> list[asyncpg.Record]:
    """Schemas that are not at the head, oldest first."""
    return await tx.fetch(_BEHIND, head, _LONGEST_LIST)


async def platform_revision(tx: Tx) -> str:
    """Where the platform's own schema is."""
    return str(await tx.fetchval("select version_num from schema_revision"))


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """How the platform's database is: connections of this database, and the server's limit over all of them."""

    version: str
    connections: int
    most_connections: int
    bells_due: int
    bells_later: int
    oldest_bell_s: int
    spares: int


async def database_state(tx: Tx) -> DatabaseState:
    """One look at the database and the tables that all processes share."""
    server = await tx.fetchrow(_SERVER)
    bells = await tx.fetchrow(_BELLS)
    assert server is not None
    assert bells is not None
    oldest = (clock.now() - bells["oldest"]).total_seconds() if bells["oldest"] else 0
    spares = await tx.fetchval("select count(*) from tenant where state = 'spare'")
    return DatabaseState(
        version=server["version"],
        connections=server["connections"],
        most_connections=server["most"],
        bells_due=bells["due"],
        bells_later=bells["later"],
        oldest_bell_s=max(0, int(oldest)),
        spares=spares,
    )


_TENANTS = """
select t.id, t.slug, t.name, t.state, t.state_reason, t.opened_at, t.trial_ends_at,
       array(select host from tenant_domain d where d.tenant_id = t.id and d.verified_at is not null order by host limit 3) as domains
from tenant t
where state <> 'spare'
  and ($1 = '' or position($1 in lower(name)) > 0 or position($1 in slug) > 0)
  and ($2 = '' or state = $2)
order by opened_at desc nulls last, id desc
limit $3
offset $4
"""
_BY_STATE = """
select state, count(*) as tenants
from tenant
where state <> 'spare' and ($1 = '' or position($1 in lower(name)) > 0 or position($1 in slug) > 0)
group by state
"""
_TENANT = """
select id, slug, name, state, state_reason, database, schema_name, role_name, revision, opened_at, created_at,
       pauses_on_breach, paused_since, reconciling_since, trial_ends_at
from tenant
where id = $1 and state <> 'spare'
"""
_MEMBERS = "select role, count(*) as people from membership where tenant_id = $1 and ended_at is null group by role order by role"
_BEHIND = """
select id, slug, name, state, schema_name, revision, created_at
from tenant
where revision <> $1
order by created_at
limit $2
"""
_SERVER = """
select current_setting('server_version') as version,
       (select count(*) from pg_stat_activity where datname = current_database())::int as connections,
       current_setting('max_connections')::int as most
"""
_BELLS = """
select count(*) filter (where ring_at <= now()) as due, count(*) filter (where ring_at > now()) as later,
       min(ring_at) filter (where ring_at <= now()) as oldest
from work.bell
"""
