"""The smaller commands and what they stand on."""

import json
import os
import socket
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from operations import check, demo, doctor, keys, places, preparation, prepare, reset, stop
from operations import test as test_command
from operations.__main__ import main
from operations.check import Check
from operations.ports import Ports, choose_ports, free_ports, is_free
from operations.processes import System
from operations.settings import settings_for
from operations.trouble import Trouble
from tenants.bootstrap import Passwords, Urls
from tests.installation import Installation


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands that act on this checkout's .data act on an empty folder instead."""
    folder = tmp_path / ".data"
    folder.mkdir()
    for module in (demo, doctor, reset, stop):
        monkeypatch.setattr(module, "DATA", folder)
    return folder


def test_taken_port_is_replaced_and_the_others_are_kept() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        taken = listener.getsockname()[1]
        assert not is_free(taken)
    free = free_ports(20)
    assert len(set(free)) == 20
    assert max(free) < 32_768, "none that a connection of this machine may be given"
    assert len(set(choose_ports(usual=False).as_dict().values())) == 5


def test_secrets_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    made = keys.keys_of(tmp_path)
    assert keys.keys_of(tmp_path) == made
    assert stat.S_IMODE((tmp_path / "secrets.json").stat().st_mode) == 0o600
    assert made.session_secret not in repr(made)
    assert len(made.session_secret) >= 32


