"""`./quanyi keys`: change the keys that seal secrets, while everything runs.

`new` prints a key-encryption key: put it first in QUANYI_KEY_ENCRYPTION_KEY, keep the old one behind it, restart the processes one by one.
`rotate` wraps every home's data keys under the first key-encryption key, then gives each home a new data key and moves its secrets under it.
Killed, it is simply run again. After it the old key-encryption key may leave the setting; backups made before still need it.
"""

import argparse
import asyncio
import base64
import secrets

import app.main  # noqa: F401  # every table is known
from app.kernel import clock, rekeying
from operations.homes import tenants_named, visiting
from tenants.directory import PLATFORM, Tenant

LEVELS = ("kek", "data")


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="./quanyi keys", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("new", "rotate"))
    parser.add_argument("--level", choices=LEVELS, help="one level alone: the wrapping of data keys, or the data keys")
    parser.add_argument("--tenant", default="", help="one tenant alone, by its address")
    options = parser.parse_args(arguments)
    if options.action == "new":
        print(f"k{clock.now():%y%m%d%H%M}:{base64.b64encode(secrets.token_bytes(32)).decode()}")
        return 0
    return asyncio.run(_rotate(options.tenant, (options.level,) if options.level else LEVELS))


async def _rotate(slug: str, levels: tuple[str, ...]) -> int:
    async with visiting():
        homes = [*([] if slug else [PLATFORM]), *await tenants_named(slug)]
        left = 0
        for home in homes:
            left += await rotate_home(home, levels)
    if left:
        print(f"{left} secrets were in use by others and are still under an older key, which opens them. Run this again.")
    return 0


async def rotate_home(home: Tenant, levels: tuple[str, ...] = LEVELS) -> int:
    """Both levels of one home; the number of secrets left under an older data key."""
    if "kek" in levels:
        print(f"{home.slug}: {await rekeying.rewrap(home)} data keys wrapped anew", flush=True)
    if "data" not in levels:
        return 0
    done = await rekeying.reseal(home)
    print(f"{home.slug}: {done.moved} secrets moved under data key {done.version}, {done.left} left", flush=True)
    return done.left
