"""The system as a whole: comes up ready, goes down in order, and says what broke."""

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import psycopg
import pytest

from operations import leftovers
from operations.places import ROOT
from operations.ports import Ports, answers, choose_supplier_ports, free_ports
from operations.processes import Plan, System
from operations.record import identity_of, read_record
from operations.trouble import Trouble
from tenants.embedded_process import is_alive
from tests.operations import standins

SMALL = {"shared_buffers": "16MB", "max_locks_per_transaction": "64"}


def plan(code: Path) -> Plan:
    return Plan(postgres_settings=SMALL, migrated=False, code=code)


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    made = System.temporary(plan(standins.put(tmp_path)))
    yield made
    made.delete()


def get(system: System, path: str = "/") -> tuple[int, str]:
    connection = http.client.HTTPConnection(*system.address, timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_everything_comes_up_and_goes_down(system: System) -> None:
    with system:
        assert get(system)[0] == 200
        assert set(system.children) == {"gateway", "outbox", "web", "worker"}
        pids = [child.pid for child in system.children.values()]
        with psycopg.connect(system.settings["QUANYI_DATABASE_URL"]) as connection:
            assert connection.execute("select current_user").fetchone() == ("quanyi_app",)
        assert stat.S_IMODE((system.folder / "secrets.json").stat().st_mode) == 0o600
        record = (system.folder / "run.json").read_text()
        for secret in json.loads((system.folder / "secrets.json").read_text()).values():
            assert secret not in record
    assert not any(map(is_alive, pids))
    assert system.postgres is not None
    assert not system.postgres.is_running()
    assert not (system.folder / "run.json").exists()


def test_simulated_suppliers_come_up_beside_it(tmp_path: Path) -> None:
    system = System.temporary(replace(plan(standins.put(tmp_path)), suppliers=("fulu", "kasushou")))
    try:
        with system:
            assert {"supplier-fulu", "supplier-kasushou"} < set(system.children)
            assert len({system.supplier(protocol) for protocol in ("fulu", "kasushou")}) == 2
            assert not set(system.supplier_ports.values()) & set(system.ports.as_dict().values())
            port = system.supplier_ports["fulu"]
            system.kill("supplier-fulu")
            assert not answers(port)
            system.restart("supplier-fulu")
            assert answers(port)
            pids = [child.pid for child in system.children.values()]
        assert not any(map(is_alive, pids))
    finally:
        system.delete()


def test_a_demo_starts_without_a_simulated_supplier_and_says_so_once(tmp_path: Path) -> None:
    said: list[str] = []
    wanted = replace(plan(standins.put(tmp_path, supplier=standins.BROKEN)), suppliers=("kasushou",), spares_suppliers=True)
    system = System.temporary(wanted)
    system.say = said.append
    try:
        with system:
            assert set(system.children) == {"gateway", "outbox", "web", "worker"}
            assert system.first_ended() is None
            assert not system.supplier_ports
        assert [one for one in said if "supplier" in one] == [
            f"The simulated supplier kasushou did not start; going on without it. See {system.folder}/logs/supplier-kasushou.log."
        ]
    finally:
        system.delete()


def test_a_spared_supplier_that_ends_later_ends_nothing_else(tmp_path: Path) -> None:
    system = System.temporary(replace(plan(standins.put(tmp_path)), suppliers=("kasushou",), spares_suppliers=True))
    try:
        with system:
            system.kill("supplier-kasushou")
            assert wait_until(lambda: not system.children["supplier-kasushou"].is_running())
            assert system.first_ended() is None
    finally:
        system.delete()


def test_a_simulated_supplier_that_is_not_spared_stops_the_start(tmp_path: Path) -> None:
    system = System.temporary(replace(plan(standins.put(tmp_path, supplier=standins.BROKEN)), suppliers=("kasushou",)))
    try:
        with pytest.raises(Trouble, match="supplier-kasushou"):
            system.start()
    finally:
        system.delete()


def test_suppliers_keep_the_ports_the_demo_knows_them_by() -> None:
    known, ports = free_ports(2), Ports()
    chosen = choose_supplier_ports(("a", "b"), ports, usual=True, known={"b": known[0]})
    assert chosen["b"] == known[0]
    with socket.create_server(("127.0.0.1", known[1])):
        assert choose_supplier_ports(("a",), ports, usual=True, known={"a": known[1]})["a"] != known[1]


def test_second_start_keeps_secrets_and_data(system: System) -> None:
    with system:
        before = (system.folder / "secrets.json").read_text()
        with psycopg.connect(system.settings["QUANYI_OWNER_DATABASE_URL"]) as connection:
            connection.execute("create table public.kept as select 42 n")
    started = time.monotonic()
    with System(system.folder, system.plan) as again:
        assert time.monotonic() - started < 20  # a busy machine gets room
        assert (again.folder / "secrets.json").read_text() == before
        with psycopg.connect(again.settings["QUANYI_OWNER_DATABASE_URL"]) as connection:
            assert connection.execute("select n from public.kept").fetchone() == (42,)


def test_administrators_login_does_not_reach_the_programs(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://admin:secret@127.0.0.1/postgres")
    monkeypatch.setenv("QUANYI_OF_ANOTHER", "installation")
    assert not {"DATABASE_URL", "QUANYI_OF_ANOTHER"} & set(system.env)


@pytest.mark.parametrize("name", ["web", "worker", "gateway", "outbox", "postgres"])
def test_killed_part_is_noticed_and_restarted(system: System, name: str) -> None:
    with system:
        assert system.first_ended() is None
        system.kill(name)
        assert wait_until(lambda: system.first_ended() == name)
        system.restart(name)
        assert system.first_ended() is None
        assert get(system)[0] == 200


@pytest.mark.parametrize(("part", "name"), [("app", "web"), ("workers", "worker"), ("outbox", "outbox")])
def test_part_that_cannot_start_is_shown_by_its_own_words(tmp_path: Path, part: str, name: str) -> None:
    system = System.temporary(plan(standins.put(tmp_path, **{part: standins.BROKEN})))
    try:
        with pytest.raises(Trouble, match=rf"(?s)^{name} .*a setting is missing: QUANYI_EXAMPLE"):
            system.start()
        assert system.postgres is None or not system.postgres.is_running()
    finally:
        system.delete()


def test_system_of_a_killed_leader_is_cleared_by_the_next(tmp_path: Path, system: System) -> None:
    code = (
        "import sys, time; from pathlib import Path; from operations.processes import Plan, System\n"
        "System(Path(sys.argv[1]), Plan(migrated=False, code=Path(sys.argv[2]))).start()\n"
        "print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(system.folder), str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as leader:
        assert leader.stdout is not None
        assert leader.stdout.readline() == "up\n"
        leader.send_signal(signal.SIGKILL)
    record = read_record(system.folder)
    assert record is not None
    assert set(record.living()) == {"web", "worker", "gateway", "outbox", "postgres"}
    said: list[str] = []
    assert leftovers.clear_leftovers(system.folder, say=said.append)
    assert wait_until(lambda: not record.living())
    assert len(said) == 5
    assert not leftovers.clear_leftovers(system.folder, say=said.append)


def test_process_that_merely_has_the_number_is_left_alone(system: System) -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True) as stranger:
        record = {
            "leader": {"pid": 2**22 + 1, "born": "never"},
            "server": "",
            "ports": {},
            "processes": {"web": {"pid": stranger.pid, "born": "another time"}},
        }
        (system.folder / "run.json").write_text(json.dumps(record))
        assert not leftovers.clear_leftovers(system.folder, say=print)
        assert stranger.poll() is None
        stranger.kill()


def test_temporary_systems_of_killed_runs_are_deleted_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    dead, alive = {"pid": 2**22 + 1, "born": "never"}, asdict(identity_of(os.getpid()))
    for name, leader, age_s in (("killed", dead, 4000), ("just-killed", dead, 0), ("running", alive, 4000)):
        (tmp_path / f"quanyi-{name}").mkdir()
        file = tmp_path / f"quanyi-{name}" / "run.json"
        file.write_text(json.dumps({"leader": leader, "server": "", "ports": {}, "processes": {}}))
        os.utime(file, (time.time() - age_s,) * 2)
    (tmp_path / "quanyi-of-somebody").mkdir()
    leftovers.delete_killed()
    assert {folder.name for folder in tmp_path.iterdir()} == {"quanyi-just-killed", "quanyi-running", "quanyi-of-somebody"}


def wait_until(condition, wait_s: float = 15.0) -> bool:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + wait_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
