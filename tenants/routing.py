"""Finding a tenant by address, host or schema. Kept in memory per process; a change in the directory is told to every process at once."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import asyncpg

from tenants.directory import COLUMNS, PLATFORM, Tenant, tenant_of
from tenants.session import AWAY, databases, tenant_tx

_log = logging.getLogger(__name__)
_CHANNEL = "quanyi_directory"
_KEPT = 5000
_FRESH_S = 5.0
"""How long an entry is believed without having heard anything: bounds what a lost notification can do."""

_cache: OrderedDict[tuple[str, str], tuple[float, Tenant | None]] = OrderedDict()


async def by_slug(slug: str) -> Tenant | None:
    """The tenant with this address; None for one that never was. Suspended and closed tenants are found, and say so."""
    return await _find("slug", slug)


async def by_domain(host: str) -> Tenant | None:
    """The tenant whose own, verified domain this is; `host` is lower case and has no port."""
    return await _find("domain", host)


async def by_schema(schema: str) -> Tenant | None:
    """The tenant that lives in this schema; the platform for its own."""
    return PLATFORM if schema == PLATFORM.schema else await _find("schema_name", schema)


async def by_id(tenant_id: UUID) -> Tenant | None:
    """The tenant with this id."""
    return PLATFORM if tenant_id == PLATFORM.id else await _find("id", str(tenant_id))


def forget() -> None:
    """Drop what this process believes, so that its next look-ups read the directory."""
    _cache.clear()


Forget = Callable[[], None]


async def listen(*others: Forget) -> None:
    """Follow changes of the directory until cancelled, and tell `others` of them. While the connection is down entries live `_FRESH_S` at most."""
    while True:
        try:
            await _follow([forget, *others])
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            _log.warning("directory changes are not followed for now: %s", type(error).__name__)
        forget()
        await asyncio.sleep(1)


async def _follow(forgetting: Sequence[Forget]) -> None:
    connection: asyncpg.Connection[Any] = await asyncpg.connect(databases().url(PLATFORM.database), timeout=5)
    ended = asyncio.Event()
    try:
        connection.add_termination_listener(lambda *_: ended.set())
        for each in forgetting:
            await connection.add_listener(_CHANNEL, lambda *_, each=each: each())
            each()
        await ended.wait()
    finally:
        with suppress(OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=1)


async def _find(by: str, value: str) -> Tenant | None:
    """What is known, or the directory's answer. While the directory is away what was known last is believed: it leads to nothing but that database."""
    known = _cache.get((by, value))
    if known is not None and time.monotonic() - known[0] < _FRESH_S:
        return known[1]
    try:
        async with tenant_tx(PLATFORM) as tx:
            row = await tx.fetchrow(_QUERIES[by], value)
    except AWAY:
        if known is None:
            raise
        return known[1]
    tenant = tenant_of(row) if row else None
    _cache[by, value] = (time.monotonic(), tenant)
    if len(_cache) > _KEPT:
        _cache.popitem(last=False)
    return tenant


_QUERIES = {
    "slug": f"select {COLUMNS} from tenant where slug = $1",
    "schema_name": f"select {COLUMNS} from tenant where schema_name = $1 and state <> 'spare'",
    "id": f"select {COLUMNS} from tenant where id = $1::text::uuid and state <> 'spare'",
    "domain": f"select {COLUMNS} from tenant where id = (select tenant_id from tenant_domain where host = $1 and verified_at is not null)",
}
NOTIFY = f"select pg_notify('{_CHANNEL}', '')"
"""To be run in the transaction that changes the directory."""
