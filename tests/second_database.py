"""A database of its own beside the tests' shared one, served by the same application: for what would harm other tests' tenants."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.kernel.vault import forget_keyrings
from tenants import routing, session
from tenants.bootstrap import Passwords, prepare_database
from tenants.migrating import migrate_platform
from tenants.session import Databases, databases, use_databases
from tests.installation import Installation
from tests.world import World

PASSWORDS = Passwords(owner="o" * 12, app="a" * 12)


@asynccontextmanager
async def second_database(world: World, installation: Installation, name: str) -> AsyncIterator[World]:
    """Inside, every process-wide door leads into the database `name`, which is migrated and empty; a World that builds there."""
    urls = prepare_database(installation.postgres.admin_url(), name=name, passwords=PASSWORDS)
    await migrate_platform(urls.owner_url)
    before = databases()
    use_databases(Databases({"main": urls.app_url}, size=8, statement_cache=True))
    _forget()
    try:
        yield World(world.app, urls, world.gateway, world.outbox)
    finally:
        await session.databases().close()
        use_databases(before)
        _forget()


def _forget() -> None:
    routing.forget()
    forget_keyrings()
