"""The demo's data, put in once, through the verbs that pages and workers call. Its log-ins are written where the demo reads them."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from dataclasses import asdict
from pathlib import Path

import workers.handlers  # noqa: F401  # registers the handlers of tasks
from app.kernel import http, logs
from app.settings import settings
from operations.demo_data import channels, complaints, dating, own_types, people, replenishing, stocking, telling, trade
from operations.demo_data.goods import MERCHANTS, Merchant
from operations.demo_data.people import Login
from operations.trouble import Trouble
from tenants.directory import PLATFORM
from tenants.session import Databases, databases, tenant_tx, use_databases


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./quanyi seed", description=__doc__)
    parser.add_argument("--logins", type=Path, required=True, metavar="FILE", help="where the log-ins are written")
    options = parser.parse_args(arguments)
    asyncio.run(seed(options.logins))
    return 0


async def seed(logins_file: Path) -> None:
    """Put the demo's data in and write its log-ins, for the owner's eyes alone. Raises: Trouble on a database that is not fresh."""
    chosen = settings()
    logs.configure("WARNING")
    use_databases(Databases({"main": chosen.database_url}, size=8, statement_cache=chosen.statement_cache))
    http.start(allow_loopback=chosen.allow_loopback_calls)
    try:
        await _refuse_used_database()
        if chosen.owner_database_url is None:
            raise Trouble("Please set QUANYI_OWNER_DATABASE_URL: the demo's orders are dated back by the owner.")
        logins = await people.make_operator()
        for merchant in MERCHANTS:
            logins += await _open(merchant, chosen.owner_database_url)
        write_logins(logins_file, logins)
    finally:
        await http.stop()
        await databases().close()


async def _open(merchant: Merchant, owner_url: str) -> list[Login]:
    started = time.monotonic()
    opened = await people.open_merchant(merchant)
    shelved = await stocking.furnish(opened, merchant)
    await stocking.fill_pools(opened, shelved)
    by_hand = await own_types.build(opened) if merchant is MERCHANTS[0] else []
    if merchant is MERCHANTS[0]:
        await telling.connect_groups(opened)
    stocked = time.monotonic()
    traded = await trade.trade(opened, shelved, orders=merchant.orders)
    await dating.date_back(owner_url, opened.tenant, traded)
    await own_types.sell(opened, by_hand)
    if merchant is MERCHANTS[0]:
        await channels.open_channels(opened, shelved)
        await replenishing.replenish(opened, shelved)
    await complaints.complain(opened)
    ended = time.monotonic()
    print(f"{merchant.slug}: goods {stocked - started:.1f} s, {len(traded)} orders {ended - stocked:.1f} s", flush=True)
    team = await people.make_team(opened) if merchant is MERCHANTS[0] else []
    return [*opened.logins, *team]


async def _refuse_used_database() -> None:
    async with tenant_tx(PLATFORM) as tx:
        if await tx.fetchval("select exists (select 1 from app_user)"):
            raise Trouble("There are accounts in this database already. The demo's data go into a fresh one: ./quanyi reset")


def write_logins(file: Path, logins: list[Login]) -> None:
    """What `./quanyi demo` prints. Readable by its owner alone."""
    unfinished = file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        json.dump([asdict(login) for login in logins], out, ensure_ascii=False, indent=2)
    unfinished.rename(file)
