"""A revision of five statements for many tenants: the migrator over its four connections, against the same SQL by psql over four connections."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from benchmarks.figures import Figures, must_be_zero
from benchmarks.options import Options
from benchmarks.pgbench import find_program
from benchmarks.stage import CONNECTIONS, Stage, database, in_loop, make_tenants
from operations.places import ROOT
from operations.trouble import Trouble
from tenants import migrating
from tenants.directory import PLATFORM, Tenant
from tenants.session import tenant_tx

GOAL = "at most 1.3 times psql"
TENANTS = 200
FEW_TENANTS = 8
"""For runs under three seconds."""


def measure(options: Options) -> tuple[Figures, Stage]:
    with database() as stage:
        return in_loop(_measure(stage, options)), stage


async def _measure(stage: Stage, options: Options) -> Figures:
    wanted = options.tenants or (TENANTS if options.seconds >= 3 else FEW_TENANTS)
    started = time.perf_counter()
    tenants = await make_tenants(stage.owner_url, wanted)
    making_s = time.perf_counter() - started
    start = migrating.head("tenant")
    psql = find_program("psql", stage.system.postgres.bin if stage.system.postgres else None)
    with history_with("bench_first") as first:
        reference_s = _by_psql(psql, stage.owner_url, tenants, start) if psql else None
    if reference_s is None:
        print("psql is not installed (Debian's package postgresql-client has it), so there is no reference.")
    with history_with("bench_first", "bench_second") as second:
        value_s = await _by_migrator(stage.owner_url)
        checks = await _count(tenants, first if psql else "", second)
    per_1000 = 1000 / wanted
    return Figures(
        value=value_s * per_1000,
        unit="s per 1,000 tenants",
        reference=reference_s * per_1000 if reference_s else None,
        goal=GOAL,
        checks=checks,
        wrong=must_be_zero(checks, "left_behind", "without_change", "directory_behind"),
        details={
            "tenants": wanted,
            "one tenant, ms": round(value_s / wanted * 1000, 1),
            "making a tenant took, s": round(making_s / wanted, 3),
        },
    )


@contextmanager
def history_with(*names: str) -> Iterator[str]:
    """The tenants' history with synthetic revisions on top, in a copy that the migrator reads; the newest revision."""
    before, real_head = migrating._HISTORIES, migrating.head("tenant")
    with tempfile.TemporaryDirectory(prefix="quanyi-") as folder:
        copied = Path(folder) / "migrations"
        shutil.copytree(ROOT / "migrations", copied, ignore=shutil.ignore_patterns("__pycache__"))
        for earlier, name in zip((real_head, *names), names, strict=False):
            (copied / "tenant" / "versions" / f"{name}.py").write_text(_REVISION.format(name=name, earlier=earlier))
        try:
            _read(copied)
            yield names[-1]
        finally:
            _read(before)


def _read(histories: Path) -> None:
    migrating._HISTORIES = histories
    migrating.head.cache_clear()
    migrating.rendered.cache_clear()


async def _by_migrator(owner_url: str) -> float:
    started = time.perf_counter()
    async for moved in migrating.migrate_tenants(owner_url):
        if moved.problem:
            raise Trouble(f"{moved.schema} was not migrated: {moved.problem}")
    return time.perf_counter() - started


def _by_psql(psql: str, owner_url: str, tenants: list[Tenant], start: str) -> float:
    """Seconds for all tenants: the very statements of the migrator, in files that are written before the clock starts."""
    change = migrating.rendered("tenant", start)
    parts = urlsplit(owner_url)
    where = f"postgresql://{parts.username}@{parts.hostname}:{parts.port}{parts.path}"
    environment = {**os.environ, "PGPASSWORD": unquote(parts.password or "")}
    with tempfile.TemporaryDirectory(prefix="quanyi-") as folder:
        files = []
        for number in range(CONNECTIONS):
            file = Path(folder) / f"{number}.sql"
            file.write_text("".join(_one_by_psql(tenant, change) for tenant in tenants[number::CONNECTIONS]))
            files.append(file)
        command = [psql, "-q", "-X", "-v", "ON_ERROR_STOP=1", "-o", os.devnull, where, "-f"]
        started = time.perf_counter()
        running = [subprocess.Popen([*command, str(file)], env=environment) for file in files]
        codes = [process.wait() for process in running]
        if any(codes):
            raise Trouble("psql failed; its words stand above.")
        return time.perf_counter() - started


def _one_by_psql(tenant: Tenant, change: str) -> str:
    return _BY_PSQL.format(
        schema=tenant.schema,
        id=tenant.id,
        change=change,
        grants=migrating.grants("tenant", tenant.schema, tenant.role),
        head=migrating.head("tenant"),
    )


async def _count(tenants: list[Tenant], first: str, second: str) -> dict[str, int]:
    schemas = [tenant.schema for tenant in tenants]
    tables = [name for name in (first, second) if name]
    without_change = left_behind = 0
    for tenant in tenants:
        async with tenant_tx(tenant) as tx:
            left_behind += await tx.fetchval("select version_num from schema_revision") != second
    async with tenant_tx(PLATFORM) as tx:
        found = await tx.fetchval(
            "select count(*) from pg_tables where schemaname = any($1) and tablename = any($2)", schemas, tables
        )
        without_change = len(schemas) * len(tables) - found
        behind = await tx.fetchval("select count(*) from tenant where schema_name = any($1) and revision <> $2", schemas, second)
    return {
        "migrated": len(schemas) - left_behind,
        "left_behind": left_behind,
        "without_change": without_change,
        "directory_behind": behind,
    }


_REVISION = """
from alembic import op
import sqlalchemy as sa

revision = "{name}"
down_revision = "{earlier}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("product", sa.Column("{name}", sa.Text()))
    op.add_column("shop_order", sa.Column("{name}", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "{name}",
        sa.Column("id", sa.Uuid(), primary_key=True),
        sa.Column("product_id", sa.Uuid(), nullable=False),
        sa.Column("note", sa.Text(), server_default="", nullable=False),
    )
    op.create_index("ix_{name}_product", "{name}", ["product_id"])
    op.create_check_constraint("{name}_not_empty", "product", "{name} <> ''")
"""
_BY_PSQL = """
begin;
set local search_path to {schema};
set local lock_timeout to '2s';
select to_regclass('{schema}.schema_revision');
select version_num from schema_revision;
{change}
{grants}
commit;
update tenant set revision = '{head}' where id = '{id}';
"""
