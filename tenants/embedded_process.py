"""Which processes hold a PostgreSQL data folder. A pid file alone proves nothing: its process may be dead, or a stranger."""

import os
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Postmaster:
    """What `postmaster.pid` says of a server."""

    pid: int
    data: Path
    port: int


def read_postmaster(data: Path) -> Postmaster | None:
    """None without a readable pid file. Source: the layout of postmaster.pid (pid, data folder, start, port, ...)."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        return Postmaster(pid=int(lines[0]), data=Path(lines[1]), port=int(lines[3]))
    except (OSError, ValueError, IndexError):
        return None


def running_postmaster(data: Path) -> Postmaster | None:
    """The live server of this data folder, even one that an earlier, crashed parent left behind."""
    found = read_postmaster(data)
    if found is None or not is_alive(found.pid) or not _works_in(found.pid, data):
        return None
    return found


def holders(data: Path) -> list[int]:
    """Live processes working in the data folder: the server and its backends, which outlive a killed server for a moment."""
    if not PROC.is_dir():
        return []
    pids = (int(entry) for entry in os.listdir(PROC) if entry.isdigit())
    return [pid for pid in pids if _works_in(pid, data) and is_alive(pid)]


def is_alive(pid: int) -> bool:
    """A zombie that nobody has reaped yet is dead."""
    if PROC.is_dir():
        try:
            return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
        except (OSError, IndexError):
            return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _works_in(pid: int, data: Path) -> bool:
    """PostgreSQL's processes have the data folder as their working directory."""
    if PROC.is_dir():
        with suppress(OSError):
            return (PROC / str(pid) / "cwd").readlink() == data
        return False
    command = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return str(data) in command
