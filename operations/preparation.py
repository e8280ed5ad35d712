"""Migrations and demo data before the first page: done once for a database, known again by its identity."""

import hashlib
import importlib.util
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from operations.children import Child, run_to_its_end
from operations.places import PYTHON, ROOT
from tenants.bootstrap import identity_of

MIGRATE_WAIT_S = 600.0
SEED_WAIT_S = 600.0
_SUPPLIER = "supplier "
NOTE = "note: "
"""What a line of a program's log begins with that the person who started it should read."""
MIGRATION_SOURCES = ("migrations", "tenants", "operations/migrate.py", "app/ordering/sql", "app/inventory/sql")


@dataclass(frozen=True)
class Seeding:
    """Put the demo's data in, with these simulated suppliers: the port of each protocol, empty for a demo without."""

    suppliers: Mapping[str, int]


def prepare(
    folder: Path, environment: Mapping[str, str], *, seeding: Callable[[], Seeding] | None, say: Callable[[str], None]
) -> None:
    """Bring the database to the newest revision and, when asked, put the demo's data in; `seeding` is called only then, and may wait for suppliers.

    Idempotent: what was done for this very database and these very migrations is not done again, so a warm start loses no time.
    Raises: Trouble with the end of the log.
    """
    identity, revision = identity_of(environment["QUANYI_OWNER_DATABASE_URL"]), digest_of_migrations()
    done = _read(folder)
    if done.get("database") != identity:
        done = {"database": identity}
    if done.get("migrations") != revision:
        _run("migrate", [], folder, environment, say=say)
        done = {**done, "migrations": revision}
        _write(folder, done)
    if seeding is not None and done.get("seeded") != "yes":
        suppliers = seeding().suppliers
        addresses = [f"--supplier={name}=http://127.0.0.1:{port}" for name, port in suppliers.items()]
        _run("seed", ["--logins", str(logins_file(folder)), *addresses], folder, environment, say=say)
        _write(folder, {**done, "seeded": "yes", **{_SUPPLIER + name: str(port) for name, port in suppliers.items()}})


def ports_of_suppliers(folder: Path) -> dict[str, int]:
    """Where the demo's connections look for the simulated suppliers: the port each had when the data were put in."""
    return {name.removeprefix(_SUPPLIER): int(port) for name, port in _read(folder).items() if name.startswith(_SUPPLIER)}


def logins_file(folder: Path) -> Path:
    """Where the seed writes whom one may log in as."""
    return folder / "logins.json"


def digest_of_migrations() -> str:
    digest = hashlib.sha256()
    for source in MIGRATION_SOURCES:
        place = ROOT / source
        files = sorted(place.rglob("*.py")) + sorted(place.rglob("*.sql")) if place.is_dir() else [place]
        for file in files:
            if file.is_file():
                digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _run(command: str, arguments: list[str], folder: Path, environment: Mapping[str, str], *, say: Callable[[str], None]) -> None:
    if importlib.util.find_spec(f"operations.{command}") is None:
        say(f"This checkout has no operations/{command}.py yet; going on without.")
        return
    started = time.monotonic()
    child = Child(command, [PYTHON, "-m", "operations", command, *arguments], folder / "logs" / f"{command}.log", environment)
    written = child.log.stat().st_size if child.log.exists() else 0
    run_to_its_end(child, wait_s=MIGRATE_WAIT_S if command == "migrate" else SEED_WAIT_S)
    for line in child.log.read_bytes()[written:].decode(errors="replace").splitlines():
        if line.startswith(NOTE):
            say(line.removeprefix(NOTE))
    say(f"{command}: {time.monotonic() - started:.1f} s")


def _read(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / "prepared.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(folder: Path, done: dict[str, str]) -> None:
    (folder / "prepared.json").write_text(json.dumps(done, indent=2))
