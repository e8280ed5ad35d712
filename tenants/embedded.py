"""A PostgreSQL server of our own for the demo and the tests: no container, no system service, nothing to install.

    with EmbeddedPostgres(Path(".data/postgres")) as server:
        psycopg.connect(server.admin_url())

It listens on 127.0.0.1 only, asks for a generated password (scram) and opens no Unix socket. One process at a time supervises a
data folder (a file lock says which); after a crash of that process, or of the server, the next start takes over or starts again.
"""

import atexit
import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import psycopg

from tenants import embedded_files as files
from tenants.embedded_files import DatabaseUnavailable, ServerAccount
from tenants.embedded_process import holders, is_alive, read_postmaster, running_postmaster

__all__ = ["DatabaseUnavailable", "EmbeddedPostgres"]

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "256MB",
    "max_connections": "200",
    "max_locks_per_transaction": "1024",
    "max_wal_size": "2GB",
    "synchronous_commit": "on",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
}
LOCK_WAIT_S = 10.0
START_WAIT_S = 60.0
STOP_WAIT_S = 30.0
KILL_WAIT_S = 10.0
POLL_S = 0.01
PORT_TRIES = 3


class EmbeddedPostgres:
    """One server under one folder. `port=0` takes a free one; `settings` go over our own, by PostgreSQL's names."""

    def __init__(
        self, data_dir: Path, bin_dir: Path | None = None, port: int = 0, settings: Mapping[str, str] | None = None
    ) -> None:
        self.wanted = Path(data_dir).resolve()
        self.port = port
        self.bin: Path = files.find_programs(bin_dir)
        self.settings = {**SETTINGS, **(settings or {})}
        self.home = self.wanted
        self.was_adopted = False
        self._chooses_port = port == 0
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[str] | None = None
        self._starter = 0
        self._password = ""

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def log(self) -> Path:
        return self.home / "log"

    def admin_url(self, database: str = "postgres") -> str:
        """A superuser's address; only preparation and tests use it."""
        return f"postgresql://postgres:{self._password}@127.0.0.1:{self.port}/{database}"

    def start(self) -> Self:
        """Run the server and return once it answers.

        Idempotent: a server of this folder that still runs is adopted, with the port it has.
        Locks: the folder, until `stop`. Raises: DatabaseUnavailable with what to do.
        """
        if self._lock is not None:
            return self
        self.home = files.choose_home(self.wanted)
        self._take_lock()
        try:
            self._start_locked()
        except BaseException:
            self.stop()
            raise
        self._starter = os.getpid()
        atexit.register(self.stop)
        return self

    def stop(self) -> None:
        """Stop the server (fast: open transactions roll back). Idempotent; also ends a server an earlier crash left behind."""
        if self._starter not in (0, os.getpid()):
            return
        if self._lock is None:
            self.home = self._existing_home()
            if running_postmaster(self.data) is None:
                return
            self._take_lock()
        try:
            self._stop_locked()
        finally:
            self._release_lock()
            atexit.unregister(self.stop)

    def delete(self) -> None:
        """Stop the server and delete all its files."""
        self.stop()
        for home in files.homes_of(self.wanted):
            shutil.rmtree(home, ignore_errors=True)

    def is_running(self) -> bool:
        """Whether a server holds this folder, whoever started it."""
        return running_postmaster(self._existing_home() / "data") is not None

    @property
    def pid(self) -> int | None:
        found = running_postmaster(self.data)
        return found.pid if found else None

    # Start

    def _start_locked(self) -> None:
        account = files.account_for(self.data)
        self.bin = files.programs_within_reach(self.bin, account, self.home)
        self._create_cluster(account)
        self._check_version()
        self._password = (self.home / "password").read_text().strip()
        if self._adopt():
            return
        self._clear_what_a_crash_left()
        for attempt in range(1, PORT_TRIES + 1):
            if self._launch(account, may_retry=self._chooses_port and attempt < PORT_TRIES):
                return

    def _create_cluster(self, account: ServerAccount) -> None:
        """initdb into a folder beside, renamed when it is whole, so that a crash leaves no half cluster."""
        if (self.data / "PG_VERSION").exists():
            return
        password = self.home / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(24))
        account.own(password)
        unfinished = self.home / "data.new"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        account.own(unfinished)
        command: list[str | Path] = [
            self.bin / "initdb",
            "-D",
            unfinished,
            "-U",
            "postgres",
            "-A",
            "scram-sha-256",
            f"--pwfile={password}",
        ]
        command += ["-E", "UTF8", "--locale=C", "--data-checksums", "--no-instructions"]
        made = subprocess.run(
            command, cwd="/", env=_environment(), capture_output=True, text=True, timeout=120, check=False, **account.options()
        )
        if made.returncode:
            raise DatabaseUnavailable(f"PostgreSQL could not make its data folder {self.data}: {made.stderr.strip()[-500:]}")
        unfinished.rename(self.data)

    def _check_version(self) -> None:
        try:
            made_by = int((self.data / "PG_VERSION").read_text())
        except PermissionError:
            raise DatabaseUnavailable(
                f"{self.data} belongs to another user. Start this as that user, or delete the folder."
            ) from None
        ours = files.major_version(self.bin)
        if made_by != ours:
            raise DatabaseUnavailable(
                f"{self.data} was made by PostgreSQL {made_by}, but the programs in {self.bin} are version {ours}. "
                f"Move or delete the folder, or use PostgreSQL {made_by}."
            )

    def _adopt(self) -> bool:
        """Take over a server of ours that still runs. One that is just shutting down is waited for, not adopted."""
        found = running_postmaster(self.data)
        deadline = time.monotonic() + START_WAIT_S
        while found is not None and is_alive(found.pid) and time.monotonic() < deadline:
            self.port = found.port
            if self._answers():
                self.was_adopted = True
                return True
            time.sleep(POLL_S)
        return False

    def _clear_what_a_crash_left(self) -> None:
        """Remove the pid file of a dead server, once no backend of it works in the folder any more."""
        if read_postmaster(self.data) is None:
            return
        deadline = time.monotonic() + KILL_WAIT_S
        while left := holders(self.data):
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"Processes {left} of an earlier PostgreSQL still use {self.data}. Please end them.")
            time.sleep(POLL_S)
        (self.data / "postmaster.pid").unlink(missing_ok=True)

    def _launch(self, account: ServerAccount, *, may_retry: bool) -> bool:
        if self._chooses_port:
            self.port = _free_port()
        command = [str(self.bin / "postgres"), "-D", str(self.data)]
        for name, value in {**self.settings, "port": str(self.port)}.items():
            command += ["-c", f"{name}={value}"]
        if self.log.exists():
            self.log.replace(self.home / "log.old")
        self.log.touch(mode=0o600)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                command, cwd="/", env=_environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, **account.options(),
            )  # fmt: skip
        deadline = time.monotonic() + START_WAIT_S
        while not self._answers():
            if self._process.poll() is not None:
                words = self.log.read_text(errors="replace")
                if may_retry and "Address already in use" in words:
                    return False
                raise DatabaseUnavailable(f"PostgreSQL ended while starting. Its log {self.log} says: {words.strip()[-800:]}")
            if time.monotonic() > deadline:
                raise DatabaseUnavailable(f"PostgreSQL did not answer within {START_WAIT_S:.0f} s. See {self.log}.")
            time.sleep(POLL_S)
        return True

    def _answers(self) -> bool:
        """True when the server on our port takes our password and works on our data: a pid or an open port proves neither."""
        try:
            with psycopg.connect(self.admin_url(), connect_timeout=2, autocommit=True) as connection:
                row = connection.execute("show data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and Path(row[0]) == self.data

    # Stop

    def _stop_locked(self) -> None:
        found = running_postmaster(self.data)
        pid = self._process.pid if self._process is not None else found.pid if found else None
        if pid is None:
            return
        for how, wait_s in ((signal.SIGINT, STOP_WAIT_S), (signal.SIGQUIT, KILL_WAIT_S), (signal.SIGKILL, KILL_WAIT_S)):
            if self._has_ended(pid):
                break
            with suppress(ProcessLookupError):
                os.kill(pid, how)
            if self._ends_within(pid, wait_s):
                break
        self._process = None

    def _ends_within(self, pid: int, wait_s: float) -> bool:
        deadline = time.monotonic() + wait_s
        while not self._has_ended(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(POLL_S)
        return True

    def _has_ended(self, pid: int) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        return not is_alive(pid)

    # The lock

    def _take_lock(self) -> None:
        """The kernel drops the lock when its holder dies, however it dies; children do not inherit it."""
        handle = (self.home / "lock").open("a+")
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    handle.seek(0)
                    holder = handle.read().strip() or "unknown"
                    handle.close()
                    raise DatabaseUnavailable(f"Process {holder} uses the database in {self.home}. Stop it first.") from None
                time.sleep(0.05)
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        self._lock = handle

    def _release_lock(self) -> None:
        if self._lock is not None:
            self._lock.close()
        self._lock = None
        self._starter = 0

    def _existing_home(self) -> Path:
        return next((home for home in files.homes_of(self.wanted) if (home / "data").exists()), self.wanted)


def _environment() -> dict[str, str]:
    """Nothing of ours leaks into the server: no PG* settings, no secrets, no locale."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
