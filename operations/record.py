"""`run.json`: what of a system runs, so that another terminal can stop it and the next start can clear up after a crash."""

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tenants.embedded_process import PROC, is_alive


@dataclass(frozen=True)
class Identity:
    """A process, not merely its number: numbers are used again."""

    pid: int
    born: str

    def is_alive(self) -> bool:
        return is_alive(self.pid) and _born(self.pid) == self.born


@dataclass(frozen=True)
class Record:
    """Who leads, what he started, and where it listens."""

    leader: Identity
    server: str
    ports: dict[str, int]
    processes: dict[str, Identity] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        file = _file(folder)
        unfinished = file.with_suffix(".new")
        unfinished.write_text(json.dumps(asdict(self), indent=2))
        unfinished.rename(file)

    def living(self) -> dict[str, Identity]:
        return {name: process for name, process in self.processes.items() if process.is_alive()}


def identity_of(pid: int) -> Identity:
    return Identity(pid, _born(pid))


def read_record(folder: Path) -> Record | None:
    """None when nothing was recorded, or not in a form we know."""
    try:
        found = json.loads(_file(folder).read_text())
        processes = {name: Identity(**process) for name, process in found["processes"].items()}
        return Record(Identity(**found["leader"]), found["server"], found["ports"], processes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def age_s(folder: Path) -> float:
    """For how long the record has stood as it is."""
    return time.time() - _file(folder).stat().st_mtime


def forget_record(folder: Path) -> None:
    _file(folder).unlink(missing_ok=True)


def is_led(folder: Path) -> bool:
    """Whether a live process leads the system of this folder."""
    record = read_record(folder)
    return record is not None and record.leader.is_alive()


def lead(folder: Path, server: str, ports: dict[str, int]) -> Record:
    return Record(identity_of(os.getpid()), server, ports)


def _file(folder: Path) -> Path:
    return folder / "run.json"


def _born(pid: int) -> str:
    """Boot and clock tick of the process's start. Source: proc(5), /proc/pid/stat field 22."""
    try:
        ticks = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
        return (PROC / "sys/kernel/random/boot_id").read_text().strip() + "/" + ticks
    except (OSError, IndexError):
        return ""
