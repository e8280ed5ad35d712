"""`./quanyi restore FILE`: a whole installation into an empty database, or with --tenant one tenant of it, beside the others or over what it is now.

It is one transaction: either all of it stands, or nothing changed. What was restored neither sells nor sends until ./quanyi reconcile has compared
it with the payment gateways, and what was to be delivered, refunded or mailed at the time of the backup waits for a person: it may have been done since.
"""

import argparse
import asyncio
import json
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from app.kernel import audit, audit_heads, history
from app.kernel.actor import SYSTEM
from app.kernel.audit_heads import Head
from app.kernel.bell import make_tables
from app.kernel.history import Happened
from app.settings import settings
from operations.backup import ABOUT, DUMP, About, owner_url
from operations.client_programs import ClientPrograms
from operations.homes import tenants_named, visiting
from operations.trouble import Trouble
from tenants import routing
from tenants.directory import PLATFORM, Tenant
from tenants.migrating import migrate_platform, migrate_tenants, revisions
from tenants.session import tenant_tx
from workers.failing import leave_cases

OUTWARD = ("fulfillment.deliver", "payments.refund_order", "integrations.send")
"""Tasks that hand something out: in a backup they may be done already. A refund that has its number is asked about first, and may go on."""

WHY = "restored from a backup: it may have been done since; trying again does it again"


