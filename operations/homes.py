"""What a command that visits tenants needs: the databases its settings name, and the tenants themselves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.kernel import http
from app.settings import settings
from operations.trouble import Trouble
from tenants.directory import COLUMNS, PLATFORM, Tenant, tenant_of
from tenants.session import Databases, databases, tenant_tx, use_databases


@asynccontextmanager
async def visiting() -> AsyncIterator[None]:
    """Inside, this process reaches its databases and other companies."""
    chosen = settings()
    use_databases(Databases({"main": chosen.database_url}, size=4, statement_cache=chosen.statement_cache))
    http.start(allow_loopback=chosen.allow_loopback_calls)
    try:
        yield
    finally:
        await http.stop()
        await databases().close()


async def tenants_named(slug: str = "") -> list[Tenant]:
    """Every tenant that somebody named, oldest first, or the one with this address. Raises: Trouble when there is none."""
    async with tenant_tx(PLATFORM) as tx:
        rows = await tx.fetch(
            f"select {COLUMNS} from tenant where state <> 'spare' and ($1 = '' or slug = $1) order by created_at",  # noqa: S608  # a constant
            slug,
        )
    if slug and not rows:
        raise Trouble(f"There is no tenant with the address {slug!r}.")
    return [tenant_of(row) for row in rows]
