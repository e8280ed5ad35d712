"""The embedded server: starts fast, keeps its data, and comes back from every kind of crash."""

import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tenants import embedded
from tenants.embedded import DatabaseUnavailable, EmbeddedPostgres
from tenants.embedded_process import is_alive

DEBIAN_15 = Path("/usr/lib/postgresql/15/bin")
ROOT = Path(__file__).resolve().parents[2]
SMALL = {"shared_buffers": "16MB", "max_locks_per_transaction": "64"}
PROGRAMS = [
    pytest.param(None, id="embedded-18"),
    pytest.param(
        DEBIAN_15, id="debian-15", marks=pytest.mark.skipif(not DEBIAN_15.exists(), reason="PostgreSQL 15 is not installed")
    ),
]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short path, open enough for the server's own account to walk through."""
    with tempfile.TemporaryDirectory(prefix="qy") as name:
        Path(name).chmod(0o711)
        yield Path(name) / "pg"


@pytest.fixture(params=PROGRAMS)
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(folder, bin_dir=request.param, settings=SMALL)
    yield made
    made.delete()


def ask(server: EmbeddedPostgres, query: str) -> str:
    with psycopg.connect(server.admin_url(), autocommit=True) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return str(row[0])


def again(server: EmbeddedPostgres) -> EmbeddedPostgres:
    """What the next process would make."""
    return EmbeddedPostgres(server.wanted, bin_dir=server.bin, settings=SMALL)


def test_data_stay_from_one_start_to_the_next(server: EmbeddedPostgres) -> None:
    server.start()
    with psycopg.connect(server.admin_url(), autocommit=True) as connection:
        connection.execute("create table kept as select 42 as answer")
    server.stop()
    server.start()
    assert ask(server, "select answer from kept") == "42"


def test_server_is_closed_to_everyone_but_the_password(server: EmbeddedPostgres) -> None:
    server.start()
    assert ask(server, "show listen_addresses") == "127.0.0.1"
    assert ask(server, "show unix_socket_directories") == ""
    assert ask(server, "show data_checksums") == "on"
    assert ask(server, "show server_encoding") == "UTF8"
    assert ask(server, "show jit") == "off"
    assert stat.S_IMODE((server.home / "password").stat().st_mode) == 0o600
    with pytest.raises(psycopg.OperationalError, match="password"):
        psycopg.connect(f"postgresql://postgres:wrong@127.0.0.1:{server.port}/postgres")


def test_killed_server_comes_back(server: EmbeddedPostgres) -> None:
    server.start()
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    server._release_lock()  # as a crash of the supervisor would
    successor = again(server).start()
    assert not successor.was_adopted
    assert ask(successor, "select 1") == "1"
    successor.stop()


def test_pid_file_of_a_stranger_does_not_stop_the_start(server: EmbeddedPostgres) -> None:
    server.start()
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n0\n1\n\n\n")
    assert ask(server.start(), "select 1") == "1"


def test_server_left_by_a_killed_supervisor_is_adopted_and_stopped(server: EmbeddedPostgres) -> None:
    code = (
        "import sys, time; from pathlib import Path; from tenants.embedded import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1]), bin_dir=Path(sys.argv[2])).start()\n"
        "print(server.port, server.pid, flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", code, str(server.wanted), str(server.bin)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        port, pid = map(int, supervisor.stdout.readline().split())
        supervisor.kill()
    assert is_alive(pid)
    server.start()
    assert (server.was_adopted, server.port, server.pid) == (True, port, pid)
    server.stop()
    assert not is_alive(pid)
    assert not server.is_running()


def test_supervisor_that_ends_takes_its_server_with_it(server: EmbeddedPostgres) -> None:
    code = (
        "import sys; from pathlib import Path; from tenants.embedded import EmbeddedPostgres\n"
        "print(EmbeddedPostgres(Path(sys.argv[1]), bin_dir=Path(sys.argv[2])).start().pid)"
    )
    command = [sys.executable, "-c", code, str(server.wanted), str(server.bin)]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert not is_alive(int(answer.stdout))


def test_second_supervisor_is_refused_while_the_first_lives(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "LOCK_WAIT_S", 0.1)
    with EmbeddedPostgres(folder, settings=SMALL), pytest.raises(DatabaseUnavailable, match=f"Process {os.getpid()} uses"):
        EmbeddedPostgres(folder, settings=SMALL).start()


def test_stop_and_start_may_be_repeated(folder: Path) -> None:
    server = EmbeddedPostgres(folder, settings=SMALL)
    server.stop()
    server.start().start()
    server.stop()
    server.stop()
    assert not server.is_running()


def test_port_that_is_taken_is_said(folder: Path) -> None:
    with EmbeddedPostgres(folder / "a", settings=SMALL) as first:
        with pytest.raises(DatabaseUnavailable, match="Address already in use"):
            EmbeddedPostgres(folder / "b", port=first.port, settings=SMALL).start()
        assert ask(first, "select 1") == "1"


def test_data_of_another_version_is_refused_in_words(folder: Path) -> None:
    server = EmbeddedPostgres(folder, settings=SMALL).start()
    server.stop()
    (server.data / "PG_VERSION").write_text("14\n")
    with pytest.raises(DatabaseUnavailable, match="made by PostgreSQL 14"):
        server.start()
    assert not server.is_running()


def test_missing_programs_are_said(folder: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="Set DATABASE_URL"):
        EmbeddedPostgres(folder, bin_dir=folder / "nothing")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another account")
def test_folder_closed_to_the_servers_account_stays_closed(folder: Path) -> None:
    folder.parent.chmod(0o700)
    server = EmbeddedPostgres(folder, settings=SMALL).start()
    try:
        assert ask(server, "select 1") == "1"
        assert not server.home.is_relative_to(folder.parent)
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        assert server.data.stat().st_uid != 0
        server.stop()
        folder.parent.chmod(0o711)
        assert server.start().home != folder  # the data that is there wins
    finally:
        server.delete()
    assert not server.home.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root hands the server to another account")
def test_programs_out_of_the_accounts_reach_are_copied(folder: Path) -> None:
    hidden = folder.parent / "hidden"
    hidden.mkdir(mode=0o700)
    package = EmbeddedPostgres(folder).bin.parents[1]
    subprocess.run(["cp", "-a", package / "pginstall18", f"{package}.libs", hidden], check=True)
    (hidden / package.name).mkdir()
    (hidden / "pginstall18").rename(hidden / package.name / "pginstall18")
    with EmbeddedPostgres(folder, bin_dir=hidden / package.name / "pginstall18" / "bin", settings=SMALL) as server:
        assert server.bin.is_relative_to(server.home)
        assert ask(server, "select 1") == "1"
    assert stat.S_IMODE(hidden.stat().st_mode) == 0o700