def test_damaged_secrets_are_not_replaced_silently(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text('{"half": 1}')
    with pytest.raises(Trouble, match="damaged"):
        keys.keys_of(tmp_path)


def test_settings_are_those_the_application_accepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings_module = pytest.importorskip("app.settings")
    made = settings_for(
        Ports(), Urls(app_url="postgresql://a:b@c/d", owner_url="postgresql://o:b@c/d"), keys.keys_of(tmp_path), tmp_path
    )
    for name, value in made.items():
        monkeypatch.setenv(name, value)
    settings = settings_module.Settings()
    assert settings.app_url == "http://app.quanyi.localhost:8000"
    assert {name.removeprefix("QUANYI_").lower() for name in made} <= set(type(settings).model_fields)


def test_reset_deletes_only_after_yes(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    (data / "something").touch()
    with pytest.raises(Trouble, match="--yes"):
        reset.run([])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: "n")
    assert reset.run([]) == 1
    assert (data / "something").exists()
    assert reset.run(["--yes"]) == 0
    assert not data.exists()


def test_reset_does_not_follow_a_link(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = tmp_path / "link"
    link.symlink_to(data)
    monkeypatch.setattr(reset, "DATA", link)
    with pytest.raises(Trouble, match="link"):
        reset.run(["--yes"])


def test_stop_with_nothing_running_says_so(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert stop.run([]) == 0
    assert capsys.readouterr().out == "Nothing of this checkout runs.\n"


def test_doctor_says_how_to_mend(data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NEEDED_MB", 10**12)
    assert doctor.run([]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    assert all(line[:3] in ("ok ", "BAD") for line in lines)
    assert "Mend: make room" in next(line for line in lines if line.startswith("BAD  disk"))


def test_prepare_refuses_settings_that_do_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QUANYI_DATABASE_URL", "postgresql://postgres:x@127.0.0.1/quanyi")
    monkeypatch.setenv("QUANYI_OWNER_DATABASE_URL", "postgresql://quanyi_owner:x@127.0.0.1/quanyi")
    with pytest.raises(Trouble, match="quanyi_app"):
        prepare.run([])
    monkeypatch.setenv("QUANYI_DATABASE_URL", "postgresql://quanyi_app:x@127.0.0.1/other")
    with pytest.raises(Trouble, match="same database"):
        prepare.run([])
    monkeypatch.delenv("QUANYI_DATABASE_URL")
    with pytest.raises(Trouble, match="Please set QUANYI_DATABASE_URL"):
        prepare.run([])


def test_prepare_hands_on_what_the_settings_name(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str, Passwords]] = []
    monkeypatch.setattr(prepare, "prepare_database", lambda url, *, name, passwords: calls.append((url, name, passwords)))
    monkeypatch.setenv("DATABASE_URL", "postgresql://admin@127.0.0.1/postgres")
    monkeypatch.setenv("QUANYI_DATABASE_URL", "postgresql://quanyi_app:one@127.0.0.1/shop")
    monkeypatch.setenv("QUANYI_OWNER_DATABASE_URL", "postgresql://quanyi_owner:two@127.0.0.1/shop")
    assert prepare.run([]) == 0
    assert calls == [("postgresql://admin@127.0.0.1/postgres", "shop", Passwords(owner="two", app="one"))]


def test_check_runs_all_and_shows_the_words_of_the_bad(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checks = (
        Check("good", ("-c", "print('quiet')")),
        Check("bad", ("-c", "raise SystemExit('line 3 is wrong')")),
        Check("last", ("-c", "")),
    )
    monkeypatch.setattr(check, "CHECKS", checks)
    assert check.run([]) == 1
    said = capsys.readouterr()
    assert [line.split()[:2] for line in said.out.splitlines()] == [["ok", "good"], ["BAD", "bad"], ["ok", "last"]]
    assert "line 3 is wrong" in said.err
    assert "quiet" not in said.err


@pytest.mark.parametrize(("said", "code"), [((0, 0, 0), 0), ((0, 5, 5), 0), ((1, 0, 0), 1), ((0, 0, 1), 1), ((2, 1, 0), 2)])
def test_test_command_returns_what_pytest_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: tuple[int, ...], code: int
) -> None:
    (tmp_path / "postgres").touch()
    monkeypatch.setattr(test_command, "OTHER_PROGRAMS", tmp_path)
    rounds: list[list[str]] = []
    monkeypatch.setenv(test_command.PROGRAMS_VARIABLE, "")
    answers = iter(said)

    def run_until_stopped(command: list[str]) -> int:
        rounds.append(command)
        return next(answers)

    monkeypatch.setattr(test_command, "run_until_stopped", run_until_stopped)
    assert test_command.run_tests(["-k", "bell"]) == code
    marks = ("not browser", "browser", "database and not browser")
    told = [[word for word in command if not word.startswith("--junitxml=")] for command in rounds]
    assert told == [["-m", "pytest", "-n", "2", "-m", mark, "-k", "bell"] for mark in marks]


def test_welcome_names_addresses_log_ins_and_the_way_out(tmp_path: Path) -> None:
    system = System(tmp_path)
    entries = [
        {"who": "Owner", "surface": "app", "path": "/m/tea", "login": "owner@example.com", "password": "a long password"},
        {"who": "Shop", "surface": "shop:tea", "path": "/"},
    ]
    preparation.logins_file(tmp_path).write_text(json.dumps(entries))
    text = demo.welcome(system, ready_s=1.25)
    assert "http://app.quanyi.localhost:8000/m/tea" in text
    assert "http://tea.shop.localhost:8000/" in text
    assert "a long password" in text
    assert "./quanyi stop" in text


def test_command_that_is_not_there_yet_is_said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("operations.__main__.exists", lambda module: False)
    assert main(["smoke"]) == 1
    assert "has no operations/smoke yet" in capsys.readouterr().err


def test_folders_with_peoples_data_are_closed(tmp_path: Path) -> None:
    assert stat.S_IMODE(places.make_private_folder(tmp_path / "logs").stat().st_mode) == 0o700
    assert stat.S_IMODE(places.make_folder(tmp_path / "open").stat().st_mode) == 0o711


@pytest.mark.database
@pytest.mark.parametrize("command", ["migrate", "check-invariants"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"host": "127.0.0.1:9"}, "The database server cannot be reached"),
        ({"host": "nowhere.invalid:5432"}, "The database server cannot be reached"),
        ({"password": "another"}, "The database does not let us in"),
        ({"database": "none_such"}, "The database does not let us in"),
    ],
)
def test_a_command_without_its_database_ends_with_a_sentence(
    installation: Installation, command: str, change: dict[str, str], says: str
) -> None:
    environment = dict(os.environ)
    for name in ("QUANYI_DATABASE_URL", "QUANYI_OWNER_DATABASE_URL"):
        parts = urlsplit(environment[name])
        password, host = change.get("password", parts.password), change.get("host", parts.netloc.rpartition("@")[2])
        path = change.get("database", parts.path.lstrip("/"))
        environment[name] = f"{parts.scheme}://{parts.username}:{password}@{host}/{path}"
    command_line = [sys.executable, "-m", "operations", command]
    done = subprocess.run(command_line, cwd=places.ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout
    assert says in done.stderr
    assert "Traceback" not in done.stderr