def run(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="./quanyi restore", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--tenant", default="", help="the tenant, by its address at the time of the backup")
    options = parser.parse_args(arguments)
    return asyncio.run(_restore(options.file, options.tenant))


async def _restore(file: Path, slug: str) -> int:
    async with visiting():
        restored = await restore(file, slug)
    for name in restored:
        print(f"{name} is as it was. It neither sells nor sends yet: ./quanyi reconcile --tenant {name}")
    return 0


async def restore(file: Path, slug: str = "") -> list[str]:
    """Bring back one tenant by its address then, or everything; the addresses of what came back. Raises: Trouble, and nothing has changed."""
    if not await asyncio.to_thread(file.is_file):
        raise Trouble(f"There is no file {file}.")
    programs = ClientPrograms(owner_url())
    with tempfile.TemporaryDirectory(prefix=".restore-", dir=file.parent) as name:
        folder = Path(name)
        about = await asyncio.to_thread(_unpack, file, folder)
        rows = _chosen(about, slug)
        _refuse_without_keys(about)
        _refuse_newer(about, rows)
        if not slug:
            await _refuse_full_database(programs)
        printed = await asyncio.to_thread(_replay, programs, folder, rows, is_whole=not slug)
    routing.forget()
    await _bring_up_to_date()
    await _write_down(about, rows, printed)
    return [row["slug"] for row in rows if row["slug"]]


def _unpack(file: Path, folder: Path) -> About:
    try:
        with tarfile.open(file) as archive:
            for name in (ABOUT, DUMP):
                member = archive.extractfile(name)
                assert member is not None, "a plain file"
                with member, (folder / name).open("wb") as out:
                    shutil.copyfileobj(member, out)
        return About(**json.loads((folder / ABOUT).read_text(encoding="utf-8")))
    except (tarfile.TarError, KeyError, ValueError, TypeError):
        raise Trouble(f"{file} is not a backup, or not a whole one.") from None


def _chosen(about: About, slug: str) -> list[dict[str, Any]]:
    rows = [row for row in about.tenants if not slug or row["slug"] == slug]
    if slug and not rows:
        raise Trouble(f"The backup of {about.made_at} has no tenant {slug!r}.")
    if not slug and not about.is_whole:
        raise Trouble(f"This is the backup of one tenant: restore it with --tenant {about.tenants[0]['slug']}.")
    return rows


def _refuse_without_keys(about: About) -> None:
    ours = {part.partition(":")[0] for part in settings().key_encryption_key.split(",")}
    if missing := sorted(set(about.keks) - ours):
        raise Trouble(
            f"Its secrets need the key-encryption key {', '.join(missing)}: put it into QUANYI_KEY_ENCRYPTION_KEY, behind the current one."
        )


def _refuse_newer(about: About, rows: Sequence[dict[str, Any]]) -> None:
    known = {"public": {about.platform_revision}, "tenant": {row["revision"] for row in rows}}
    for name, found in known.items():
        if unknown := found - revisions(name):
            raise Trouble(
                f"The backup is of a newer version of Quanyi ({name} {', '.join(sorted(unknown))}). Restore it with that one."
            )


async def _refuse_full_database(programs: ClientPrograms) -> None:
    found = await asyncio.to_thread(
        programs.run, "psql", "-XAtc", "select to_regclass('public.tenant')", programs.url, say="The database cannot be asked:"
    )
    if found.strip():
        raise Trouble(
            "This database is in use. A whole backup goes into an empty one: set QUANYI_DATABASE_URL and QUANYI_OWNER_DATABASE_URL to it, then ./quanyi prepare."
        )


# The transaction


def _replay(programs: ClientPrograms, folder: Path, rows: Sequence[dict[str, Any]], *, is_whole: bool) -> str:
    """Run everything as one transaction; what it printed: each chain's last entry."""
    chosen = [] if is_whole else [f"--schema={row['schema_name']}" for row in rows]
    programs.run(
        "pg_restore",
        "--no-owner",
        "--no-comments",
        *chosen,
        "--file",
        folder / "dump.sql",
        folder / DUMP,
        say="The backup cannot be read:",
    )
    before = [_SETTINGS, *(_before(_ROLE, row) for row in rows), *(_before(_SCHEMA, row) for row in rows if not is_whole)]
    (folder / "before.sql").write_text("\n".join(before), encoding="utf-8")
    (folder / "after.sql").write_text(
        "\n".join([_filled(_WHOLE, why=sql.Literal(WHY)) if is_whole else "", *(_after(row) for row in rows), _TELL]),
        encoding="utf-8",
    )
    steps = [option for name in ("before", "dump", "after") for option in ("--file", str(folder / f"{name}.sql"))]
    return programs.run(
        "psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "--single-transaction", *steps, programs.url, say="Nothing was restored:"
    )


def _before(text: LiteralString, row: dict[str, Any]) -> str:
    return _filled(text, schema=sql.Identifier(row["schema_name"]), name=sql.Literal(row["schema_name"]))


def _after(row: dict[str, Any]) -> str:
    return _filled(
        _TENANT if row["slug"] else _SPARE,
        row=sql.Literal(json.dumps(row)),
        id=sql.Literal(row["id"]),
        revision=sql.Literal(row["revision"]),
        schema=sql.Identifier(row["schema_name"]),
        kinds=sql.Literal(list(OUTWARD)),
        why=sql.Literal(WHY),
    )


def _filled(text: LiteralString, **parts: sql.Composable) -> str:
    return sql.SQL(text).format(**parts).as_string(None)


# Afterwards


async def _bring_up_to_date() -> None:
    url = owner_url()
    await migrate_platform(url)
    await make_tables(url)
    async for moved in migrate_tenants(url):
        if moved.problem:
            raise Trouble(f"{moved.schema} stands, but at an older revision: {moved.problem}. Run ./quanyi migrate.")


async def _write_down(about: About, rows: Sequence[dict[str, Any]], printed: str) -> None:
    """In both chains, in the tenant's story, and among the signed heads, which would otherwise miss what the backup does not have."""
    heads = [_head(line) for line in printed.splitlines() if line.startswith("head|")]
    if folder := settings().audit_heads:
        audit_heads.keep(folder, heads)
    for tenant in await tenants_named():
        if str(tenant.id) in {row["id"] for row in rows}:
            await _write_down_for(tenant, about.made_at)


async def _write_down_for(tenant: Tenant, made_at: str) -> None:
    for home in (tenant, PLATFORM):
        async with tenant_tx(home) as tx:
            await audit.record(tx, SYSTEM, "tenant.restored", subject=("tenant", tenant.id), facts={"backup_of": made_at})
            await leave_cases(tx, OUTWARD, WHY)
            if home == PLATFORM:
                await history.record(tx, Happened("tenant", tenant.id, "tenant.restored", note=made_at))


def _head(line: str) -> Head:
    _, home, seq, digest, at = line.split("|")
    return Head(UUID(home).hex, int(seq), digest, at, "restored")


_SETTINGS = "set lock_timeout = '30s'; set client_min_messages = warning;"
_ROLE: LiteralString = """
do $$ begin if not exists (select from pg_roles where rolname = {name}) then create role {schema} nologin; end if; end $$;
grant {schema} to quanyi_app;
grant quanyi_ringer to {schema};
"""
_SCHEMA: LiteralString = """
drop schema if exists {schema} cascade;
create schema {schema};
grant usage on schema {schema} to {schema};
"""
"""A whole backup makes its schemas itself; a selection from one does not."""
_TENANT: LiteralString = """
insert into public.tenant select * from jsonb_populate_record(null::public.tenant, {row}::jsonb)
on conflict (id) do update set revision = excluded.revision;
update public.tenant set reconciling_since = now(), paused_since = null where id = {id};
update {schema}.task
set state = 'failed', lease_token = null, lease_until = null, wanted_again = false,
    last_error = {why}
where kind = any({kinds}) and state <> 'failed';
select 'head', {id}, seq, encode(hash, 'hex'), to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')
from {schema}.audit_entry order by seq desc limit 1;
"""
_SPARE: LiteralString = """
insert into public.tenant select * from jsonb_populate_record(null::public.tenant, {row}::jsonb)
on conflict (id) do update set revision = {revision};
"""
_WHOLE: LiteralString = """
update public.task
set state = 'failed', lease_token = null, lease_until = null, wanted_again = false,
    last_error = {why}
where kind = 'integrations.send' and state <> 'failed';
select 'head', '00000000000000000000000000000000', seq, encode(hash, 'hex'), to_char(now() at time zone 'utc', 'YYYY-MM-DD"T"HH24:MI:SS"+00:00"')
from public.audit_entry order by seq desc limit 1;
"""
_TELL = f"{routing.NOTIFY};"
