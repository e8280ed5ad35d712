"""The reference: PostgreSQL's own pgbench, on the same server and settings, with the statements written out."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from operations.trouble import Trouble
from tenants.directory import Tenant

ABSENT = "pgbench is not installed (Debian's package postgresql has it), so there is no reference."
_TPS = re.compile(r"^tps = ([0-9.]+)", re.MULTILINE)
_LATENCY = re.compile(r"^latency average = ([0-9.]+) ms", re.MULTILINE)
_DONE = re.compile(r"^number of transactions actually processed: ([0-9]+)", re.MULTILINE)
_FAILED = re.compile(r"^number of failed transactions: ([0-9]+)", re.MULTILINE)


@dataclass(frozen=True)
class Reference:
    """Transactions a second over all clients, and their mean latency."""

    per_second: float
    latency_ms: float


def find_program(name: str, embedded: Path | None) -> str | None:
    """From the PATH, a Debian installation, or beside the embedded server."""
    if found := shutil.which(name):
        return found
    places = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), *([embedded] if embedded else [])]
    return next((str(place / name) for place in places if (place / name).exists()), None)


@dataclass(frozen=True)
class Pgbench:
    """Runs scripts as a tenant: role and search path are set once per connection, which costs the reference nothing."""

    program: str | None
    url: str

    def run(self, tenant: Tenant, script: str, *, clients: int, seconds: float) -> Reference | None:
        """For so many whole seconds, or longer where nothing was done in them. None when there is no pgbench. Raises: Trouble with its words."""
        if self.program is None:
            return None
        with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
            file.write(script)
            file.flush()
            for patience in (1, 4, 16):
                said = self._say(tenant, file.name, clients=clients, seconds=max(1, round(seconds)) * patience)
                found, processed = _TPS.search(said), _DONE.search(said)
                if found and processed and int(processed[1]):
                    latency = _LATENCY.search(said)
                    return Reference(float(found[1]), float(latency[1]) if latency else 0.0)
        raise Trouble(f"pgbench finished no transaction: {said.strip()[-800:]}")

    def _say(self, tenant: Tenant, file: str, *, clients: int, seconds: int) -> str:
        assert self.program is not None
        threads = str(min(clients, os.cpu_count() or 1))
        command = [self.program, "-n", "-M", "prepared", "-c", str(clients), "-j", threads, "-T", str(seconds), "-f", file]
        url, password = as_tenant(self.url, tenant)
        done = subprocess.run(
            [*command, url], capture_output=True, text=True, check=False, env={**os.environ, "PGPASSWORD": password}
        )
        failed = _FAILED.search(done.stdout)
        if done.returncode or (failed and int(failed[1])):
            raise Trouble(f"pgbench failed: {(done.stderr or done.stdout).strip()[-800:]}")
        return done.stdout


def as_tenant(url: str, tenant: Tenant) -> tuple[str, str]:
    """The application's address with a tenant's role and search path, without its password, and the password."""
    parts = urlsplit(url)
    options = quote(f"-c role={tenant.role} -c search_path={tenant.schema} -c jit=off")
    where = f"{parts.username}@{parts.hostname}:{parts.port}"
    return urlunsplit(("postgresql", where, parts.path, f"options={options}", "")), unquote(parts.password or "")
