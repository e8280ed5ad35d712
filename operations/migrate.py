"""`./quanyi migrate`: every schema to its newest revision, the queue's tables, and spare tenants. Safe to repeat, safe to kill."""

import argparse
import asyncio
from collections.abc import Callable

from app.kernel.bell import make_tables
from app.settings import settings
from operations.trouble import Trouble
from tenants.migrating import migrate_platform, migrate_tenants
from tenants.provisioning import refill


def run(arguments: list[str]) -> int:
    """Returns 1 when a tenant could not be moved; the others are."""
    argparse.ArgumentParser(prog="./quanyi migrate", description=__doc__).parse_args(arguments)
    return asyncio.run(migrate())


async def migrate(say: Callable[[str], None] = print) -> int:
    """Bring everything to the newest revision; 1 when a tenant stayed behind. Raises: Trouble without the owner's login."""
    owner_url = settings().owner_database_url
    if owner_url is None:
        raise Trouble("Please set QUANYI_OWNER_DATABASE_URL: migrations run as the owner.")
    platform = await migrate_platform(owner_url)
    say(f"platform: {platform.from_revision or 'nothing'} -> {platform.to_revision}")
    await make_tables(owner_url)
    failed = 0
    async for moved in migrate_tenants(owner_url):
        failed += bool(moved.problem)
        say(f"{moved.schema}: {moved.problem or f'{moved.from_revision} -> {moved.to_revision}'}")
    say(f"spare tenants made: {await refill(owner_url, wanted=settings().spare_tenants)}")
    return 1 if failed else 0
