"""PostgreSQL's own programs for copying databases: which ones fit a server, and how they are told where it is."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import psycopg

from operations.trouble import Trouble
from tenants.embedded_files import installed_programs, wheel_programs

LONGEST_S = 6 * 3600


class ClientPrograms:
    """pg_dump, pg_restore and psql for one server, as the owner of its database."""

    def __init__(self, owner_url: str) -> None:
        parts = urlsplit(owner_url)
        where = parts.netloc.rpartition("@")[2]
        self.url = urlunsplit((parts.scheme, f"{parts.username}@{where}", parts.path, parts.query, ""))
        self._password = unquote(parts.password or "")
        with psycopg.connect(owner_url, autocommit=True, connect_timeout=10) as connection:
            self.server_major = connection.info.server_version // 10_000
        self.folder = _folder_for(self.server_major)

    def run(self, name: str, *arguments: str | Path, say: str) -> str:
        """What a program printed. Raises: Trouble with `say` and the program's words when it fails."""
        done = subprocess.run(
            [self.folder / name, *arguments],
            env={**os.environ, "PGPASSWORD": self._password, "PGCONNECT_TIMEOUT": "10"},
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
        if done.returncode:
            raise Trouble(f"{say}\n{done.stderr.strip()[-1500:]}")
        return done.stdout


def _folder_for(server_major: int) -> Path:
    """The oldest programs that are not older than the server: a newer dump may hold what an older server does not know. Raises: Trouble."""
    found = {major: folder for folder in _candidates() if (major := _major(folder)) is not None and major >= server_major}
    if not found:
        raise Trouble(
            f"Copying needs pg_dump of PostgreSQL {server_major} or later: apt-get install postgresql-client-{server_major}"
        )
    return found[min(found)]


def _candidates() -> Iterator[Path]:
    if program := shutil.which("pg_dump"):
        yield Path(program).parent
    yield from (folder for folder in [*wheel_programs(), *installed_programs()] if (folder / "pg_dump").exists())


def _major(folder: Path) -> int | None:
    command: Sequence[str | Path] = [folder / "pg_dump", "--version"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stdout
    found = re.search(r"(\d+)", said)
    return int(found[1]) if found else None
