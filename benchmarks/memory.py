"""What a web process weighs after many tenants were touched: each one's home page and one product page over HTTP, all by one process."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import psycopg

from benchmarks.client import Client
from benchmarks.figures import Figures, must_be_zero
from benchmarks.options import Options
from benchmarks.stage import PRODUCTS, Stage, in_loop, make_tenants, put_on_shelf, whole
from operations.settings import DATABASE
from tenants.directory import Tenant

GOAL = "under 200 MB after 1,000 tenants"
TENANTS = 1000
FEW_TENANTS = 5
"""For runs under three seconds."""


def measure(options: Options) -> tuple[Figures, Stage]:
    with whole(web_processes=1) as stage:
        return in_loop(_measure(stage, options)), stage


async def _measure(stage: Stage, options: Options) -> Figures:
    wanted = options.tenants or (TENANTS if options.seconds >= 3 else FEW_TENANTS)
    started = time.perf_counter()
    tenants = await make_tenants(stage.owner_url, wanted)
    product_paths = [await _open(tenant) for tenant in tenants]
    making_s = time.perf_counter() - started
    pid = stage.system.children["web"].pid
    at_first = _megabytes(pid)
    answered, touching_s = _touch(stage, tenants, product_paths)
    await asyncio.sleep(0.2)
    checks = {"tenants": wanted, "unanswered": 2 * wanted - answered}
    return Figures(
        value=_megabytes(pid),
        unit="MB",
        reference=None,
        goal=GOAL,
        checks=checks,
        wrong=must_be_zero(checks, "unanswered"),
        details={
            "before any tenant was touched, MB": round(at_first, 1),
            "highest since its start, MB": round(_megabytes(pid, "VmHWM"), 1),
            "pages a second, one client": round(2 * wanted / touching_s),
            "making the tenants, s": round(making_s, 1),
            "its database connections, private MB each": _backends(stage),
        },
    )


async def _open(tenant: Tenant) -> str:
    """A storefront with a few products, by plain SQL; a product's path."""
    rows = await put_on_shelf(tenant, skus=PRODUCTS, stock=10)
    return f"/products/{rows[0]['product_id']}"


def _touch(stage: Stage, tenants: list[Tenant], product_paths: list[str]) -> tuple[int, float]:
    """Pages that came, and the seconds they took."""
    port, answered = stage.system.ports.web, 0
    started = time.perf_counter()
    for tenant, path in zip(tenants, product_paths, strict=True):
        with Client(stage.system.address) as client:
            for wanted in ("/", path):
                answered += client.get(f"{tenant.slug}.shop.localhost:{port}", wanted).status == 200
    return answered, time.perf_counter() - started


def _megabytes(pid: int, what: str = "VmRSS") -> float:
    found = re.search(rf"^{what}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None, "this kernel shows no memory of processes"
    return int(found[1]) / 1024


def _backends(stage: Stage) -> str:
    """Private memory of the server's processes for the application's connections; only root may look."""
    with psycopg.connect(stage.system.postgres_admin_url(DATABASE), autocommit=True) as connection:
        pids = [row[0] for row in connection.execute("select pid from pg_stat_activity where usename = 'quanyi_app'")]
    found = []
    for pid in pids:
        try:
            words = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        found.append(sum(int(kb) for kb in re.findall(r"^Private_\w+:\s+(\d+) kB", words, re.MULTILINE)) / 1024)
    return f"{len(found)} connections, largest {max(found):.0f}, together {sum(found):.0f}" if found else "not shown to this user"
