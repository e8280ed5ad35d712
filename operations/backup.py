"""`./quanyi backup`: the whole installation, or one tenant, in one file, taken while everything runs.

The file holds secrets only as the database does, sealed, and no key-encryption key: keep QUANYI_KEY_ENCRYPTION_KEY elsewhere, the file is worth
nothing without it. Left out is what loses nothing: the queue's jobs, bells and rate counters.
"""

import argparse
import asyncio
import json
import tarfile
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.kernel import clock
from app.settings import settings
from operations.client_programs import ClientPrograms
from operations.homes import tenants_named, visiting
from operations.places import DATA, make_private_folder
from operations.trouble import Trouble
from tenants.directory import PLATFORM, Tenant
from tenants.migrating import head
from tenants.session import tenant_tx

ABOUT, DUMP = "about.json", "dump"


@dataclass(frozen=True)
class About:
    """What a backup says of itself. `tenants` are rows of the directory, `domains` those of `tenant_domain`; `keks` name the keys it needs."""

    made_at: str
    is_whole: bool
    platform_revision: str
    tenants: list[dict[str, Any]]
    domains: list[dict[str, Any]]
    keks: list[str]


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="./quanyi backup", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tenant", default="", help="one tenant alone, by its address")
    parser.add_argument("--to", type=Path, help="the file; by default one with the date under .data/backups")
    options = parser.parse_args(arguments)
    file = options.to or make_private_folder(DATA / "backups") / f"{options.tenant or 'quanyi'}-{clock.now():%Y%m%d-%H%M%S}.tar"
    asyncio.run(_backup(options.tenant, file))
    print(f"{file}: {file.stat().st_size:,} bytes. Without the key-encryption key it opens nothing: keep that elsewhere.")
    return 0


async def _backup(slug: str, file: Path) -> None:
    async with visiting():
        await back_up(await _one(slug) if slug else None, file)


async def _one(slug: str) -> Tenant:
    return (await tenants_named(slug))[0]


async def back_up(tenant: Tenant | None, file: Path) -> About:
    """Write a backup of one tenant or of all. The file appears when it is whole, for its owner alone. Raises: Trouble."""
    programs = ClientPrograms(owner_url())
    about = await _about(tenant)
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".backup-", dir=file.parent) as name:
        folder = Path(name)
        (folder / ABOUT).write_text(json.dumps(asdict(about), indent=2), encoding="utf-8")
        await asyncio.to_thread(
            programs.run,
            "pg_dump",
            *_options(tenant),
            "--file",
            folder / DUMP,
            programs.url,
            say="The backup could not be taken:",
        )
        _pack(folder, file)
    return about


def owner_url() -> str:
    """The owner's login. Raises: Trouble where the settings have none."""
    if (url := settings().owner_database_url) is None:
        raise Trouble("Please set QUANYI_OWNER_DATABASE_URL: copies are made as the owner.")
    return url


def _options(tenant: Tenant | None) -> list[str]:
    shared = ["--format=custom", "--no-owner", "--no-comments", "--no-unlogged-table-data", "--lock-wait-timeout=30s"]
    if tenant is not None:
        return [*shared, f"--schema={tenant.schema}"]
    return [*shared, "--exclude-table=queue.*", "--exclude-table-data=work.*"]


async def _about(tenant: Tenant | None) -> About:
    async with tenant_tx(PLATFORM) as tx:
        known = await tx.fetch(_TENANTS, tenant.id if tenant else None)
        domains = await tx.fetch(_DOMAINS, tenant.id if tenant else None)
        revision = await tx.fetchval("select version_num from schema_revision")
        keks = {row["kek_name"] for row in await tx.fetch("select distinct kek_name from data_key")} if tenant is None else set()
    for home in [tenant] if tenant else await tenants_named():
        async with tenant_tx(home) as tx:
            keks |= {row["kek_name"] for row in await tx.fetch("select distinct kek_name from data_key")}
    rows, more = ([json.loads(row["row"]) for row in found] for found in (known, domains))
    return About(clock.now().isoformat(timespec="seconds"), tenant is None, revision or head("public"), rows, more, sorted(keks))


def _pack(folder: Path, file: Path) -> None:
    unfinished = file.with_name(file.name + ".unfinished")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)
    with tarfile.open(unfinished, "w") as archive:
        for name in (ABOUT, DUMP):
            archive.add(folder / name, name)
    unfinished.rename(file)


_TENANTS = "select to_jsonb(t)::text as row from tenant t where $1::uuid is null or id = $1 order by created_at"
_DOMAINS = "select to_jsonb(d)::text as row from tenant_domain d where $1::uuid is null or tenant_id = $1 order by host"
