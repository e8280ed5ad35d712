"""The demo's data, put in once, through the verbs that pages and workers call. Its log-ins are written where the demo reads them."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import workers.handlers  # noqa: F401  # registers the handlers of tasks
from app.kernel import http, logs
from app.settings import settings
from app.suppliers.syncing import NotRead
from operations.demo_data import (
    SUPPLIERS,
    bought,
    channels,
    complaints,
    dating,
    issuing,
    own_types,
    people,
    replenishing,
    stocking,
    supplying,
    telling,
    trade,
)
from operations.demo_data.goods import MERCHANTS, Merchant
from operations.demo_data.people import Login, Opened
from operations.demo_data.stocking import Shelved
from operations.demo_data.supplying import Supplied
from operations.demo_data.trade import Traded
from operations.preparation import NOTE
from operations.trouble import Trouble
from tenants.directory import PLATFORM
from tenants.session import Databases, databases, tenant_tx, use_databases


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="./quanyi seed", description=__doc__)
    parser.add_argument("--logins", type=Path, required=True, metavar="FILE", help="where the log-ins are written")
    parser.add_argument(
        "--supplier",
        action="append",
        default=[],
        metavar="PROTOCOL=URL",
        help="where a simulated supplier is; without all of them the demo has none",
    )
    options = parser.parse_args(arguments)
    asyncio.run(seed(options.logins, dict(one.split("=", 1) for one in options.supplier)))
    return 0


async def seed(logins_file: Path, suppliers: Mapping[str, str]) -> None:
    """Put the demo's data in and write its log-ins, for the owner's eyes alone. `suppliers` are simulated ones: where each protocol is spoken.

    Raises: Trouble on a database that is not fresh.
    """
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
            logins += await _open(merchant, chosen.owner_database_url, suppliers if merchant is MERCHANTS[0] else {})
        write_logins(logins_file, logins)
    finally:
        await http.stop()
        await databases().close()


async def _open(merchant: Merchant, owner_url: str, suppliers: Mapping[str, str]) -> list[Login]:
    started = time.monotonic()
    opened = await people.open_merchant(merchant)
    shelved = await stocking.furnish(opened, merchant)
    await stocking.fill_pools(opened, shelved)
    by_hand = await own_types.build(opened) if merchant is MERCHANTS[0] else []
    if merchant is MERCHANTS[0]:
        await telling.connect_groups(opened)
    stocked = time.monotonic()
    supplied = await _supply(opened, shelved, suppliers)
    traded = await trade.trade(opened, shelved, orders=merchant.orders)
    delivered = await _buy(opened, supplied) if supplied else []
    traded += delivered
    await dating.date_back(owner_url, opened.tenant, traded)
    await own_types.sell(opened, by_hand)
    if supplied and delivered:
        await bought.settle(opened, supplied)
    if merchant is MERCHANTS[0]:
        await extend(opened, shelved)
    await complaints.complain(opened)
    ended = time.monotonic()
    print(f"{merchant.slug}: goods {stocked - started:.1f} s, {len(traded)} orders {ended - stocked:.1f} s", flush=True)
    team = await people.make_team(opened) if merchant is MERCHANTS[0] else []
    return [*opened.logins, *team]


async def extend(opened: Opened, shelved: Sequence[Shelved]) -> None:
    """What only the first merchant has beside its shop: distributors, goods asked of suppliers, batches for companies."""
    await channels.open_channels(opened, shelved)
    await replenishing.replenish(opened, shelved)
    await issuing.issue(opened, shelved)


async def _supply(opened: Opened, shelved: list[Shelved], suppliers: Mapping[str, str]) -> Supplied | None:
    """Connect the simulated suppliers; None, with a line that says so, where they are away."""
    if not suppliers.keys() >= set(SUPPLIERS):
        return None
    try:
        return await supplying.connect(opened, shelved, suppliers)
    except _AWAY as error:
        _tell_away(error)
        return None


async def _buy(opened: Opened, supplied: Supplied) -> list[Traded]:
    """What buyers bought from the simulated suppliers; nothing, with a line that says so, where they went away meanwhile."""
    try:
        return await bought.buy(opened, supplied)
    except _AWAY as error:
        _tell_away(error)
        return []


def _tell_away(error: Exception) -> None:
    why = str(error) or type(error).__name__
    print(f"{NOTE}The simulated suppliers do not answer ({why}); the demo goes on without what they deliver.", flush=True)


_AWAY = (http.CallFailed, NotRead, TimeoutError)


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
