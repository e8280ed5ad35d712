"""`./quanyi bench NAME [NAME ...] [--seconds N]`: measure one thing against its reference, or several one after the other on one system."""

from __future__ import annotations

import argparse
import importlib
import sys

from benchmarks import figures
from benchmarks.options import DEFAULT_SECONDS, Options
from benchmarks.stage import shared_stages

NAMES = {
    "order-many": "orders over HTTP on 1,000 SKUs against pgbench with the same writes",
    "order-hot": "64 buyers at once on one SKU that sells out, against pgbench on one row",
    "card-claim": "keys claimed from a pool of a million against pgbench with the best statement",
    "deliver": "paid orders until their key can be read",
    "page": "the shop's product page over HTTP against its template rendered from memory",
    "signup": "a new tenant until its first page against one CREATE SCHEMA script",
    "migrate": "a revision for many tenants against psql over four connections",
    "bind": "one statement bound to a tenant against the same one unbound",
    "topup": "units bought from three suppliers of 50 ms against the same calls alone, and buyers who wait beside a batch",
    "memory": "a web process after many tenants were touched",
}


def run(arguments: list[str]) -> int:
    """0, or 1 when a correctness check is wrong."""
    options = argparse.ArgumentParser(prog="./quanyi bench", description=__doc__)
    told = "; ".join(f"{name}: {what}" for name, what in NAMES.items())
    options.add_argument("names", metavar="NAME", nargs="+", choices=NAMES, help=told)
    options.add_argument(
        "--seconds", type=float, default=DEFAULT_SECONDS, help=f"to measure for, {DEFAULT_SECONDS:.0f} by default"
    )
    options.add_argument("--tenants", type=int, help="how many, for bind, migrate and memory")
    given = options.parse_args(arguments)
    with shared_stages():
        return max([_measure(name, Options(given.seconds, given.tenants)) for name in given.names])


def _measure(name: str, options: Options) -> int:
    about: dict[str, object] = {"machine": figures.machine()}
    bench = importlib.import_module(f"benchmarks.{name.replace('-', '_')}")
    found, stage = bench.measure(options)
    return figures.report(name, found, {**about, "versions": figures.versions(stage.versions)})


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
