"""What a crash left running: found by the record, ended only when it is still the very process we started."""

import os
import shutil
import signal
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from operations.processes import in_stop_order, wait_for
from operations.record import Identity, age_s, forget_record, read_record
from operations.trouble import Trouble
from tenants.embedded import EmbeddedPostgres
from tenants.embedded_files import homes_of

STOP_WAIT_S = 15.0
KEPT_FOR_S = 3600.0
"""Who tests what a crash leaves looks at it for a while."""


def clear_leftovers(folder: Path, *, say: Callable[[str], None]) -> bool:
    """End processes whose leader is gone, and the database it left. Returns whether there were any. Idempotent."""
    record = read_record(folder)
    left = record.living() if record else {}
    for name in in_stop_order(left):
        if name != "postgres":
            say(f"Ending {name} (process {left[name].pid}), left by a crash.")
            _end(left[name], name)
    found = bool(left)
    if orphan := orphan_database(folder):
        say(f"Stopping the database in {orphan.wanted}, left by a crash.")
        orphan.stop()
        found = True
    forget_record(folder)
    return found


def delete_killed() -> None:
    """Delete the temporary systems whose leaders were killed, and so could not: what they left running is ended first. Idempotent."""
    for folder in Path(tempfile.gettempdir()).glob("quanyi-*"):
        record = read_record(folder)
        if record is not None and not record.leader.is_alive() and age_s(folder) > KEPT_FOR_S:
            clear_leftovers(folder, say=lambda _sentence: None)
            shutil.rmtree(folder, ignore_errors=True)  # another run may delete it too


def orphan_database(folder: Path) -> EmbeddedPostgres | None:
    """The embedded server of the folder if it runs; only to be asked when nobody leads the folder."""
    wanted = folder / "postgres"
    if not any((home / "data").exists() for home in homes_of(wanted)):
        return None
    server = EmbeddedPostgres(wanted)
    return server if server.is_running() else None


def _end(process: Identity, name: str) -> None:
    """Its whole session: it was started as the leader of one."""
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
    with suppress(Trouble):
        wait_for(lambda: not process.is_alive(), wait_s=STOP_WAIT_S, otherwise=f"{name} does not end")
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
