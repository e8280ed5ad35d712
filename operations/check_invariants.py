"""`./quanyi check-invariants`: ask every tenant of a live installation what must always hold; exit 1 with the rows that break it."""

import argparse
import asyncio
import json

from app.insight.invariants import breaches
from operations.homes import tenants_named, visiting
from tenants.session import tenant_tx


def run(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="./quanyi check-invariants", description=__doc__).parse_args(arguments)
    return asyncio.run(_check())


async def _check() -> int:
    found = 0
    async with visiting():
        tenants = await tenants_named()
        for tenant in tenants:
            async with tenant_tx(tenant) as tx:
                for breach in await breaches(tx):
                    found += 1
                    print(f"{tenant.slug}: {breach.number} {breach.says} {', '.join(breach.rows)}")
    print(json.dumps({"check-invariants": "ok" if not found else "broken", "tenants": len(tenants), "breaches": found}))
    return 1 if found else 0
