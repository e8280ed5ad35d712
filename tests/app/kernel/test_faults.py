"""Fault points: nothing without a folder, each fault once, and never in production."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.kernel import faults
from app.kernel.faults import FaultRaised, fault, use_faults
from app.settings import Settings
from tests.simulators import ROOT

POINT = "capture.committed"
pytestmark = pytest.mark.anyio


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    before = faults._folder
    use_faults(str(tmp_path))
    yield tmp_path
    use_faults(str(before) if before else None)


async def test_without_a_folder_and_without_a_file_nothing_happens(folder: Path) -> None:
    await fault(POINT)
    (folder / POINT).write_text("raise")
    use_faults(None)
    await fault(POINT)
    assert (folder / POINT).exists()


async def test_each_fault_happens_once(folder: Path) -> None:
    (folder / POINT).write_text("raise")
    with pytest.raises(FaultRaised):
        await fault(POINT)
    await fault(POINT)
    assert not (folder / POINT).exists()


async def test_a_pause_ends_when_it_is_let_go(folder: Path) -> None:
    (folder / POINT).write_text("pause")
    waiting = asyncio.create_task(fault(POINT))
    held = folder / f"{POINT}.held"
    while not held.exists():  # noqa: ASYNC110  # the pause makes it
        await asyncio.sleep(0)
    assert not waiting.done()
    held.unlink()
    await waiting


def test_a_kill_is_a_real_one(tmp_path: Path) -> None:
    (tmp_path / POINT).write_text("kill")
    program = f"import asyncio; from app.kernel import faults; faults.use_faults({str(tmp_path)!r}); asyncio.run(faults.fault({POINT!r}))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=False).returncode == -signal.SIGKILL


async def test_a_point_nobody_knows_is_a_bug(folder: Path) -> None:
    with pytest.raises(AssertionError):
        await fault("somewhere.else")


def test_production_refuses_them(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"database_url": "postgresql://a@b/c", "key_encryption_key": "k:" + "A" * 43 + "=", "session_secret": "s" * 32}
    with pytest.raises(ValueError, match="faults is for tests"):
        Settings(environment="production", public_scheme="https", allow_loopback_calls=False, faults="/tmp/x", **known)  # type: ignore[arg-type]
