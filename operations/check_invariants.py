"""`./quanyi check-invariants`: ask every tenant of a live installation what must always hold; exit 1 with the rows that break it."""

import argparse
import asyncio
import json

from app.insight.invariants import breaches
from app.settings import settings
from tenants import routing
from tenants.directory import PLATFORM
from tenants.session import Databases, databases, tenant_tx, use_databases


def run(arguments: list[str]) -> int:
    argparse.ArgumentParser(prog="./quanyi check-invariants", description=__doc__).parse_args(arguments)
    return asyncio.run(_check())


async def _check() -> int:
    use_databases(Databases({"main": settings().database_url}, size=2, statement_cache=settings().statement_cache))
    try:
        async with tenant_tx(PLATFORM) as tx:
            schemas = [
                row["schema_name"]
                for row in await tx.fetch("select schema_name from tenant where state <> 'spare' order by created_at")
            ]
        found = 0
        for schema in schemas:
            tenant = await routing.by_schema(schema)
            assert tenant is not None
            async with tenant_tx(tenant) as tx:
                for breach in await breaches(tx):
                    found += 1
                    print(f"{tenant.slug}: {breach.number} {breach.says} {', '.join(breach.rows)}")
    finally:
        await databases().close()
    print(json.dumps({"check-invariants": "ok" if not found else "broken", "tenants": len(schemas), "breaches": found}))
    return 1 if found else 0
