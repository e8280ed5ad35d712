"""`./quanyi audit`: the audit chains of every home.

`verify` reads each chain from its first entry and compares it with the signed heads kept outside the database; exit 1 with the first entry that
is wrong. `heads` signs where the chains stand now, as a worker does every hour.
"""

import argparse
import asyncio
import json
from collections.abc import Sequence

from app.kernel import audit_heads
from app.kernel.audit_heads import Fault, ForgedHead
from app.settings import settings
from operations.homes import tenants_named, visiting
from operations.trouble import Trouble
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="./quanyi audit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=("verify", "heads"))
    parser.add_argument("--tenant", default="", help="one tenant alone, by its address")
    options = parser.parse_args(arguments)
    return asyncio.run((_verify if options.action == "verify" else _sign)(options.tenant))


async def _verify(slug: str) -> int:
    async with visiting():
        homes = [*([] if slug else [PLATFORM]), *await tenants_named(slug)]
        faults = await verify(homes)
        for home, fault in faults:
            print(f"{home.slug}: entry {fault.seq}: {fault.says}")
    if settings().audit_heads is None:
        print("No heads are kept (QUANYI_AUDIT_HEADS is not set): a chain made anew or cut off would not be seen.")
    print(json.dumps({"audit": "ok" if not faults else "broken", "homes": len(homes), "faults": len(faults)}))
    return 1 if faults else 0


async def verify(homes: Sequence[Tenant]) -> list[tuple[Tenant, Fault]]:
    """The first thing wrong with each home's chain. Raises: Trouble when the heads that should prove them were tampered with."""
    folder = settings().audit_heads
    try:
        heads = audit_heads.kept(folder, [home.id for home in homes]) if folder else {}
    except ForgedHead as forged:
        raise Trouble(f"{forged} among the signed heads was not signed by us: they prove nothing.") from None
    found = []
    for home in homes:
        async with tenant_tx(home) as tx:
            if fault := await audit_heads.first_fault(tx, heads.get(home.id, [])):
                found.append((home, fault))
    return found


async def _sign(slug: str) -> int:
    folder = settings().audit_heads
    if folder is None:
        raise Trouble("Please set QUANYI_AUDIT_HEADS to a folder outside the database, and QUANYI_AUDIT_KEY.")
    async with visiting():
        for home in [*([] if slug else [PLATFORM]), *await tenants_named(slug)]:
            async with tenant_tx(home) as tx:
                head = await audit_heads.head_of(tx)
            audit_heads.keep(folder, [head] if head else [])
    return 0
